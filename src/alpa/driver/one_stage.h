// A step on one mesh in microbatches, as a plan of one stage.
#pragma once

#include <cstdint>
#include <optional>

#include "alpa/base/result.h"
#include "alpa/driver/load_step.h"
#include "alpa/plan/pipeline_plan.h"

namespace alpa::driver {

struct OneStageOptions {
  int64_t microbatches = 1;
  bool per_microbatch = false;  // as PlanOptions
  int hosts = 1;                // the mesh lies on so many, with equally many devices
};

// The whole step as one stage on the mesh of `plan`, whose inputs lie as it says; what an op does beside is solved
// anew, for microbatches of this size. Errors as of CheckMicrobatches; kInvalidArgument where a microbatch has fewer
// examples than its batch is split into.
Result<plan::PipelinePlan> OneStage(const LoadedStep& loaded, const plan::Plan& plan, const OneStageOptions& options);

}  // namespace alpa::driver
