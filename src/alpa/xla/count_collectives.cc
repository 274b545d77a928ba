#include "alpa/xla/count_collectives.h"

#include <optional>
#include <utility>

#include "alpa/plan/collective_totals.h"
#include "alpa/xla/shardings.h"
#include "alpa/xla/sums.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

using sharding::CollectiveKind;
using ::xla::HloInstruction;
using ::xla::HloOpcode;

std::optional<CollectiveKind> KindOf(const HloInstruction* i) {
  switch (i->opcode()) {
    case HloOpcode::kAllReduce:
    case HloOpcode::kAllReduceStart:
      return CollectiveKind::kAllReduce;
    case HloOpcode::kAllGather:
    case HloOpcode::kAllGatherStart:
      return CollectiveKind::kAllGather;
    case HloOpcode::kReduceScatter:
      return CollectiveKind::kReduceScatter;
    case HloOpcode::kAllToAll:
    case HloOpcode::kRaggedAllToAll:
      return CollectiveKind::kAllToAll;
    case HloOpcode::kCollectivePermute:
    case HloOpcode::kCollectivePermuteStart:
      return CollectiveKind::kCollectivePermute;
    default:
      return std::nullopt;
  }
}

int64_t ByteSize(const ::xla::Shape& shape) {
  int64_t bytes = 0;
  for (const auto& leaf : ::xla::ShapeUtil::GetLeafShapes(shape)) {
    if (leaf.shape.IsArray()) bytes += ::xla::ShapeUtil::ByteSizeOfElements(leaf.shape);
  }
  return bytes;
}

// As sharding::Collective counts them.
Bytes BytesOf(const HloInstruction* i, CollectiveKind kind) {
  if (kind == CollectiveKind::kAllGather && i->opcode() == HloOpcode::kAllGather) return Bytes(ByteSize(i->shape()));
  int64_t bytes = 0;
  for (const HloInstruction* operand : i->operands()) bytes += ByteSize(operand->shape());
  if (kind == CollectiveKind::kAllGather) {  // all-gather-start: its shape holds operands and results
    bytes = ByteSize(i->shape()) - bytes;
  }
  return Bytes(bytes);
}

std::vector<int> AxesOf(const HloInstruction* i, CollectiveKind kind, const cluster::Mesh& mesh) {
  if (kind == CollectiveKind::kCollectivePermute) return AxesOfPairs(i->source_target_pairs(), mesh);
  return AxesOfCollective(i, mesh).value_or(std::vector<int>());
}

}  // namespace

std::vector<plan::CollectiveTotal> CountCollectives(const ::xla::HloModule& module, const cluster::Mesh& mesh) {
  plan::CollectiveTotals totals;
  for (const auto* computation : module.computations()) {
    for (const HloInstruction* i : computation->instructions()) {
      if (const auto kind = KindOf(i); kind.has_value()) totals.Add({*kind, AxesOf(i, *kind, mesh), BytesOf(i, *kind)});
    }
  }
  return totals.Get();
}

}  // namespace alpa::xla
