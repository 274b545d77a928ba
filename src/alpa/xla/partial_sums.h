// Sums over microbatches that each device adds up its part of, to be joined once per step instead of in every run.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "alpa/cluster/mesh.h"
#include "alpa/ir/module.h"

namespace xla {
class HloModule;
}

namespace alpa::xla {

// In `module`, the program of one device of `mesh`: an output (of `accumulate`) that is its input and what this run
// adds, where that is a linear function of sums over the same devices, which nobody else reads, becomes the input and
// this device's part. Returns by entry of `accumulate` the axes over which the parts are still to be summed up; none
// where nothing was left out.
std::vector<std::vector<int>> LeaveParts(::xla::HloModule& module, const cluster::Mesh& mesh,
                                         const std::vector<ir::Alias>& accumulate);

// Input `input` of `module` holds parts of sums over `axes`: it is summed up before anything reads it.
absl::Status JoinParts(::xla::HloModule& module, const cluster::Mesh& mesh, int input, const std::vector<int>& axes);

}  // namespace alpa::xla
