// Sums over an axis leave the loops they are made in.
#pragma once

#include "absl/status/status.h"

namespace xla {
class HloModule;
}

namespace alpa::xla {

// A loop that adds sums over partitions to something it carries (the gradient of a weight that each turn uses), or
// writes them into it turn by turn (stacked weights), and carries it for that alone and from zeros on, can as well
// carry what this partition adds, and leave the summing to whoever reads it behind the loop. In `module`, the program
// of one partition, all-reduces in bodies of loops are moved behind the loops where that is so, out of inner loops
// first.
absl::Status SinkSums(::xla::HloModule& module);

}  // namespace alpa::xla
