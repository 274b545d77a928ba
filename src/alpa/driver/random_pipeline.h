// Plans that nobody would make: random stages, meshes, schedules and layouts, to test the runtime with.
#pragma once

#include <cstdint>
#include <string>

#include "alpa/base/result.h"
#include "alpa/cluster/cluster.h"
#include "alpa/driver/load_step.h"
#include "alpa/plan/pipeline_plan.h"

namespace alpa::driver {

struct RandomPipelineOptions {
  uint64_t seed = 0;            // the same plan for the same seed
  bool per_microbatch = false;  // as FindPipelineOptions
  int64_t microbatches = 0;     // 0: any of the legal numbers up to 16
};

// A legal plan on devices of the cluster's first host: up to 8 layers cut anywhere into up to 6 stages (branches
// included), meshes of unequal sizes and shapes, any schedule that the stages allow, recomputation at random. A stage's
// layout is the solver's for a random split of the batch, with a tight memory limit, or with parameters that lie at
// random; in some stages ops take random strategies besides. Predictions say nothing. kInvalidArgument: microbatches
// that the step cannot be cut into.
Result<plan::PipelinePlan> RandomPipeline(const LoadedStep& loaded, const cluster::Cluster& cluster,
                                          const RandomPipelineOptions& options);

// "m=4 1f1b apart: 0-1 on 1x2, 2 on 2x2 again, ...": layers and mesh of each stage; "again": recomputed.
std::string DescribeInLine(const plan::PipelinePlan& plan);

}  // namespace alpa::driver
