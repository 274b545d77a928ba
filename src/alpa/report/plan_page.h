// Plans as one self-contained page (HTML) for a browser: what alpa report writes.
#pragma once

#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/cluster/cluster.h"
#include "alpa/plan/notes.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/plan/plan.h"
#include "alpa/plan/plan_family.h"
#include "alpa/report/measured.h"
#include "alpa/schedule/pipeline.h"
#include "alpa/simulate/simulate.h"

namespace alpa::report {

// A plan on the page; of `pipeline` and `mesh` one is set. What is not known is left out, and the page says so.
struct PlanOnPage {
  std::string name;  // of the file, or of the shape
  const plan::PipelinePlan* pipeline = nullptr;
  const plan::Plan* mesh = nullptr;
  const plan::Notes* notes = nullptr;
  const cluster::Cluster* cluster = nullptr;
  const schedule::Pipeline* schedule = nullptr;  // of `pipeline`, with
  const simulate::Timeline* timeline = nullptr;  // its events
  std::string not_simulated;                     // why there is no timeline
  std::vector<MeasuredTrack> measured;
};

struct PlanPage {
  std::string title;
  const plan::PlanFamily* family = nullptr;  // whose members `plans` are
  const plan::Notes* family_notes = nullptr;
  std::vector<PlanOnPage> plans;
};

// The data that the page shows, as JSON. Of pipelines with more than `most_events` runs and transfers only the first
// and last microbatches are in it. kInvalidInput when the notes do not fit their plan (names the key).
Result<std::string> PlanPageData(const PlanPage& page, size_t most_events = 300'000);

// The page. Errors as above.
Result<std::string> PlanPageHtml(const PlanPage& page);

}  // namespace alpa::report
