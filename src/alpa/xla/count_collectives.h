// What a partitioned program communicates.
#pragma once

#include <vector>

#include "alpa/plan/plan.h"

namespace xla {
class HloModule;
}

namespace alpa::xla {

// The collectives of `module`, a program of one device of `mesh`, added up by kind and axes, in this order; those in
// the body of a loop once. Groups of devices that run along no mesh axes come as a total without axes.
std::vector<plan::CollectiveTotal> CountCollectives(const ::xla::HloModule& module, const cluster::Mesh& mesh);

}  // namespace alpa::xla
