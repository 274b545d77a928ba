#include "alpa/driver/plan_candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "alpa/base/file.h"
#include "alpa/cluster/cluster.h"
#include "alpa/cost/model.h"
#include "alpa/driver/find_pipeline.h"
#include "alpa/driver/plan.h"
#include "alpa/driver/plan_pipeline.h"
#include "alpa/driver/solve_on_mesh.h"

namespace alpa::driver {
namespace {

constexpr double kSolveLimit = 3;   // seconds for a layout; it is measured anyway
constexpr double kSameCost = 1e-3;  // relative: the planner found nothing better than data parallelism

// The machine as one host of `devices` devices.
Result<cluster::Cluster> MachineOf(const ChooseOptions& options, int64_t devices) {
  return cluster::LoadCluster(fmt::format("{}:1x{}", options.cluster.empty() ? "local" : options.cluster, devices));
}

Result<intra::PlannedStep> Solve(const LoadedStep& loaded, const cluster::Cluster& machine, const std::string& method,
                                 int64_t devices, int64_t microbatches) {
  PlanOptions how;
  how.method = method;
  how.microbatches = std::to_string(microbatches);
  how.time_limit = kSolveLimit;
  ALPA_TRY(const FindPipelineOptions find, ReadPipelineOptions(how));
  ALPA_TRY(const cost::Model model, cost::MakeModel(machine, cluster::MakeMesh({devices})));
  return SolveOnMesh(loaded, model, how, find, {});
}

Status AddOneDevice(const LoadedStep& loaded, const ChooseOptions& options, std::vector<PlanChoice>* out) {
  ALPA_TRY(const cluster::Cluster machine, MachineOf(options, 1));
  for (const int64_t m : {1, 2, 4, 8}) {
    const auto planned = Solve(loaded, machine, "auto", 1, m);
    if (!planned.ok() && m > 1) continue;
    // The step as it is counts even where the cost model thinks that it does not fit.
    const Seconds predicted(planned.ok() ? planned->plan.prediction->cost : HUGE_VAL);
    out->push_back({m == 1 ? "1 device" : fmt::format("1 device, {} microbatches", m), "data-parallel", 1, m, predicted,
                    Seconds(0)});
  }
  return Ok();
}

// Data parallelism over `devices`, also in microbatches, and what the planner finds where that is something else.
Status AddMesh(const LoadedStep& loaded, const ChooseOptions& options, int64_t devices,
               const std::filesystem::path& folder, std::vector<PlanChoice>* out) {
  ALPA_TRY(const cluster::Cluster machine, MachineOf(options, devices));
  double cost = HUGE_VAL;  // by hand, with the batch as a whole
  for (const int64_t m : {1, 2, 4}) {
    const auto by_hand = Solve(loaded, machine, "data-parallel", devices, m);
    if (!by_hand.ok()) continue;
    const Seconds predicted(by_hand->plan.prediction->cost);
    if (m == 1) cost = predicted.value;
    out->push_back(
        {fmt::format("{} devices, data parallel{}", devices, m == 1 ? "" : fmt::format(", {} microbatches", m)),
         "data-parallel", devices, m, predicted, Seconds(0)});
  }
  const auto planned = Solve(loaded, machine, "auto", devices, 1);
  if (!planned.ok() || planned->plan.prediction->cost > cost * (1 - kSameCost)) return Ok();
  const std::filesystem::path file = folder / fmt::format("mesh-{}.json", devices);
  ALPA_RETURN_IF_ERROR(WriteFileAtomic(file, plan::ToJson(planned->plan)));
  out->push_back({fmt::format("{} devices, planned", devices), file.string(), 0, 1,
                  Seconds(planned->plan.prediction->cost), Seconds(0)});
  return Ok();
}

// The best with so many stages.
Status AddPipeline(const LoadedStep& loaded, const ChooseOptions& options, int64_t devices, int stages,
                   const std::filesystem::path& folder, std::vector<PlanChoice>* out) {
  ALPA_TRY(const cluster::Cluster machine, MachineOf(options, devices));
  FindPipelineOptions find;
  find.stages = stages;
  find.top = 2;
  find.exact = 1;
  const auto found = FindPipeline(loaded, machine, find);
  if (!found.ok()) return Ok();
  const std::filesystem::path file = folder / fmt::format("pipeline-{}-{}.json", devices, stages);
  ALPA_RETURN_IF_ERROR(WriteFileAtomic(file, plan::ToJson(found->plan)));
  out->push_back({fmt::format("{} devices, {} stages, {} microbatches", devices, stages, found->plan.microbatches),
                  file.string(), 0, 1, found->ranked.front().simulated, Seconds(0)});
  return Ok();
}

}  // namespace

Result<std::vector<PlanChoice>> PlanCandidates(const LoadedStep& loaded, const ChooseOptions& options,
                                               const std::filesystem::path& folder) {
  std::vector<PlanChoice> out;
  ALPA_RETURN_IF_ERROR(AddOneDevice(loaded, options, &out));
  for (const int64_t devices : {2, 4, 8}) ALPA_RETURN_IF_ERROR(AddMesh(loaded, options, devices, folder, &out));
  for (const auto& [devices, stages] : {std::pair{2, 2}, std::pair{4, 2}, std::pair{4, 4}, std::pair{8, 4}})
    ALPA_RETURN_IF_ERROR(AddPipeline(loaded, options, devices, stages, folder, &out));
  return out;
}

std::vector<PlanChoice> WorthTiming(std::vector<PlanChoice> candidates, int64_t most) {
  if (candidates.empty()) return candidates;
  const PlanChoice whole = candidates.front();
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const PlanChoice& a, const PlanChoice& b) { return a.predicted < b.predicted; });
  if (std::ssize(candidates) <= most) return candidates;
  const auto end = candidates.begin() + std::max<int64_t>(most, 1);
  const bool there = std::find(candidates.begin(), end, whole) != end;
  candidates.erase(end, candidates.end());
  if (!there) candidates.back() = whole;
  return candidates;
}

}  // namespace alpa::driver
