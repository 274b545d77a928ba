// Where state lives and is updated.
#pragma once

#include <vector>

#include "alpa/frontend/analyze_step.h"
#include "alpa/ir/module.h"

namespace alpa::frontend {

// Fills in the layers of inputs and update ops. On entry `layer_of_op` holds those of forward and backward ops, -1
// elsewhere; `count` layers; `free` as FreeOps.
//   inputs    the first layer that reads them in its forward pass, else in its backward pass; state that neither reads
//             (moments) where the parameter lives that is computed from it, else where its next value's operands are;
//             what is left (counters) in the last layer, batch inputs that nothing reads in the first
//   updates   what leads to the state of one layer alone: there. What leads to several (or to results): where its
//             arrays are if they are in one layer (a partial norm), else in the last
void PlaceUpdate(const ir::Module& module, const StepAnalysis& analysis, const std::vector<char>& free, int count,
                 std::vector<int>& layer_of_op);

}  // namespace alpa::frontend
