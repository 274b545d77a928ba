// A plan of several stages as the scheduler and the simulator want it.
#pragma once

#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/cluster/cluster.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/schedule/pipeline.h"
#include "alpa/schedule/program.h"
#include "alpa/simulate/simulate.h"

namespace alpa::driver {

// The stages as the scheduler sees them: those of one chunk number each on a mesh of its own.
Result<schedule::Pipeline> MakePipeline(const plan::PipelinePlan& plan);

// What stages and transfers cost, and where they lie. kMismatch when the plan is for more hosts or devices than the
// cluster has.
Result<simulate::Costs> MakeCosts(const plan::PipelinePlan& plan, const cluster::Cluster& cluster);

struct SimulatedPlan {
  schedule::Pipeline pipeline;
  schedule::Program program;
  simulate::Timeline timeline;
};
// Instruction lists of the plan, checked, and executed in simulated time.
Result<SimulatedPlan> SimulatePlan(const plan::PipelinePlan& plan, const cluster::Cluster& cluster,
                                   const simulate::Options& options);

}  // namespace alpa::driver
