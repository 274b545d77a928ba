// All-reduces of which each device keeps a part become reduce-scatters.
#pragma once

#include "alpa/sharding/spec.h"

namespace xla {
class HloModule;
}

namespace alpa::xla {

// The SPMD partitioner sums over devices with all-reduces and then takes the part of each device with a dynamic slice
// at an offset that depends on the partition; XLA's pass that joins the two runs on GPUs only. In `module`, the program
// of one device of `mesh`, such pairs (also with conversions, copies and the like between, when nobody else reads
// those) become reduce-scatters over the axes that tell the parts apart, followed by an all-reduce over the remaining
// axes of the sum. Sums over some axes of sums over others, with which it joins partial results of scatters, become
// one.
void MakeReduceScatters(::xla::HloModule& module, const cluster::Mesh& mesh);

}  // namespace alpa::xla
