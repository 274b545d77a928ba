// A plan file of any kind.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/cluster/cluster.h"
#include "alpa/driver/simulate_plan.h"
#include "alpa/plan/notes.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/plan/plan.h"
#include "alpa/plan/plan_family.h"
#include "alpa/report/plan_page.h"

namespace alpa::driver {

struct PlanFile {
  std::filesystem::path path;
  std::variant<plan::Plan, plan::PipelinePlan, plan::PlanFamily> plan;
  std::optional<plan::Notes> notes;
  std::vector<std::optional<plan::Notes>> member_notes;  // of a family
};

// Errors of reading and parsing, with the file's name.
Result<PlanFile> ReadPlanFile(const std::filesystem::path& path);

// One plan of a file with what belongs to it.
struct SimulatedFile {
  std::string name;  // of the file, or the shape
  std::variant<plan::Plan, plan::PipelinePlan> plan;
  std::optional<plan::Notes> notes;
  std::optional<cluster::Cluster> cluster;
  std::optional<SimulatedPlan> simulated;
  std::string not_simulated;  // why

  // Points into this.
  report::PlanOnPage OnPage() const;
};

// The plans of a file, with their cluster (or, if not empty, `cluster`), those of several stages simulated. A cluster
// that is not there, or does not fit, is an error if it was asked for; else the plan comes without.
Result<std::vector<std::unique_ptr<SimulatedFile>>> SimulateFile(const PlanFile& file, const std::string& cluster,
                                                                 bool events);

}  // namespace alpa::driver
