#include "alpa/driver/compare.h"

#include <fmt/format.h>

#include <cstdio>
#include <optional>

#include "alpa/driver/read_plan.h"
#include "alpa/report/compare_plans.h"

namespace alpa::driver {
namespace {

// Seconds of a step of `a` by the schedule of `b`.
std::optional<Seconds> ScheduleAlone(const SimulatedFile& a, const SimulatedFile& b) {
  const auto* x = std::get_if<plan::PipelinePlan>(&a.plan);
  const auto* y = std::get_if<plan::PipelinePlan>(&b.plan);
  if (x == nullptr || y == nullptr || x->schedule == y->schedule || !a.cluster) return std::nullopt;
  plan::PipelinePlan other = *x;
  other.schedule = y->schedule;
  const Result<SimulatedPlan> simulated = SimulatePlan(other, *a.cluster, {});
  if (!simulated.ok()) return std::nullopt;  // not by this schedule
  return Seconds(simulated->timeline.makespan);
}

}  // namespace

Status Compare(const CompareOptions& options) {
  ALPA_TRY(const PlanFile file_a, ReadPlanFile(options.a));
  ALPA_TRY(const PlanFile file_b, ReadPlanFile(options.b));
  ALPA_TRY(const auto a, SimulateFile(file_a, options.cluster, /*events=*/false));
  ALPA_TRY(const auto b, SimulateFile(file_b, options.cluster, /*events=*/false));
  if (a.size() != b.size())
    return Error{Code::kInvalidArgument,
                 fmt::format("{} has plans for {} shape{}, {} for {}", options.a.string(), a.size(),
                             a.size() == 1 ? "" : "s", options.b.string(), b.size()),
                 "compare families with families of as many shapes"};
  for (size_t i = 0; i < a.size(); ++i) {
    report::PlanOnPage x = a[i]->OnPage(), y = b[i]->OnPage();
    if (a.size() == 1) {  // two files may have one name
      x.name = options.a.string();
      y.name = options.b.string();
    }
    const report::PlanComparison comparison = report::ComparePlans(x, y, ScheduleAlone(*a[i], *b[i]));
    const std::string text = options.json ? report::ComparisonJson(comparison) : report::ComparisonText(comparison);
    std::fputs(((i == 0 || options.json ? "" : "\n") + text).c_str(), stdout);
  }
  for (const auto* plans : {&a, &b}) {
    for (const auto& plan : *plans) {
      if (!plan->not_simulated.empty() && !options.json)
        std::printf("\n%s was not simulated: %s\n", plan->name.c_str(), plan->not_simulated.c_str());
    }
  }
  return Ok();
}

}  // namespace alpa::driver
