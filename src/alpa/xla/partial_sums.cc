#include "alpa/xla/partial_sums.h"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_set>

#include "alpa/xla/sums.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

using ::xla::HloInstruction;
using ::xla::HloOpcode;

// What one run adds to an accumulator.
class Addend {
 public:
  Addend(HloInstruction* value, HloInstruction* reader, const cluster::Mesh& mesh)
      : value_(value), reader_(reader), mesh_(mesh) {}

  // The axes of the sums that it is linear in, if these are the same for all and nobody else reads what lies between.
  std::vector<int> Axes() {
    if (!Follow(value_, reader_) || sums_.empty()) return {};
    return *axes_;
  }

  const std::vector<HloInstruction*>& sums() const { return sums_; }

 private:
  bool Follow(HloInstruction* i, const HloInstruction* reader) {
    if (std::any_of(i->users().begin(), i->users().end(), [&](const auto* user) { return user != reader; })) {
      return false;
    }
    if (IsSum(i)) return Take(i);
    const std::vector<HloInstruction*> operands = LinearOperandsInPlace(i);
    return !operands.empty() &&
           std::all_of(operands.begin(), operands.end(), [&](HloInstruction* o) { return Follow(o, i); });
  }

  bool Take(HloInstruction* sum) {
    const std::optional<std::vector<int>> axes = AxesOfCollective(sum, mesh_);
    if (!axes || (axes_ && *axes != *axes_)) return false;
    axes_ = axes;
    sums_.push_back(sum);
    return true;
  }

  HloInstruction* value_;
  HloInstruction* reader_;
  const cluster::Mesh& mesh_;
  std::optional<std::vector<int>> axes_;
  std::vector<HloInstruction*> sums_;
};

std::vector<int> LeavePartsOf(HloInstruction* output, const HloInstruction* input, const cluster::Mesh& mesh) {
  if (output->opcode() != HloOpcode::kAdd) return {};
  for (const int side : {0, 1}) {
    if (output->operand(side) != input || output->operand(1 - side) == input) continue;
    Addend addend(output->mutable_operand(1 - side), output, mesh);
    std::vector<int> axes = addend.Axes();
    if (axes.empty()) return {};
    for (HloInstruction* sum : addend.sums()) {
      const absl::Status status = sum->ReplaceAllUsesWith(sum->mutable_operand(0));
      ALPA_CHECK(status.ok(), std::string(status.message()));
    }
    return axes;
  }
  return {};
}

}  // namespace

std::vector<std::vector<int>> LeaveParts(::xla::HloModule& module, const cluster::Mesh& mesh,
                                         const std::vector<ir::Alias>& accumulate) {
  ::xla::HloComputation* entry = module.entry_computation();
  HloInstruction* root = entry->root_instruction();
  std::vector<std::vector<int>> out;
  for (const ir::Alias& a : accumulate) {
    const bool tuple = root->opcode() == HloOpcode::kTuple;
    HloInstruction* output = tuple ? root->mutable_operand(a.output) : root;
    out.push_back(LeavePartsOf(output, entry->parameter_instruction(a.input), mesh));
  }
  return out;
}

absl::Status JoinParts(::xla::HloModule& module, const cluster::Mesh& mesh, int input, const std::vector<int>& axes) {
  HloInstruction* parts = module.entry_computation()->parameter_instruction(input);
  const std::vector<HloInstruction*> readers(parts->users().begin(), parts->users().end());
  HloInstruction* sum = SumOver(parts, Addition(module, parts->shape()), axes, mesh, FreeChannel(module));
  for (HloInstruction* reader : readers) {
    if (absl::Status s = parts->ReplaceUseWith(reader, sum); !s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace alpa::xla
