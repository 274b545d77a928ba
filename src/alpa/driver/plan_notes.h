// What a planner knows beside the plan, written down for alpa report.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/cost/model.h"
#include "alpa/driver/find_pipeline.h"
#include "alpa/driver/load_step.h"
#include "alpa/intra/plan_step.h"
#include "alpa/plan/notes.h"
#include "alpa/report/pipeline_table.h"

namespace alpa::driver {

// Of a plan of several stages: batch size, layers, the largest arrays of each stage. `loaded` is the step that it is
// for (taken apart, if the plan says so), `layering` its layers.
plan::Notes StageNotes(const LoadedStep& loaded, const frontend::Layering& layering, const plan::PipelinePlan& plan);

// The same, and what `page` says. Errors are those of taking the step apart, which worked when it was planned.
Result<plan::Notes> PipelineNotes(const LoadedStep& loaded, const FoundPipeline& found,
                                  const report::PipelinePage& page);

// Of a plan of one mesh: what runs when and how much memory it holds, the largest inputs with their alternatives.
// `microbatches` and `per_microbatch` as it was planned.
Result<plan::Notes> MeshNotes(const LoadedStep& loaded, const cost::Model& model, const intra::PlannedStep& planned,
                              int64_t microbatches, bool per_microbatch);

// What the names of a layer's parameters have in common, as short as it can be: "h.3" of "params['h'][3]['fc1']['w']"
// and others; "wte, h.0" of several; at most `most` parts.
std::string LayerName(const std::vector<std::string>& parameters, size_t most = 3);

}  // namespace alpa::driver
