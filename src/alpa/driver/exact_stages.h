// The layouts of a plan's stages, each solved exactly by the intra-operator pass.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/cluster/cluster.h"
#include "alpa/driver/load_step.h"
#include "alpa/driver/stage_costs.h"
#include "alpa/frontend/layers.h"
#include "alpa/inter/search.h"
#include "alpa/intra/plan_step.h"
#include "alpa/plan/pipeline_plan.h"

namespace alpa::driver {

struct ExactOptions {
  std::optional<Bytes> memory;  // per device, instead of what device types have
  bool unlimited_memory = false;
  bool half_sums = false;  // as intra::OpWork
  int threads = 0;
  double gap = 0.005;
  std::optional<Seconds> time_limit;  // of each solver; absent: a fixed amount of work, so that plans can be repeated
  std::vector<std::map<int32_t, sharding::Spec>> state;  // by stage: its inputs that lie so; empty: free
  const StageCosts* costs = nullptr;     // what the stages were priced by: where their solvers begin; may be null
  std::function<void(double)> progress;  // share done
  std::function<bool()> cancelled;
};

// Solves the stages of one plan after another. What is equal in several stages or plans is solved once. The arguments
// outlive it.
class ExactStages {
 public:
  ExactStages(const LoadedStep& loaded, const frontend::Layering& layering, const cluster::Cluster& cluster,
              const ExactOptions& options);
  ~ExactStages();
  ExactStages(const ExactStages&) = delete;

  // Fills in layout and prediction of each stage of `plan`, which is the draft of `found`. Errors as of
  // intra::PlanStep: a stage that does not fit although its price said so.
  Status Solve(const inter::FoundPlan& found, plan::PipelinePlan* plan);
  // The same for several plans at once, which keeps all threads busy; one outcome for each.
  std::vector<Status> Solve(const std::vector<const inter::FoundPlan*>& found,
                            const std::vector<plan::PipelinePlan*>& plans);

 private:
  struct Group;
  class Solver;
  const LoadedStep& loaded_;
  const frontend::Layering& layering_;
  const cluster::Cluster& cluster_;
  const ExactOptions& options_;
  std::vector<std::unique_ptr<Group>> groups_;
};

}  // namespace alpa::driver
