// The number of the partition, carried into loops.
#pragma once

#include "absl/status/status.h"

namespace xla {
class HloModule;
}

namespace alpa::xla {

// Lets loops that read `partition-id` in their bodies (also in loops inside them) carry it in from outside, so that of
// these only the entry computation reads it.
absl::Status CarryNumber(::xla::HloModule& module);

}  // namespace alpa::xla
