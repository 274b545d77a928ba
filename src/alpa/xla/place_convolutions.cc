#include "alpa/xla/place_convolutions.h"

#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "alpa/sharding/rule.h"
#include "alpa/sharding/strategy.h"
#include "alpa/xla/shardings.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

using ::xla::HloInstruction;
using ::xla::HloSharding;

int Rank(const HloInstruction* i) { return static_cast<int>(i->shape().dimensions().size()); }

HloSharding ShardingOf(const HloInstruction* i) { return i->has_sharding() ? i->sharding() : HloSharding::Replicate(); }

// Where a convolution has its operands and its result.
struct Places {
  HloSharding lhs, rhs, out;
};

Places PlacesOf(const HloInstruction* i) {
  return {ShardingOf(i->operand(0)), ShardingOf(i->operand(1)), ShardingOf(i)};
}

Places PlacesOf(const sharding::Strategy& s, const HloInstruction* i, const cluster::Mesh& mesh) {
  return {ToHloSharding(s.operands[0], Rank(i->operand(0)), mesh),
          ToHloSharding(s.operands[1], Rank(i->operand(1)), mesh), ToHloSharding(s.results[0].spec, Rank(i), mesh)};
}

// Bytes of what lies as it should.
int64_t InPlace(const Places& wanted, const Places& are, const HloInstruction* i) {
  const auto bytes = [](const HloInstruction* array) { return ::xla::ShapeUtil::ByteSizeOf(array->shape()); };
  return (wanted.lhs == are.lhs ? bytes(i->operand(0)) : 0) + (wanted.rhs == are.rhs ? bytes(i->operand(1)) : 0) +
         (wanted.out == are.out ? bytes(i) : 0);
}

bool SplitsBatchAlone(const Places& places, const HloInstruction* i) {
  const auto along = [](const HloSharding& sharding, int64_t dim, int rank) {
    if (sharding.IsReplicated()) return true;
    if (!sharding.IsTiled()) return false;
    for (int d = 0; d < rank; ++d) {
      if (d != dim && sharding.tile_assignment().dim(d) > 1) return false;
    }
    return true;
  };
  const auto& dims = i->convolution_dimension_numbers();
  return i->batch_group_count() == 1 && places.rhs.IsReplicated() &&
         along(places.lhs, dims.input_batch_dimension(), Rank(i->operand(0))) &&
         along(places.out, dims.output_batch_dimension(), Rank(i));
}

absl::Status Place(HloInstruction* i, const Places& wanted, const Places& are) {
  ::xla::HloComputation* computation = i->parent();
  const auto copied = [&](HloInstruction* value, const HloSharding& sharding) {
    HloInstruction* copy =
        computation->AddInstruction(HloInstruction::CreateUnary(value->shape(), ::xla::HloOpcode::kCopy, value));
    copy->set_sharding(sharding);
    return copy;
  };
  const HloSharding* of_operand[] = {&wanted.lhs, &wanted.rhs};
  const HloSharding* lie[] = {&are.lhs, &are.rhs};
  for (int64_t k = 0; k < 2; ++k) {
    if (*of_operand[k] == *lie[k]) continue;
    if (absl::Status s = i->ReplaceOperandWith(k, copied(i->mutable_operand(k), *of_operand[k])); !s.ok()) return s;
  }
  if (wanted.out == are.out) return absl::OkStatus();
  const std::vector<HloInstruction*> users(i->users().begin(), i->users().end());
  i->set_sharding(wanted.out);
  HloInstruction* out = copied(i, are.out);
  for (HloInstruction* user : users) {
    if (absl::Status s = i->ReplaceUseWith(user, out); !s.ok()) return s;
  }
  if (computation->root_instruction() == i) computation->set_root_instruction(out);
  return absl::OkStatus();
}

absl::Status PlaceByStrategy(HloInstruction* i, const ir::Module& step, const ir::Op& op, const cluster::Mesh& mesh) {
  const Places are = PlacesOf(i);
  std::optional<Places> best;
  int64_t most = -1;
  int64_t parallelism = 0;
  for (const sharding::Strategy& s : sharding::Strategies(sharding::RuleOf(step, op), step, op, mesh)) {
    const Places wanted = PlacesOf(s, i, mesh);
    const int64_t in_place = InPlace(wanted, are, i);
    if (in_place < most || (in_place == most && s.parallelism <= parallelism)) continue;
    best = wanted;
    most = in_place;
    parallelism = s.parallelism;
  }
  return Place(i, *best, are);
}

}  // namespace

absl::Status PlaceConvolutions(::xla::HloModule& module, const ir::Module& step, const cluster::Mesh& mesh) {
  if (LiveAxes(mesh).size() < 2) return absl::OkStatus();
  std::unordered_map<std::string_view, const ir::Op*> ops;
  for (const ir::Op& op : step.ops) {
    if (op.kind == ir::OpKind::kConvolution) ops[op.name] = &op;
  }
  for (::xla::HloComputation* computation : module.computations()) {
    for (HloInstruction* i : computation->MakeInstructionPostOrder()) {
      if (i->opcode() != ::xla::HloOpcode::kConvolution) continue;
      const auto at = computation->IsEntryComputation() ? ops.find(i->name()) : ops.end();
      const Places are = PlacesOf(i);
      absl::Status s;
      if (at != ops.end()) {
        s = PlaceByStrategy(i, step, *at->second, mesh);
      } else if (!SplitsBatchAlone(are, i)) {
        s = Place(i, {HloSharding::Replicate(), HloSharding::Replicate(), HloSharding::Replicate()}, are);
      }
      if (!s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

}  // namespace alpa::xla
