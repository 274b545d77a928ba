#include "alpa/driver/plan_pipeline.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>

#include "alpa/base/file.h"
#include "alpa/cluster/quantity.h"
#include "alpa/cost/model.h"
#include "alpa/driver/catch_interrupt.h"
#include "alpa/driver/plan_notes.h"
#include "alpa/driver/simulate_plan.h"
#include "alpa/report/text_timeline.h"

namespace alpa::driver {
namespace {

constexpr int64_t kMostDrawn = 500'000;  // stages times microbatches

Result<int64_t> Count(const std::string& option, const std::string& text) {
  int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size() || n < 1)
    return Error{Code::kInvalidArgument, fmt::format("{} takes auto or a number from 1 on, not '{}'", option, text),
                 ""};
  return n;
}

report::PipelinePage PageOf(const LoadedStep& loaded, const cluster::Cluster& cluster, const FoundPipeline& found,
                            const PlanOptions& options) {
  report::PipelinePage page;
  page.plan = &found.plan;
  page.pipeline = &found.simulated.pipeline;
  page.timeline = &found.simulated.timeline;
  page.batch = loaded.analysis.batch.batch_size;
  page.devices = cluster.device_count();
  for (const auto& [name, type] : cluster.device_types) {
    if (options.memory != "none") page.memory.emplace_back(name, options.memory.empty() ? type.memory : found.memory);
  }
  // The peak of the narrowest type that the model's products have: what a planner could reach at best.
  for (const plan::PipelineStage& stage : found.plan.stages) {
    if (stage.chunk > 0) continue;
    const cluster::DeviceType& type = cluster.device_types.at(stage.placement.device_type);
    double peak = 0;
    for (const ir::Op& op : loaded.step.module.ops) {
      if (op.kind != ir::OpKind::kDot && op.kind != ir::OpKind::kConvolution) continue;
      const std::string dtype(ir::Name(loaded.step.module.shape(op.operands[0]).dtype));
      const auto it = type.matrix_flops.find(dtype == "bf16" && type.matrix_flops.count(dtype) == 0 ? "f16" : dtype);
      peak = std::max(peak, it == type.matrix_flops.end() ? type.matrix_flops.at("f32") : it->second);
    }
    page.peak_flops += peak * static_cast<double>(stage.layout.mesh.size());
  }
  page.gap = found.gap;
  page.interleaved_bound = found.interleaved_bound;
  page.complete = found.complete;
  page.times = {{"layers", found.times.layers},
                {"prices", found.times.prices},
                {"search", found.times.search},
                {"simulation", found.times.simulate},
                {"stages", found.times.exact}};
  for (size_t r = 1; r < found.ranked.size() && r < static_cast<size_t>(options.top); ++r) {
    const inter::FoundPlan& other = found.ranked[r].found;
    plan::PipelinePlan shape;
    const std::vector<std::string> types = DeviceTypes(cluster);
    for (const inter::Stage& stage : other.stages) {
      shape.stages.emplace_back();
      shape.stages.back().placement = {0, stage.submesh.hosts, 0, stage.submesh.devices,
                                       types[static_cast<size_t>(stage.submesh.type)]};
    }
    page.runners_up.push_back({other.microbatches, std::string(inter::Name(other.schedule)),
                               report::StagesInShort(shape), found.ranked[r].simulated});
  }
  return page;
}

// Empty where drawing it would take long.
std::string TimelineOf(const plan::PipelinePlan& plan, const cluster::Cluster& cluster) {
  if (plan.microbatches * static_cast<int64_t>(plan.stages.size()) > kMostDrawn) return "";
  simulate::Options record;
  record.events = true;
  const Result<SimulatedPlan> simulated = SimulatePlan(plan, cluster, record);
  return simulated.ok() ? report::PipelineTimelineText(simulated->timeline, simulated->pipeline) : "";
}

}  // namespace

Result<FindPipelineOptions> ReadPipelineOptions(const PlanOptions& options) {
  FindPipelineOptions find;
  find.per_microbatch = options.per_microbatch;
  find.half_sums = options.half_sums;
  find.threads = options.threads;
  find.gap = options.gap;
  if (options.time_limit > 0) find.time_limit = Seconds(options.time_limit);
  find.top = std::max(options.top, 1);
  find.exact = std::max(options.exact, 1);
  find.layers = options.layers;
  find.recompute = !options.no_recompute;
  find.unlimited_memory = options.memory == "none";
  if (!options.memory.empty() && !find.unlimited_memory) {
    const Result<double> limit = cluster::ParseQuantity(options.memory, cluster::Dimension::kBytes);
    if (!limit.ok())
      return Error{Code::kInvalidArgument, "--memory: " + limit.error().message, "e.g. --memory 16GiB, or none"};
    if (*limit <= 0) return Error{Code::kInvalidArgument, "--memory must be above 0", "e.g. --memory 16GiB, or none"};
    find.memory = Bytes(static_cast<int64_t>(*limit));
  }
  if (options.microbatches != "auto") {
    ALPA_TRY(const int64_t m, Count("--microbatches", options.microbatches));
    find.microbatches = {m};
  }
  if (options.stages != "auto") {
    ALPA_TRY(const int64_t stages, Count("--stages", options.stages));
    find.stages = static_cast<int>(std::min<int64_t>(stages, 1'000'000));
  }
  if (options.submeshes != "auto") find.rectangles = options.submeshes == "all";
  for (const auto schedule :
       {inter::Schedule::kGpipe, inter::Schedule::k1F1B, inter::Schedule::kInterleaved, inter::Schedule::kZbH1}) {
    if (options.schedule == inter::Name(schedule)) find.schedules = {schedule};
  }
  return find;
}

Result<FoundPipeline> FindWithProgress(const LoadedStep& loaded, const cluster::Cluster& cluster,
                                       FindPipelineOptions find, bool quiet) {
  const CatchInterrupt interrupt;
  find.cancelled = [&] { return interrupt.caught(); };
  report::StatusLine line(report::StderrScreen());
  const double start = line.now();
  if (!quiet) {
    find.progress = [&](std::string_view phase, double share, double best) {
      if (!line.Due()) return;
      std::string text = fmt::format("{:6.1f} s  {:<8}{:4.0f} %", line.now() - start, phase, 100 * share);
      if (std::isfinite(best)) text += fmt::format("  best so far {} a step", ToString(Seconds(best)));
      line.Show(std::move(text));
    };
  }
  return FindPipeline(loaded, cluster, find);
}

Status ShowPipeline(const LoadedStep& loaded, const cluster::Cluster& cluster, const FoundPipeline& found,
                    const PlanOptions& options) {
  const report::PipelinePage page = PageOf(loaded, cluster, found, options);
  if (!options.out.empty()) {
    ALPA_TRY(const plan::Notes notes, PipelineNotes(loaded, found, page));
    ALPA_RETURN_IF_ERROR(WriteFileAtomic(options.out, plan::WithNotes(plan::ToJson(found.plan), notes)));
  }
  std::string text = options.json ? report::PipelineJson(page) : report::PipelineText(page);
  if (!options.json) text += TimelineOf(found.plan, cluster);
  std::fputs(text.c_str(), stdout);
  if (!options.out.empty() && !options.json)
    std::printf("\nplan written to %s; look at it with: alpa report %s\n", options.out.c_str(), options.out.c_str());
  return Ok();
}

}  // namespace alpa::driver
