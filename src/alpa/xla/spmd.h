// XLA's SPMD partitioner behind a narrow door: its headers are C++17 only.
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace xla {
class HloModule;
}

namespace alpa::xla {

// Turns the whole-array program of `module` into the program of one of `partitions` devices: gives the instructions
// without sharding one by propagation, then partitions. Parameters and results change their shapes.
absl::Status RunSpmd(::xla::HloModule& module, int64_t partitions);

}  // namespace alpa::xla
