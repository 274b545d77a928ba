// Element-wise reductions of host memory, for collectives of our own.
#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "xla/core/collectives/reduction_kind.h"
#include "xla/xla_data.pb.h"

namespace alpa::xla {

// accumulated[i] = accumulated[i] (op) next[i] for `count` elements of `type`. Minimum and maximum of a NaN are NaN. On
// pred, sum and maximum mean "or", product and minimum "and". Unimplemented for other than floats of 16 bits or more,
// integers of 8 bits or more, pred, and sums and products of complex numbers.
absl::Status ReduceElements(void* accumulated, const void* next, size_t count, ::xla::PrimitiveType type,
                            ::xla::ReductionKind kind);

}  // namespace alpa::xla
