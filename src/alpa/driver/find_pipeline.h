// The inter-operator pass from beginning to end: layers, prices, search, simulation of the best, exact stages.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/cluster/cluster.h"
#include "alpa/driver/exact_stages.h"
#include "alpa/driver/load_step.h"
#include "alpa/driver/simulate_plan.h"
#include "alpa/driver/stage_costs.h"
#include "alpa/frontend/layers.h"
#include "alpa/frontend/unstack.h"
#include "alpa/inter/search.h"
#include "alpa/intra/plan_step.h"
#include "alpa/plan/pipeline_plan.h"

namespace alpa::driver {

struct FindPipelineOptions;

// Whether stages may have some devices of each of several hosts. By default where hosts are not alike (on up to
// kMostForRectangles devices): of hosts that are, as many devices of fewer hosts do as well, and the search is shorter.
bool UsesRectangles(const cluster::Cluster& cluster, const FindPipelineOptions& options);
inline constexpr int64_t kMostForRectangles = 32;

struct FindPipelineOptions {
  std::optional<Bytes> memory;             // per device, instead of what device types have
  bool unlimited_memory = false;           // no limit at all
  bool per_microbatch = false;             // as PlanOptions
  bool half_sums = false;                  // as plan::PipelinePlan
  std::vector<int64_t> microbatches;       // empty: all that the step can be cut into
  std::vector<inter::Schedule> schedules;  // empty: all
  int stages = 0;                          // 0: any number
  std::optional<bool> rectangles;          // as inter::SearchProblem; absent: UsesRectangles
  int layers = 0;                          // 0: found out
  int top = 8;                             // so many plans are simulated
  int exact = 3;                           // the stages of so many of them are solved exactly, the fastest is taken
  double tolerance = 0.005;                // of the search
  bool recompute = true;                   // as in StageCostOptions
  bool local_gather = true;
  bool branches = true;  // stages of parallel branches side by side
  bool unstack = true;   // take parameters of a scan over layers apart, so that each stage holds its own
  int threads = 0;
  double gap = 0.005;                         // of exact solves
  std::optional<Seconds> time_limit;          // for each of them, as ExactOptions
  std::shared_ptr<LayerPrices> known_prices;  // as StageCostOptions::known
  std::function<void(std::string_view phase, double share, double best)>
      progress;  // best: seconds of a step, infinity: none
  std::function<bool()> cancelled;
};

// What a device of this type may use; nothing: no limit.
std::optional<Bytes> MemoryLimit(const cluster::DeviceType& type, const FindPipelineOptions& options);

// A plan that the search found, simulated: with exact costs where its stages were solved, else at prices.
struct RankedPlan {
  inter::FoundPlan found;
  Seconds simulated;
};

struct PhaseTimes {
  Seconds layers, prices, search, simulate, exact;
};

struct FoundPipeline {
  plan::PipelinePlan plan;         // the best
  SimulatedPlan simulated;         // of it
  std::vector<RankedPlan> ranked;  // by simulated time; the first is the best, and what its stages cost is exact
  double gap = 0;                  // of the plan's closed form to the bound of the search
  Seconds interleaved_bound;       // the bound with interleaved plans
  bool complete = true;            // false: the search was stopped early
  frontend::Layering layering;     // of the step that TakeApart gives, if plan.unstacked
  Bytes memory;                    // limit of the fullest device type
  PhaseTimes times;
};

// The step with the stacked parameters of scans over layers taken apart (frontend::UnstackParameters), analysed anew,
// and where its inputs and outputs come from.
struct TakenApart {
  LoadedStep loaded;
  std::vector<frontend::StackPart> inputs, outputs;
};
// Nothing when the step has no such parameters.
Result<std::optional<TakenApart>> TakeApart(const LoadedStep& loaded);

// kInvalidArgument: microbatches that the step cannot be cut into; nothing fits (says what is missing where, and what
// would fit).
Result<FoundPipeline> FindPipeline(const LoadedStep& loaded, const cluster::Cluster& cluster,
                                   const FindPipelineOptions& options);

// Whether any layers lie side by side.
bool HasBranches(const frontend::LayerChain& graph);

// The parts of the options that prices and exact stages have.
StageCostOptions PricesOf(const FindPipelineOptions& options);
ExactOptions ExactOf(const FindPipelineOptions& options);

// The search problem behind it; `costs` must outlive the result.
inter::SearchProblem MakeSearchProblem(const LoadedStep& loaded, const cluster::Cluster& cluster,
                                       const frontend::Layering& layering, const StageCosts& costs,
                                       const FindPipelineOptions& options);

// What is worth simulating: the plans that the search finds, and equal stages, which its closed form may misjudge.
// `result` (optional): what the search said.
std::vector<inter::FoundPlan> Candidates(const inter::SearchProblem& problem, const inter::SearchOptions& options,
                                         inter::SearchResult* result);

// A found plan as a value, with priced costs and without layouts (each has its mesh only).
plan::PipelinePlan DraftPlan(const LoadedStep& loaded, const cluster::Cluster& cluster, const StageCosts& costs,
                             const inter::FoundPlan& found, const FindPipelineOptions& options);

}  // namespace alpa::driver
