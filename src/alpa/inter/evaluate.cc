#include "alpa/inter/evaluate.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/inter/graph.h"
#include "alpa/inter/submeshes.h"

namespace alpa::inter {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// e + c of each stage. `delayed`: as they count for the longest path, where zb-h1 leaves out what it delays.
std::vector<double> Loads(const SearchProblem& problem, const FoundPlan& plan, bool delayed) {
  // By count, places are not known, and only a single host makes a transfer local.
  const bool by_count = PlacedByCount(problem.hosts);
  const bool one_host = problem.hosts.size() == 1 && problem.hosts[0].devices.size() == 1;
  const auto on_same_host = [&](const Stage& a, const Stage& b) {
    if (a.submesh.rectangle && b.submesh.rectangle)
      return a.first_host == b.first_host && a.submesh.hosts == b.submesh.hosts;
    if (by_count) return one_host;
    return a.submesh.hosts == 1 && b.submesh.hosts == 1 && a.first_host == b.first_host;
  };
  std::vector<double> loads;
  for (const Stage& stage : plan.stages) {
    const bool delays = delayed && plan.schedule == Schedule::kZbH1 && !stage.next.empty();
    double transfers = 0;
    for (const int n : stage.next) {
      const Stage& next = plan.stages[n];
      transfers += TransferSeconds(problem.costs->TransferTime(
          stage.last, next.first, {stage.submesh, stage.variant.layout}, {next.submesh, next.variant.layout},
          on_same_host(stage, next), plan.microbatches));
    }
    loads.push_back(StageSeconds(stage.variant, plan.microbatches, delays) + transfers);
  }
  return loads;
}

// gpipe, 1f1b, zb-h1.
double EvaluateFlat(const SearchProblem& problem, FoundPlan* plan) {
  const std::vector<int> depths = StageDepths(plan->stages);
  bool fits = true;
  for (size_t s = 0; s < plan->stages.size(); ++s) {
    Stage& stage = plan->stages[s];
    stage.in_flight = InFlight(plan->schedule, plan->microbatches, depths[s], static_cast<int>(plan->stages.size()));
    fits = fits && stage.variant.memory(stage.in_flight) <= problem.memory[stage.submesh.type];
  }
  if (!fits) return kInfinity;
  const std::vector<double> loads = Loads(problem, *plan, true);
  std::vector<double> path(loads.size());
  for (size_t s = loads.size(); s-- > 0;) {
    double behind = 0;
    for (const int next : plan->stages[s].next) behind = std::max(behind, path[next]);
    path[s] = loads[s] + behind;
  }
  return *std::max_element(path.begin(), path.end()) +
         static_cast<double>(plan->microbatches - 1) * Bottleneck(problem, *plan);
}

double EvaluateInterleaved(const SearchProblem& problem, FoundPlan* plan) {
  int chunks = 0;
  for (const Stage& stage : plan->stages) chunks = std::max(chunks, stage.chunk + 1);
  const int stages = static_cast<int>(plan->stages.size());
  ALPA_CHECK(stages % chunks == 0, "submeshes of an interleaved schedule with different numbers of stages");
  const int ranks = stages / chunks;
  const std::vector<double> loads = Loads(problem, *plan, false);
  double most = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    double seconds = 0, state = 0, activation = 0, workspace = 0;
    const int64_t in_flight = InterleavedInFlight(plan->microbatches, rank, ranks, chunks);
    for (int s = rank; s < stages; s += ranks) {
      Stage& stage = plan->stages[s];
      seconds += loads[s];
      state += stage.variant.state;
      activation = std::max(activation, stage.variant.activation);
      workspace = std::max(workspace, stage.variant.workspace);
      stage.in_flight = in_flight;
    }
    const double memory = state + static_cast<double>(in_flight) * activation + workspace;
    if (memory > problem.memory[plan->stages[rank].submesh.type]) return kInfinity;
    most = std::max(most, seconds);
  }
  return static_cast<double>(plan->microbatches) * most +
         static_cast<double>(ranks - 1) * *std::max_element(loads.begin(), loads.end());
}

}  // namespace

double Bottleneck(const SearchProblem& problem, const FoundPlan& plan) {
  const std::vector<double> loads = Loads(problem, plan, false);
  return *std::max_element(loads.begin(), loads.end());
}

double EvaluatePlan(const SearchProblem& problem, FoundPlan* plan) {
  ALPA_CHECK(!plan->stages.empty(), "a plan without stages");
  if (plan->schedule == Schedule::kInterleaved && plan->stages.size() > 1) return EvaluateInterleaved(problem, plan);
  return EvaluateFlat(problem, plan);
}

void LinkStages(const SearchProblem& problem, FoundPlan* plan) {
  LinkStages(Flatten(problem.graph, problem.layers), &plan->stages);
}

}  // namespace alpa::inter
