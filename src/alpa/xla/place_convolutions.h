// Convolutions in layouts that XLA's partitioner gets right.
#pragma once

#include "absl/status/status.h"
#include "alpa/cluster/mesh.h"
#include "alpa/ir/module.h"

namespace xla {
class HloModule;
}

namespace alpa::xla {

// On meshes of several axes the partitioner computes some convolutions wrong: where it sums up what devices see of the
// image or of the features, it adds all devices' parts, also those that repeat others' work. Layouts that are those of
// a sharding strategy (which leave these cases out) are right. In `module`, made from `step`, with the shardings that
// propagation gave, operands of every other convolution are brought into those of the strategy that moves least.
// Convolutions that `step` does not know (in bodies of loops) compute the whole on each device unless only their batch
// is split.
absl::Status PlaceConvolutions(::xla::HloModule& module, const ir::Module& step, const cluster::Mesh& mesh);

}  // namespace alpa::xla
