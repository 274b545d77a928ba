#include "alpa/driver/report.h"

#include <fmt/format.h>

#include <cstdio>

#include "alpa/base/file.h"
#include "alpa/driver/read_plan.h"
#include "alpa/report/measured.h"
#include "alpa/report/plan_page.h"

namespace alpa::driver {

Status Report(const ReportOptions& options) {
  std::filesystem::path out = options.out;
  if (out.empty()) out = std::filesystem::path(options.plan).replace_extension(".html");
  if (out == options.plan)
    return Error{Code::kInvalidArgument, "the page would be written over the plan", "give another name with -o"};
  ALPA_TRY(const PlanFile file, ReadPlanFile(options.plan));
  ALPA_RETURN_IF_ERROR(CheckWritable(out));
  const auto* family = std::get_if<plan::PlanFamily>(&file.plan);
  if (family != nullptr && !options.trace.empty())
    return Error{Code::kInvalidArgument, "--trace goes with a plan for one shape, and this is a family of plans",
                 "leave it out"};
  ALPA_TRY(const auto plans, SimulateFile(file, options.cluster, /*events=*/true));
  report::PlanPage page;
  page.title = options.plan.filename().string();
  page.family = family;
  if (family != nullptr && file.notes) page.family_notes = &*file.notes;
  for (const auto& plan : plans) page.plans.push_back(plan->OnPage());
  if (!options.trace.empty()) {
    ALPA_TRY(const std::string text, ReadFile(options.trace));
    Result<std::vector<report::MeasuredTrack>> measured = report::ReadMeasured(text);
    if (!measured.ok()) return InFile(options.trace, measured.error());
    page.plans[0].measured = *std::move(measured);
  }
  Result<std::string> html = report::PlanPageHtml(page);
  if (!html.ok()) return InFile(options.plan, html.error());
  ALPA_RETURN_IF_ERROR(WriteFileAtomic(out, *html));
  std::printf("written to %s (%s); open it in a browser\n", out.c_str(),
              ToString(Bytes(static_cast<int64_t>(html->size()))).c_str());
  for (const auto& plan : plans) {
    if (!plan->not_simulated.empty())
      std::printf("without a timeline: %s\n  hint: give the cluster with --cluster\n", plan->not_simulated.c_str());
  }
  return Ok();
}

}  // namespace alpa::driver
