// What a run did, as a picture.
#pragma once

#include <cstdint>
#include <string>

#include "alpa/base/units.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/runtime/pipeline_client.h"

namespace alpa::driver {

// Chrome trace events (JSON), to be opened at ui.perfetto.dev: the last step of `client` as measured (process
// "measured"), and beside it the same plan as simulated on its cluster (left out where that cannot be simulated, as
// when the cluster was a file that is gone).
std::string TraceOf(const runtime::PipelineClient& client, const plan::PipelinePlan& plan);

// The same of a plan of one mesh, of which only the whole step is known: one slice, `step` on `devices`.
std::string TraceOfStep(int64_t step, Seconds wall, int64_t devices);

}  // namespace alpa::driver
