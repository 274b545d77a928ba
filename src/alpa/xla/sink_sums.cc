#include "alpa/xla/sink_sums.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "alpa/xla/sums.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

using ::xla::HloComputation;
using ::xla::HloInstruction;
using ::xla::HloOpcode;

bool IsZero(const HloInstruction* i) {
  if (i->opcode() == HloOpcode::kConstant) return i->literal().IsAll(0);
  const bool copies = i->opcode() == HloOpcode::kBroadcast || i->opcode() == HloOpcode::kReshape ||
                      i->opcode() == HloOpcode::kCopy || i->opcode() == HloOpcode::kConvert;
  return copies && IsZero(i->operand(0));
}

// The operands in which `i` is linear, all at once; none when it is not.
std::vector<HloInstruction*> LinearOperands(HloInstruction* i) {
  const bool number = i->shape().IsArray() && i->shape().element_type() != ::xla::PRED;
  switch (i->opcode()) {
    case HloOpcode::kDynamicUpdateSlice:
      return {i->mutable_operand(0), i->mutable_operand(1)};
    case HloOpcode::kReduce: {
      const bool adds = i->operand_count() == 2 && IsZero(i->operand(1)) &&
                        i->to_apply()->root_instruction()->opcode() == HloOpcode::kAdd;
      if (!adds || !number) return {};
      return {i->mutable_operand(0)};
    }
    case HloOpcode::kBroadcast:
    case HloOpcode::kSlice:
    case HloOpcode::kDynamicSlice:
      return {i->mutable_operand(0)};
    default:
      return LinearOperandsInPlace(i);
  }
}

// One array that a loop carries.
class Carried {
 public:
  Carried(HloInstruction* loop, int64_t index)
      : loop_(loop), index_(index), body_root_(loop->while_body()->root_instruction()) {}

  // The sums in its way around the loop, if it can do without them there; else none.
  std::vector<HloInstruction*> Sums() {
    if (loop_->operand(0)->opcode() != HloOpcode::kTuple || body_root_->opcode() != HloOpcode::kTuple) return {};
    if (!IsZero(loop_->operand(0)->operand(index_))) return {};
    if (!ElementsIn(loop_->while_condition()).empty()) return {};
    if (loop_->IsRoot() || !OnlyElements(loop_) || !OnlyElements(loop_->while_body()->parameter_instruction(0)))
      return {};
    for (HloInstruction* element : ElementsIn(loop_->while_body())) start_.insert(element);
    if (!IsLinear(body_root_->mutable_operand(index_)) || !IsPrivate()) return {};
    return sums_;
  }

 private:
  static bool OnlyElements(const HloInstruction* tuple) {
    return std::all_of(tuple->users().begin(), tuple->users().end(),
                       [](const HloInstruction* u) { return u->opcode() == HloOpcode::kGetTupleElement; });
  }

  std::vector<HloInstruction*> ElementsIn(HloComputation* computation) const {
    std::vector<HloInstruction*> out;
    for (HloInstruction* user : computation->parameter_instruction(0)->users()) {
      if (user->opcode() == HloOpcode::kGetTupleElement && user->tuple_index() == index_) out.push_back(user);
    }
    return out;
  }

  // Whether `i` is a linear function of what is carried and of sums; remembers which.
  bool IsLinear(HloInstruction* i) {
    if (!way_.insert(i).second || start_.count(i) > 0) return true;
    if (IsSum(i)) {
      sums_.push_back(i);
      return true;
    }
    const std::vector<HloInstruction*> operands = LinearOperands(i);
    return !operands.empty() && std::all_of(operands.begin(), operands.end(), [&](auto* o) { return IsLinear(o); });
  }

  // Whether nobody else in the body reads what lies on the way.
  bool IsPrivate() const {
    std::unordered_set<const HloInstruction*> all(way_.begin(), way_.end());
    all.insert(start_.begin(), start_.end());
    for (const HloInstruction* i : all) {
      for (const HloInstruction* user : i->users()) {
        if (user != body_root_ && way_.count(user) == 0) return false;
      }
      for (int64_t o = 0; o < body_root_->operand_count(); ++o) {
        if (body_root_->operand(o) == i && o != index_) return false;
      }
    }
    return true;
  }

  HloInstruction* loop_;
  int64_t index_;
  HloInstruction* body_root_;
  std::unordered_set<const HloInstruction*> start_;  // the array as a turn gets it
  std::unordered_set<const HloInstruction*> way_;    // from there, and from sums, to what the turn makes of it
  std::vector<HloInstruction*> sums_;
};

absl::Status SinkFrom(HloInstruction* loop, int64_t index) {
  const std::vector<HloInstruction*> sums = Carried(loop, index).Sums();
  if (sums.empty()) return absl::OkStatus();
  HloComputation* outside = loop->parent();
  const std::vector<HloInstruction*> users(loop->users().begin(), loop->users().end());
  for (HloInstruction* element : users) {
    if (element->tuple_index() != index) continue;
    HloInstruction* part = outside->AddInstruction(HloInstruction::CreateGetTupleElement(loop, index));
    HloInstruction* sum = outside->AddInstruction(sums[0]->CloneWithNewOperands(element->shape(), {part}));
    if (absl::Status s = outside->ReplaceInstruction(element, sum); !s.ok()) return s;
  }
  for (HloInstruction* sum : sums) {
    if (absl::Status s = sum->parent()->ReplaceInstruction(sum, sum->mutable_operand(0)); !s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SinkSums(::xla::HloModule& module) {
  for (HloComputation* computation : module.MakeComputationPostOrder()) {  // callees first
    for (HloInstruction* i : computation->MakeInstructionPostOrder()) {
      if (i->opcode() != HloOpcode::kWhile || !i->shape().IsTuple()) continue;
      for (int64_t k = 0; k < static_cast<int64_t>(i->shape().tuple_shapes().size()); ++k) {
        if (absl::Status s = SinkFrom(i, k); !s.ok()) return s;
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace alpa::xla
