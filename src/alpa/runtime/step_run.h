// One execution of a step by a pipeline.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/process/activity.h"
#include "alpa/runtime/compiled_pipeline.h"
#include "alpa/runtime/memory_meter.h"
#include "alpa/runtime/stage_arrays.h"
#include "alpa/runtime/step_timeline.h"

namespace alpa::runtime {

// What lasts from step to step.
struct RunContext {
  // A copy of shared state at a stage that does not own it, with the owner's array that it goes with.
  struct SharedCopy {
    const xla::Array* owner = nullptr;
    ArrayPtr array;
  };
  std::map<std::pair<int, int>, SharedCopy> shared;  // by stage and input
  int64_t step = 0;                                  // the number of the last one
  std::vector<process::Activity*> activities;        // by mesh; null: not here, or nobody watches
  std::vector<std::shared_ptr<MemoryMeter>> memory;  // by mesh
  StepTimeline* timeline = nullptr;                  // if wanted
};

// Each mesh of this process executes its list in a thread of its own; a second thread sends, and between processes a
// third one takes in what comes. Arguments and results as of MakePipelineExecutable.
Result<std::vector<std::unique_ptr<xla::Array>>> RunStep(CompiledPipeline& compiled, RunContext& context,
                                                         const std::vector<xla::Array*>& arguments);

}  // namespace alpa::runtime
