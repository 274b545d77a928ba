// Which part of the step each op belongs to.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "alpa/frontend/batch_dims.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"

namespace alpa::frontend {

enum class OpPhase : uint8_t {
  kForward,   // the loss depends on it; and what only results (metrics) need, unless it needs backward ops
  kBackward,  // the rest of what runs for each microbatch; recomputed forward ops are here
  kUpdate,    // runs once per step, on complete sums over the batch and on state
};
std::string_view Name(OpPhase phase);  // "forward", "backward", "update"

// The phase of each op, by OpId. Update ops neither read nor give values cut along the batch, and no op that does
// depends on them: running statistics and learning-rate schedules are update, batch statistics are not. Without a loss
// JAX's name stacks ("transpose(jvp(...))") tell backward from forward; without a batch they tell all three.
std::vector<OpPhase> AssignPhases(const ir::Module& module, const ir::StepSignature& signature,
                                  const BatchAnalysis& batch);

}  // namespace alpa::frontend
