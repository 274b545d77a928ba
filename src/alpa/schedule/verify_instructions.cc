#include <fmt/format.h>

#include <array>

#include "alpa/schedule/check.h"

namespace alpa::schedule {
namespace {

// Why the pipeline has no such instruction; null if it has.
const char* NotInSchedule(const Pipeline& pipeline, const Instruction& instruction) {
  const bool split = SplitsBackward(pipeline.kind), backward = HasBackward(pipeline.kind);
  const auto i = static_cast<size_t>(instruction.index);
  switch (instruction.op) {
    case Op::kForward:
    case Op::kUpdate:  // its rounds are checked with the operands
    case Op::kFreeInput:
      return nullptr;
    case Op::kBackward:
      return backward && !split ? nullptr : "this schedule has no undivided backward";
    case Op::kFreeActivations:
      return backward ? nullptr : "this schedule has no backward";
    case Op::kBackwardInput:
    case Op::kBackwardWeight:
    case Op::kFreeWeightInputs:
      return split ? nullptr : "this schedule does not split backward";
    case Op::kSendActivation:
    case Op::kReceiveActivation:
      return IsLocal(pipeline, pipeline.edges[i]) ? "both ends lie on this mesh" : nullptr;
    case Op::kSendCotangent:
    case Op::kReceiveCotangent:
    case Op::kFreeCotangent:
      if (!backward || !pipeline.edges[i].cotangent) return "nothing flows back over this edge";
      return instruction.op != Op::kFreeCotangent && IsLocal(pipeline, pipeline.edges[i]) ? "both ends lie on this mesh"
                                                                                          : nullptr;
    case Op::kSendStep:
    case Op::kReceiveStep:
      return IsLocal(pipeline, pipeline.step_edges[i]) ? "both ends lie on this mesh" : nullptr;
    case Op::kFreeStep:
      return pipeline.step_edges[i].round == pipeline.update_rounds ? "this value is state" : nullptr;
  }
  return "unknown instruction";
}

}  // namespace

Error BadInstruction(int32_t mesh, size_t position, const Instruction& instruction, const std::string& what) {
  return Error{Code::kInvalidInput,
               fmt::format("mesh {}, instruction {}, {}: {}", mesh, position, ToString(instruction), what), ""};
}

Status VerifyInstructions(const Program& program, const Pipeline& pipeline) {
  if (program.meshes.size() != static_cast<size_t>(pipeline.meshes))
    return Error{
        Code::kInvalidInput,
        fmt::format("a program for {} meshes, where the pipeline has {}", program.meshes.size(), pipeline.meshes), ""};
  const std::array<size_t, 3> counts = {pipeline.stages.size(), pipeline.edges.size(), pipeline.step_edges.size()};
  for (size_t mesh = 0; mesh < program.meshes.size(); ++mesh) {
    for (size_t i = 0; i < program.meshes[mesh].size(); ++i) {
      const Instruction& instruction = program.meshes[mesh][i];
      const auto number = static_cast<int32_t>(mesh);
      const Operand operand = OperandOf(instruction.op);
      const int32_t limit = operand == Operand::kStepEdge   ? 1
                            : instruction.op == Op::kUpdate ? pipeline.update_rounds
                                                            : pipeline.microbatches;
      if (instruction.index < 0 || static_cast<size_t>(instruction.index) >= counts[static_cast<size_t>(operand)])
        return BadInstruction(number, i, instruction,
                              fmt::format("there are {} of these", counts[static_cast<size_t>(operand)]));
      if (instruction.microbatch < 0 || instruction.microbatch >= limit)
        return BadInstruction(
            number, i, instruction,
            fmt::format("there are {} {}", limit, instruction.op == Op::kUpdate ? "rounds" : "microbatches"));
      if (MeshOf(pipeline, instruction) != number)
        return BadInstruction(number, i, instruction, fmt::format("belongs to mesh {}", MeshOf(pipeline, instruction)));
      if (const char* reason = NotInSchedule(pipeline, instruction))
        return BadInstruction(number, i, instruction, reason);
    }
  }
  return Ok();
}

}  // namespace alpa::schedule
