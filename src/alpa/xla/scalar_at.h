// The value of an index computation on one partition.
#pragma once

#include <cstdint>
#include <optional>

namespace xla {
class HloInstruction;
}

namespace alpa::xla {

// What the integer with one element that `i` computes is on partition `partition`. Nothing when it depends on more than
// constants and the partition, or on ops that index computations of the SPMD partitioner do not use.
std::optional<int64_t> ScalarAt(const ::xla::HloInstruction* i, int64_t partition);

}  // namespace alpa::xla
