// Which state tensors belong together.
#pragma once

#include <string>
#include <vector>

#include "alpa/ir/module.h"
#include "alpa/ir/step.h"

namespace alpa::runtime {

// For each input what kind of tensor it is, so that values of one magnitude are judged together (first moments are not
// like second moments): "parameter" for parameters; for other state what its name has in front of a parameter's path
// ("opt_state.mu"), or else the last key of its name ("count", "mean"); without names, "slot 0", "slot 1", ... for runs
// of inputs shaped like the list of parameters, and "state 7" for others. Empty for batch inputs.
std::vector<std::string> StateKinds(const ir::Module& module, const ir::StepSignature& signature);

}  // namespace alpa::runtime
