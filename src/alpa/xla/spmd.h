// XLA's SPMD partitioner behind a narrow door: its headers are C++17 only.
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace xla {
class HloModule;
}

namespace alpa::xla {

// Gives the instructions without sharding one, that follows from the others'.
absl::Status PropagateShardings(::xla::HloModule& module);

// Turns the whole-array program of `module`, where all have shardings, into the program of one of `partitions` devices.
// Parameters and results change their shapes.
absl::Status PartitionBySharding(::xla::HloModule& module, int64_t partitions);

}  // namespace alpa::xla
