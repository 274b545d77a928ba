// Whether costs can be simulated.
#pragma once

#include "alpa/base/result.h"
#include "alpa/schedule/pipeline.h"
#include "alpa/simulate/simulate.h"

namespace alpa::simulate {

// Vectors as long as the pipeline's, numbers finite and not negative, meshes on hosts that are there, with devices.
// kInvalidArgument names the stage, edge, mesh or host.
Status Verify(const Costs& costs, const schedule::Pipeline& pipeline);

}  // namespace alpa::simulate
