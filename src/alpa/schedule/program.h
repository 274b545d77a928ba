// What each mesh does in a step: static lists of instructions, executed one after the other. No coordination at run
// time: sends do not wait, receives do. The runtime executes these lists, the simulator simulates them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/schedule/pipeline.h"

namespace alpa::schedule {

// The operand `index` is a stage, an edge or a step edge; `microbatch` a microbatch, a round, or 0.
enum class Op : uint8_t {
  // Computing. Operand: stage; microbatch (kUpdate: round).
  kForward,         // reads its inputs, writes its outputs and the activations that backward needs
  kBackward,        // reads activations and cotangents, writes cotangents, adds to the stage's gradients
  kBackwardInput,   // the part of it that other stages wait for
  kBackwardWeight,  // the rest: adds to the stage's gradients
  kUpdate,          // reads gradients and values of step edges
  // Sending and receiving. Operand: edge; microbatch. A send takes its buffer along: whoever executes it frees the
  // buffer when the transfer is done. A receive waits until the value is there; it may be posted earlier, and buffers
  // it writes are the executor's until then.
  kSendActivation,
  kReceiveActivation,
  kSendCotangent,
  kReceiveCotangent,
  // Operand: step edge; 0.
  kSendStep,
  kReceiveStep,
  // Freeing. Operand: edge; microbatch.
  kFreeInput,      // an activation as its reader has it
  kFreeCotangent,  // a cotangent as its reader has it
  // Operand: stage; microbatch.
  kFreeActivations,   // what forward kept for backward (for backward-input, if split)
  kFreeWeightInputs,  // what forward and backward-input kept for backward-weight
  // Operand: step edge; 0.
  kFreeStep,
};
inline constexpr int kOpCount = 16;

// "forward", "send-activation", "free-input", ...
std::string_view Name(Op op);

// What the operand `index` counts.
enum class Operand : uint8_t { kStage, kEdge, kStepEdge };
Operand OperandOf(Op op);

inline bool IsCompute(Op op) { return op <= Op::kUpdate; }
inline bool IsSend(Op op) { return op == Op::kSendActivation || op == Op::kSendCotangent || op == Op::kSendStep; }
inline bool IsReceive(Op op) {
  return op == Op::kReceiveActivation || op == Op::kReceiveCotangent || op == Op::kReceiveStep;
}

struct Instruction {
  Op op = Op::kForward;
  int32_t index = 0;
  int32_t microbatch = 0;
  bool operator==(const Instruction&) const = default;
};

// One list per mesh. 12 bytes per instruction, about nine instructions per stage and microbatch.
struct Program {
  std::vector<std::vector<Instruction>> meshes;
  bool operator==(const Program&) const = default;
  int64_t size() const;  // instructions of all meshes
};

// The mesh that executes the instruction; the operand must be in range.
int32_t MeshOf(const Pipeline& pipeline, const Instruction& instruction);

// "forward s2 k5": stage 2, microbatch 5. "send-activation e1 k0": edge. "update s2 r1": round. "send-step x3": step
// edge.
std::string ToString(const Instruction& instruction);

// One line per instruction below a line "mesh 3" per mesh; parses back.
std::string ToString(const Program& program);
// Blank lines and what follows a '#' are ignored. kInvalidInput names the line and what is wrong with it.
Result<Program> ParseProgram(std::string_view text);

}  // namespace alpa::schedule
