// Runs a step as a pipeline: each mesh executes its list of instructions in a thread of its own (Alpa §6).
#pragma once

#include <memory>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/plan/plan.h"
#include "alpa/process/group.h"
#include "alpa/process/watch.h"
#include "alpa/runtime/pipeline.h"
#include "alpa/runtime/stage_arrays.h"
#include "alpa/runtime/step_timeline.h"
#include "alpa/xla/engine.h"

namespace alpa::runtime {

struct PipelineOptions {
  StepTimeline* timeline = nullptr;  // set by every run
  // By stage: what its programs communicate within its mesh in one step; empty for a stage of another process. Set
  // once.
  std::vector<std::vector<plan::CollectiveTotal>>* collectives = nullptr;
  // One process for each host of the plan, which all make the same calls in the same order; null: this one alone.
  process::Group* group = nullptr;
  process::Watch* watch = nullptr;  // is told what each mesh does
};

// Compiles the programs of all stages, each for its mesh: clients[m] has the devices of mesh m (null: they are all in
// other processes), and outlives the result. Its arguments and results are those of the step: arguments made by
// HostArray or results of earlier runs; state that is given is used up.
Result<std::unique_ptr<xla::Executable>> MakePipelineExecutable(const std::vector<xla::Client*>& clients,
                                                                const PipelineSetup& setup,
                                                                const PipelineOptions& options);

}  // namespace alpa::runtime
