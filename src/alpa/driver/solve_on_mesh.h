// One step on one mesh, as alpa plan's options say.
#pragma once

#include "alpa/base/result.h"
#include "alpa/cost/model.h"
#include "alpa/driver/find_pipeline.h"
#include "alpa/driver/load_step.h"
#include "alpa/driver/plan.h"
#include "alpa/intra/plan_step.h"

namespace alpa::driver {

// Method, pins, microbatches, memory and limits of the solver are taken from the options (`find`: what
// ReadPipelineOptions made of them); everything else from `how`. Errors as of intra::PlanStep and MakePlannerInput.
Result<intra::PlannedStep> SolveOnMesh(const LoadedStep& loaded, const cost::Model& model, const PlanOptions& options,
                                       const FindPipelineOptions& find, intra::PlanStepOptions how);

}  // namespace alpa::driver
