// A pipeline for one shape of a model around the stages and the state of the pipeline of another shape.
#pragma once

#include "alpa/base/result.h"
#include "alpa/cluster/cluster.h"
#include "alpa/driver/find_pipeline.h"
#include "alpa/driver/load_step.h"

namespace alpa::driver {

// The layers of `loaded` that plans around `base` are made of: as many, with branches if it has any. Errors of
// FindLayers.
Result<frontend::Layering> LayersAround(const FoundPipeline& base, const LoadedStep& loaded);

// The best number of microbatches with the stages (ranges of layers, devices, schedule) of `base`, which was found for
// `base_loaded`, and state that lies as there. kInvalidArgument: the models' stages do not own the same state, or
// nothing fits; errors of SolveStages.
Result<plan::PipelinePlan> PlanPinned(const LoadedStep& loaded, const LoadedStep& base_loaded,
                                      const FoundPipeline& base, const cluster::Cluster& cluster,
                                      const FindPipelineOptions& options);

}  // namespace alpa::driver
