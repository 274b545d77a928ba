// The order in which each mesh runs forwards and backwards: all that distinguishes one schedule from another.
#pragma once

#include <vector>

#include "alpa/schedule/pipeline.h"
#include "alpa/schedule/program.h"

namespace alpa::schedule {

// By mesh: kForward and kBackward, or kBackwardInput and kBackwardWeight. The pipeline must pass Verify.
//
// None of them can deadlock. On an acyclic graph with d(s) stages from s to the end, give forward k of stage s the
// number 2k - d(s) and its backward 2k + d(s) - 1: in 1F1B, whatever an instruction waits for (the one before it in the
// list included) has a smaller number. Adding backward-weight, which waits for nothing on another mesh, changes
// nothing.
std::vector<std::vector<Instruction>> ComputeOrder(const Pipeline& pipeline);

}  // namespace alpa::schedule
