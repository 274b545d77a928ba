// What each input and output of a step is for.
#pragma once

#include <optional>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"

namespace alpa::frontend {

struct RoleOptions {
  // These inputs are the batch and all others are state (`--batch-args`). Without: found out.
  std::optional<std::vector<int>> batch_args;
};

// Pairs each state input with the output that is its next value; inputs without one are the batch, outputs without one
// are results. Evidence is donation, order, shape, type, and what an output is computed from (match_state.h); an input
// whose would-be next value carries the batch dimension is not state.
//   loss       the scalar result that depends, differentiably, on batch and state with the most dots and convolutions
//              before it among those that need no backward op. Backward is told by JAX's name stacks; where there are
//              none, by being more than half of the step.
//   parameter  floating state that the loss depends on; without a loss, floating state whose influence is not confined
//   to
//              its own update
// A step without state (evaluation) has only batch inputs. kAmbiguous when several readings are equally good (lists the
// candidates); kInvalidArgument when batch_args names no input, or leaves an input as state that no output can update.
Result<ir::StepSignature> AssignRoles(const ir::Module& module, const RoleOptions& options);

// "input 3 'batch['x']' f32[16,64]".
std::string DescribeInput(const ir::Module& module, int input);

// The role of each input, in order.
std::vector<ir::InputRole> RolesOf(const ir::StepSignature& signature);

}  // namespace alpa::frontend
