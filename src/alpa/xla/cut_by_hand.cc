#include "alpa/xla/cut_by_hand.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "alpa/xla/sums.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

using ::xla::HloComputation;
using ::xla::HloInstruction;
using ::xla::HloOpcode;
using ::xla::HloSharding;
using ::xla::Shape;

bool NeedsHelp(const HloInstruction* i) {
  switch (i->opcode()) {
    case HloOpcode::kFft:
    case HloOpcode::kTopK:
    case HloOpcode::kCholesky:
    case HloOpcode::kTriangularSolve:
      return true;
    case HloOpcode::kConvolution:
      return i->feature_group_count() > 1 || i->batch_group_count() > 1;
    case HloOpcode::kCustomCall:
      return i->custom_call_target().find("Sharding") == std::string::npos && !i->HasSideEffect();
    default:
      return false;
  }
}

class Cutter {
 public:
  Cutter(HloComputation* entry, const MicrobatchSplit& split) : entry_(entry), split_(split) {}

  absl::Status Cut(HloInstruction* i, const ir::Op& op) {
    const bool simple = i->operand_count() == static_cast<int64_t>(op.operands.size()) &&
                        std::all_of(i->operands().begin(), i->operands().end(),
                                    [](const HloInstruction* o) { return o->shape().IsArray(); });
    const bool cut = std::any_of(op.operands.begin(), op.operands.end(), [&](ir::ValueId v) { return Dim(v) >= 0; });
    if (!simple || !cut) return absl::OkStatus();
    std::vector<HloInstruction*> operands;
    for (size_t o = 0; o < op.operands.size(); ++o) {
      operands.push_back(Enter(i->mutable_operand(static_cast<int64_t>(o)), Dim(op.operands[o])));
    }
    if (i->shape().IsArray()) {
      HloInstruction* block = Manual(i->CloneWithNewOperands(Block(i->shape(), Dim(op.results[0])), operands));
      return entry_->ReplaceInstruction(i, Leave(block, i->shape(), Dim(op.results[0])));
    }
    std::vector<Shape> shapes;
    for (size_t r = 0; r < op.results.size(); ++r)
      shapes.push_back(Block(i->shape().tuple_shapes(r), Dim(op.results[r])));
    HloInstruction* block = Manual(i->CloneWithNewOperands(::xla::ShapeUtil::MakeTupleShape(shapes), operands));
    std::vector<HloInstruction*> results;
    for (size_t r = 0; r < shapes.size(); ++r) {
      HloInstruction* element = Manual(HloInstruction::CreateGetTupleElement(block, static_cast<int64_t>(r)));
      results.push_back(Leave(element, i->shape().tuple_shapes(r), Dim(op.results[r])));
    }
    return entry_->ReplaceInstruction(i, entry_->AddInstruction(HloInstruction::CreateTuple(results)));
  }

 private:
  int Dim(ir::ValueId v) const { return split_.batch_dims[static_cast<size_t>(v)]; }

  Shape Block(Shape shape, int dim) const {
    if (dim >= 0) shape.set_dimensions(dim, shape.dimensions(dim) / split_.count);
    return shape;
  }

  HloSharding Lies(const Shape& shape, int dim) const {
    if (dim < 0) return HloSharding::Replicate();
    std::vector<int64_t> tiles(shape.dimensions().size(), 1);
    tiles[static_cast<size_t>(dim)] = split_.count;
    return HloSharding::IotaTile(tiles);
  }

  HloInstruction* Manual(std::unique_ptr<HloInstruction> i) {
    i->set_sharding(HloSharding::Single(i->shape(), HloSharding::Manual()));
    return entry_->AddInstruction(std::move(i));
  }

  // The brackets: between them values have the shapes of blocks.
  HloInstruction* Enter(HloInstruction* whole, int dim) {
    HloInstruction* placed =
        entry_->AddInstruction(HloInstruction::CreateUnary(whole->shape(), HloOpcode::kCopy, whole));
    placed->set_sharding(Lies(whole->shape(), dim));
    return Manual(HloInstruction::CreateCustomCall(Block(whole->shape(), dim), {placed}, "SPMDFullToShardShape"));
  }
  HloInstruction* Leave(HloInstruction* block, const Shape& whole, int dim) {
    if (dim < 0) block = Sum(block);
    HloInstruction* out =
        entry_->AddInstruction(HloInstruction::CreateCustomCall(whole, {block}, "SPMDShardToFullShape"));
    out->set_sharding(Lies(whole, dim));
    return out;
  }

  // What blocks give of a value that is not cut adds up.
  HloInstruction* Sum(HloInstruction* part) {
    HloComputation* adds = Addition(*entry_->parent(), part->shape());
    ::xla::ReplicaGroup all;
    for (int64_t m = 0; m < split_.count; ++m) all.add_replica_ids(m);
    return Manual(HloInstruction::CreateAllReduce(part->shape(), {part}, adds,
                                                  ::xla::CollectiveDeviceList(std::vector<::xla::ReplicaGroup>{all}),
                                                  /*constrain_layout=*/false, ++channel_,
                                                  /*use_global_device_ids=*/true));
  }

  HloComputation* entry_;
  const MicrobatchSplit& split_;
  int64_t channel_ = 0;
};

// ---- positions

// The dimension of `to` that is dimension `dim` of `from` after a reshape which leaves it alone, or -1.
int64_t SameDimension(const Shape& from, const Shape& to, int64_t dim) {
  int64_t before = 1;
  for (int64_t d = 0; d < dim; ++d) before *= from.dimensions(static_cast<int>(d));
  int64_t at = 1;
  for (size_t k = 0; k < to.dimensions().size(); at *= to.dimensions(static_cast<int>(k++))) {
    const bool same = at == before && to.dimensions(static_cast<int>(k)) == from.dimensions(static_cast<int>(dim));
    if (same && to.dimensions(static_cast<int>(k)) > 1) return static_cast<int64_t>(k);
  }
  return -1;
}

// The dimension along which the elements of `i` are just their positions, or -1.
int64_t PositionDim(const HloInstruction* i) {
  switch (i->opcode()) {
    case HloOpcode::kIota:
      return ::xla::Cast<::xla::HloIotaInstruction>(i)->iota_dimension();
    case HloOpcode::kCopy:
    case HloOpcode::kConvert:
      return ::xla::primitive_util::IsIntegralType(i->shape().element_type()) ? PositionDim(i->operand(0)) : -1;
    case HloOpcode::kReshape: {
      const int64_t dim = PositionDim(i->operand(0));
      return dim < 0 ? -1 : SameDimension(i->operand(0)->shape(), i->shape(), dim);
    }
    case HloOpcode::kBroadcast: {
      const int64_t dim = PositionDim(i->operand(0));
      return dim < 0 ? -1 : i->dimensions(dim);
    }
    case HloOpcode::kSelect: {  // i < 0 ? i + n : i
      const HloInstruction* test = i->operand(0);
      const bool wraps = test->opcode() == HloOpcode::kCompare && i->operand(1)->opcode() == HloOpcode::kAdd &&
                         test->comparison_direction() == ::xla::ComparisonDirection::kLt &&
                         test->operand(0) == i->operand(2) && i->operand(1)->operand(0) == i->operand(2);
      return wraps ? PositionDim(i->operand(2)) : -1;
    }
    default:
      return -1;
  }
}

}  // namespace

absl::Status CutByHand(::xla::HloModule& hlo, const ir::Module& module, const MicrobatchSplit& split) {
  std::unordered_map<std::string, const ir::Op*> ops;
  for (const ir::Op& op : module.ops) ops.emplace(op.name, &op);
  Cutter cutter(hlo.entry_computation(), split);
  for (HloInstruction* i : hlo.entry_computation()->MakeInstructionPostOrder()) {
    if (!NeedsHelp(i)) continue;
    const auto op = ops.find(std::string(i->name()));
    if (op == ops.end()) continue;
    if (absl::Status s = cutter.Cut(i, *op->second); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status ShowPositions(::xla::HloModule& hlo) {
  for (HloComputation* computation : hlo.computations()) {
    for (HloInstruction* i : computation->MakeInstructionPostOrder()) {
      if (i->opcode() == HloOpcode::kIota || !i->shape().IsArray()) continue;
      const int64_t dim = PositionDim(i);
      if (dim < 0) continue;
      HloInstruction* iota = computation->AddInstruction(HloInstruction::CreateIota(i->shape(), dim));
      if (absl::Status s = computation->ReplaceInstruction(i, iota); !s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

}  // namespace alpa::xla
