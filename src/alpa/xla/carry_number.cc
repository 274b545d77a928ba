#include "alpa/xla/carry_number.h"

#include <vector>

#include "alpa/xla/xla_pch.h"
#include "xla/service/while_util.h"

namespace alpa::xla {
namespace {

using ::xla::HloComputation;
using ::xla::HloInstruction;
using ::xla::HloOpcode;

// The instruction in `computation` that is the number of the partition; null when it has none.
HloInstruction* NumberIn(HloComputation* computation) {
  for (HloInstruction* i : computation->instructions()) {
    if (i->opcode() == HloOpcode::kPartitionId) return i;
  }
  return nullptr;
}

// Loops in the computation whose bodies read the number.
std::vector<HloInstruction*> LoopsWithNumber(HloComputation* computation) {
  std::vector<HloInstruction*> out;
  for (HloInstruction* i : computation->MakeInstructionPostOrder()) {
    if (i->opcode() == HloOpcode::kWhile && NumberIn(i->while_body()) != nullptr) out.push_back(i);
  }
  return out;
}

// `number` is the number of the partition in `computation`, whatever instruction that is there.
absl::Status CarryInto(HloComputation* computation, HloInstruction* number) {
  for (HloInstruction* loop : LoopsWithNumber(computation)) {
    const auto carried = ::xla::WhileUtil::MakeInstructionsLiveIn(loop, {number});
    if (!carried.ok()) return carried.status();
    HloComputation* body = carried->new_while_instr->while_body();
    HloInstruction* inside = carried->while_body_live_in_values[0];
    if (absl::Status s = CarryInto(body, inside); !s.ok()) return s;
    while (HloInstruction* read = NumberIn(body)) {
      if (absl::Status s = body->ReplaceInstruction(read, inside); !s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CarryNumber(::xla::HloModule& module) {
  for (HloComputation* computation : module.MakeComputationPostOrder()) {  // callees first
    if (LoopsWithNumber(computation).empty() || NumberIn(computation) != nullptr) continue;
    computation->AddInstruction(HloInstruction::CreatePartitionId());
  }
  HloInstruction* number = NumberIn(module.entry_computation());
  return number == nullptr ? absl::OkStatus() : CarryInto(module.entry_computation(), number);
}

}  // namespace alpa::xla
