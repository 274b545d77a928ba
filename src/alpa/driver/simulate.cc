#include "alpa/driver/simulate.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "alpa/base/file.h"
#include "alpa/cluster/cluster.h"
#include "alpa/driver/simulate_plan.h"
#include "alpa/report/simulation.h"
#include "alpa/report/text_timeline.h"
#include "alpa/schedule/check.h"
#include "alpa/simulate/perfetto.h"

namespace alpa::driver {
namespace {
constexpr int64_t kMostDrawn = 500'000;  // stages times microbatches
}  // namespace

Status Simulate(const SimulateOptions& options) {
  for (const auto& path : {options.trace, options.instructions}) {
    if (!path.empty()) ALPA_RETURN_IF_ERROR(CheckWritable(path));
  }
  ALPA_TRY(const std::string text, ReadFile(options.plan));
  if (!plan::IsPipeline(text)) {
    return Error{
        Code::kInvalidInput, options.plan.string() + ": not a plan of several stages",
        "alpa plan MODEL --cluster CLUSTER -o plan.json makes one; plans of one mesh have nothing to simulate"};
  }
  Result<plan::PipelinePlan> read = plan::PipelineFromJson(text);
  if (!read.ok()) return InFile(options.plan, read.error());
  plan::PipelinePlan plan = *std::move(read);
  if (!options.schedule.empty()) plan.schedule = options.schedule;
  if (options.microbatches > 0) plan.microbatches = options.microbatches;
  ALPA_TRY(const cluster::Cluster cluster,
           cluster::LoadCluster(options.cluster.empty() ? plan.cluster : options.cluster));
  const auto start = std::chrono::steady_clock::now();
  simulate::Options record;
  const bool draw = !options.json && plan.microbatches * static_cast<int64_t>(plan.stages.size()) <= kMostDrawn;
  record.events = draw || !options.trace.empty();
  Result<SimulatedPlan> simulated = SimulatePlan(plan, cluster, record);
  if (!simulated.ok()) return InFile(options.plan, simulated.error());
  const Seconds took(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  if (const Status good = schedule::Check(simulated->program, simulated->pipeline); !good.ok())
    return InFile(options.plan, good.error());
  if (!options.instructions.empty())
    ALPA_RETURN_IF_ERROR(WriteFileAtomic(options.instructions, schedule::ToString(simulated->program)));
  if (!options.trace.empty()) {
    simulate::PerfettoOptions perfetto;
    perfetto.microbatches = options.trace_microbatches;
    ALPA_RETURN_IF_ERROR(
        WriteFileAtomic(options.trace, simulate::ToPerfetto(simulated->timeline, simulated->pipeline, perfetto)));
  }
  report::SimulationPage page;
  page.plan = &plan;
  page.cluster = &cluster;
  page.pipeline = &simulated->pipeline;
  page.timeline = &simulated->timeline;
  page.instructions = simulated->program.size();
  page.took = took;
  std::string out = options.json ? report::SimulationJson(page) : report::SimulationText(page);
  if (draw) out += report::PipelineTimelineText(simulated->timeline, simulated->pipeline);
  std::fputs(out.c_str(), stdout);
  if (!options.trace.empty() && !options.json)
    std::printf("\ntimeline written to %s; open it at ui.perfetto.dev\n", options.trace.c_str());
  return Ok();
}

}  // namespace alpa::driver
