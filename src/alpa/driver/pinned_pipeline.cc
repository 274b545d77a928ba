#include "alpa/driver/pinned_pipeline.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "alpa/driver/exact_stages.h"
#include "alpa/driver/state_layout.h"

namespace alpa::driver {
namespace {

constexpr size_t kExactTries = 4;  // so many numbers of microbatches are solved until one fits

// `base` with `microbatches` of another shape at that shape's prices; infinity seconds when it does not fit.
inter::FoundPlan Repriced(const inter::FoundPlan& base, int64_t microbatches, const inter::SearchProblem& problem) {
  inter::FoundPlan plan = base;
  plan.microbatches = microbatches;
  plan.seconds = std::numeric_limits<double>::infinity();
  for (inter::Stage& stage : plan.stages) {
    const auto variants = problem.costs->Variants(stage.first, stage.last, stage.submesh, microbatches);
    const auto same = std::find_if(variants.begin(), variants.end(),
                                   [&](const inter::StageVariant& v) { return v.id == stage.variant.id; });
    if (same == variants.end()) return plan;
    stage.variant = *same;
  }
  int chunks = 0;
  for (const inter::Stage& stage : plan.stages) chunks = std::max(chunks, stage.chunk + 1);
  const auto ranks = static_cast<int64_t>(plan.stages.size()) / chunks;
  if (plan.schedule == inter::Schedule::kInterleaved && microbatches % ranks != 0) return plan;
  plan.seconds = inter::EvaluatePlan(problem, &plan);
  return plan;
}

}  // namespace

Result<frontend::Layering> LayersAround(const FoundPipeline& base, const LoadedStep& loaded) {
  frontend::LayerOptions options;
  options.count = base.layering.count;
  options.branches = HasBranches(base.layering.graph);
  return frontend::FindLayers(loaded.step.module, loaded.analysis, options);
}

Result<plan::PipelinePlan> PlanPinned(const LoadedStep& loaded, const LoadedStep& base_loaded,
                                      const FoundPipeline& base, const cluster::Cluster& cluster,
                                      const FindPipelineOptions& options) {
  ALPA_TRY(const frontend::Layering layering, LayersAround(base, loaded));
  if (layering.count != base.layering.count ||
      StateInputs(loaded, layering, base.plan) != StateInputs(base_loaded, base.layering, base.plan)) {
    return Error{Code::kInvalidArgument, "the stages would not own the same state", ""};
  }
  StageCostOptions prices = PricesOf(options);
  for (const inter::Stage& stage : base.ranked.front().found.stages) {
    if (std::find(prices.submeshes.begin(), prices.submeshes.end(), stage.submesh) == prices.submeshes.end())
      prices.submeshes.push_back(stage.submesh);
  }
  ALPA_TRY(const std::unique_ptr<StageCosts> costs, StageCosts::Make(loaded, layering, cluster, prices));
  const inter::SearchProblem problem = MakeSearchProblem(loaded, cluster, layering, *costs, options);
  std::vector<inter::FoundPlan> plans;
  for (const int64_t microbatches : problem.microbatches) {
    inter::FoundPlan plan = Repriced(base.ranked.front().found, microbatches, problem);
    if (std::isfinite(plan.seconds)) plans.push_back(std::move(plan));
  }
  if (plans.empty()) return Error{Code::kInvalidArgument, "no number of microbatches fits these stages", ""};
  std::stable_sort(plans.begin(), plans.end(), [](const auto& a, const auto& b) { return a.seconds < b.seconds; });

  ExactOptions exact = ExactOf(options);
  exact.costs = costs.get();
  exact.state = StageStates(base_loaded, base.layering, base.plan);
  ExactStages stages(loaded, layering, cluster, exact);
  std::optional<Error> error;
  for (size_t p = 0; p < std::min(plans.size(), kExactTries); ++p) {
    plan::PipelinePlan plan = DraftPlan(loaded, cluster, *costs, plans[p], options);
    if (const Status solved = stages.Solve(plans[p], &plan); !solved.ok()) {
      if (!error) error = solved.error();
      continue;
    }
    ALPA_TRY(const SimulatedPlan simulated, SimulatePlan(plan, cluster, {}));
    plan.prediction.step = Seconds(simulated.timeline.makespan);
    return plan;
  }
  return *error;
}

}  // namespace alpa::driver
