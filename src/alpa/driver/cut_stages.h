// From a plan of several stages to a pipeline that can be compiled.
#pragma once

#include "alpa/base/result.h"
#include "alpa/driver/load_step.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/runtime/pipeline.h"
#include "alpa/xla/engine.h"

namespace alpa::driver {

// Cuts the stages of `plan` out of the step, which was taken apart first if the plan says so (`hlo`: the step as it was
// imported). kMismatch when the plan is for another step; errors of Engine::CutStage; errors name the stage.
Result<runtime::PipelineSetup> CutStages(xla::Engine& engine, const LoadedStep& loaded, const std::string& hlo,
                                         const plan::PipelinePlan& plan);

}  // namespace alpa::driver
