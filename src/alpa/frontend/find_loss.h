// Which result of a step is its loss.
#pragma once

#include <cstdint>

#include "alpa/ir/module.h"
#include "alpa/ir/step.h"

namespace alpa::frontend {

// The output that is the loss (see AssignRoles), or -1. Reads which inputs and outputs are state from `signature`.
int32_t FindLoss(const ir::Module& module, const ir::StepSignature& signature);

}  // namespace alpa::frontend
