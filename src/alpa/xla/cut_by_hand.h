// Ops that XLA's partitioner cannot cut along the batch are cut here.
#pragma once

#include "absl/status/status.h"
#include "alpa/xla/engine.h"

namespace xla {
class HloModule;
}

namespace alpa::xla {

// For some ops the partitioner gathers the whole batch on each device: Fourier transforms, top-k and other calls,
// decompositions, convolutions in groups. In `hlo`, the step of `module`, those that work on blocks (by
// `split.batch_dims`) are put into brackets between which the program is that of one partition already ("manual"
// sharding); what they sum over the batch is followed by an all-reduce.
absl::Status CutByHand(::xla::HloModule& hlo, const ir::Module& module, const MicrobatchSplit& split);

// Index arithmetic that ends where it began, at positions (jnp.arange, wrapped as negative numbers would be), becomes
// plain iotas: the partitioner recognises these where an op pairs each example with itself.
absl::Status ShowPositions(::xla::HloModule& hlo);

}  // namespace alpa::xla
