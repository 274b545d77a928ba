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

// Seconds in which devices compute, over seconds of all of them: devices weighted by number.
struct TimeShares {
  double busy = 0, waiting = 0, bubble = 0;  // they add up to 1
};
TimeShares SharesOf(const plan::PipelinePlan& plan, const SimulatedPlan& simulated);

}  // namespace alpa::driver
