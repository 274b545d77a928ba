#include "alpa/inter/equal_stages.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "alpa/inter/evaluate.h"
#include "alpa/inter/submeshes.h"

namespace alpa::inter {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Gives stages their places, one after the other; false when there are not enough devices.
bool LayOut(const std::vector<Host>& hosts, std::vector<Stage>* stages) {
  int host = 0, device = 0;
  for (Stage& stage : *stages) {
    const int count = static_cast<int>(hosts.size());
    if (host < count && device > 0 && device + stage.submesh.devices > hosts[static_cast<size_t>(host)].devices) {
      ++host;
      device = 0;
    }
    if (host + stage.submesh.hosts > count) return false;
    for (int h = host; h < host + stage.submesh.hosts; ++h) {
      const Host& at = hosts[static_cast<size_t>(h)];
      if (at.type != stage.submesh.type || device + stage.submesh.devices > at.devices) return false;
    }
    stage.first_host = host;
    stage.first_device = device;
    host += stage.submesh.hosts - 1;
    device += stage.submesh.devices;
    if (device == hosts[static_cast<size_t>(host)].devices) {
      ++host;
      device = 0;
    }
  }
  return true;
}

}  // namespace

std::optional<FoundPlan> PlanOfStages(const SearchProblem& problem, int64_t microbatches, Schedule schedule,
                                      const std::vector<std::pair<int, int>>& ranges,
                                      const std::vector<Submesh>& submeshes) {
  FoundPlan plan;
  plan.microbatches = microbatches;
  plan.schedule = schedule;
  const auto stages = static_cast<int>(ranges.size());
  for (int s = 0; s < stages; ++s) {
    const auto at = static_cast<size_t>(s);
    Stage stage;
    stage.first = ranges[at].first;
    stage.last = ranges[at].second;
    stage.submesh = submeshes[at];
    const double memory = problem.memory[static_cast<size_t>(stage.submesh.type)];
    const int64_t in_flight = InFlight(schedule, microbatches, stages - s, stages);
    double best = kInfinity;
    for (const StageVariant& v : problem.costs->Variants(stage.first, stage.last, stage.submesh, microbatches)) {
      const double seconds = StageSeconds(v, microbatches, false);
      if (v.memory(in_flight) > memory || seconds >= best) continue;
      best = seconds;
      stage.variant = v;
    }
    if (std::isinf(best)) return std::nullopt;
    plan.stages.push_back(stage);
  }
  if (!LayOut(ListHosts(problem.hosts), &plan.stages)) return std::nullopt;
  LinkStages(problem, &plan);
  plan.seconds = EvaluatePlan(problem, &plan);
  if (std::isinf(plan.seconds)) return std::nullopt;
  return plan;
}

std::vector<std::pair<int, int>> EqualRanges(int layers, int stages) {
  std::vector<std::pair<int, int>> ranges;
  ranges.reserve(static_cast<size_t>(stages));
  for (int s = 0; s < stages; ++s) ranges.emplace_back(layers * s / stages, layers * (s + 1) / stages - 1);
  return ranges;
}

std::vector<FoundPlan> EqualStages(const SearchProblem& problem, Schedule schedule, size_t most) {
  std::vector<FoundPlan> plans;
  if (schedule == Schedule::kInterleaved) return plans;
  const std::vector<Host> hosts = ListHosts(problem.hosts);
  const Host& first = hosts.front();
  if (!std::all_of(hosts.begin(), hosts.end(), [&](const Host& host) { return host == first; })) return plans;
  // Branches would have to lie in one stage each.
  for (const Chain::Item& item : problem.graph.items) {
    if (!item.branches.empty()) return plans;
  }
  const int devices = static_cast<int>(hosts.size()) * first.devices;
  for (int stages = 1; stages <= std::min(devices, problem.layers); ++stages) {
    const int size = devices / stages;
    if (devices % stages != 0) continue;
    if (stages == 1 && schedule != problem.schedules.front()) continue;  // one stage is the same by any schedule
    Submesh submesh{1, size, first.type};
    if (size > first.devices) submesh = {size / first.devices, first.devices, first.type};
    if (submesh.size() != size || first.devices % submesh.devices != 0) continue;
    for (const int64_t m : problem.microbatches) {
      std::optional<FoundPlan> plan = PlanOfStages(problem, m, schedule, EqualRanges(problem.layers, stages),
                                                   std::vector<Submesh>(static_cast<size_t>(stages), submesh));
      if (plan) plans.push_back(*std::move(plan));
    }
  }
  std::stable_sort(plans.begin(), plans.end(),
                   [](const FoundPlan& a, const FoundPlan& b) { return a.seconds < b.seconds; });
  if (plans.size() > most) plans.resize(most);
  return plans;
}

}  // namespace alpa::inter
