// How large the integers in a batch may be, read off what the step does with them.
#pragma once

#include <cstdint>
#include <optional>

#include "alpa/ir/module.h"

namespace alpa::runtime {

// The number of values that make sense in integer input `input` (so 0 .. bound-1), or nothing when its uses do not say:
// the smallest extent among the dimensions it indexes (gather, scatter, dynamic slices) and the iotas it is compared
// with for equality (one-hot). Follows the input through shape changes, conversions, clamps and the wrapping of
// negative indices. O(ops).
std::optional<int64_t> IndexBound(const ir::Module& module, int32_t input);

}  // namespace alpa::runtime
