#include "alpa/driver/trace.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "alpa/cluster/cluster.h"
#include "alpa/driver/simulate_plan.h"
#include "alpa/schedule/program.h"
#include "alpa/simulate/perfetto.h"

namespace alpa::driver {
namespace {

using nlohmann::json;

constexpr int kMeasured = 1000;  // number of the process in the trace
constexpr double kMicroseconds = 1e6;

void NameMeasured(json* events) {
  events->push_back({{"ph", "M"}, {"name", "process_name"}, {"pid", kMeasured}, {"args", {{"name", "measured"}}}});
  events->push_back({{"ph", "M"}, {"name", "process_sort_index"}, {"pid", kMeasured}, {"args", {{"sort_index", 0}}}});
}

void NameTrack(json* events, size_t track, const std::string& name) {
  events->push_back(
      {{"ph", "M"}, {"name", "thread_name"}, {"pid", kMeasured}, {"tid", track}, {"args", {{"name", name}}}});
}

void Slice(json* events, size_t track, const std::string& name, const char* category, double start, double end) {
  events->push_back({{"ph", "X"},
                     {"name", name},
                     {"cat", category},
                     {"pid", kMeasured},
                     {"tid", track},
                     {"ts", start * kMicroseconds},
                     {"dur", (end - start) * kMicroseconds}});
}

std::string Finish(json events) { return json{{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}}.dump(); }

// "mesh 1: stage 2, 5".
std::string TrackOf(const schedule::Pipeline& pipeline, size_t mesh) {
  std::string name = fmt::format("mesh {}: stage ", mesh);
  bool first = true;
  for (size_t s = 0; s < pipeline.stages.size(); ++s) {
    if (pipeline.stages[s].mesh != static_cast<int32_t>(mesh)) continue;
    name += fmt::format("{}{}", first ? "" : ", ", s);
    first = false;
  }
  return name;
}

}  // namespace

std::string TraceOf(const runtime::PipelineClient& client, const plan::PipelinePlan& plan) {
  json events = json::array();
  if (const auto cluster = cluster::LoadCluster(plan.cluster); cluster.ok()) {
    simulate::Options record;
    record.events = true;
    if (const auto simulated = SimulatePlan(plan, *cluster, record); simulated.ok()) {
      const json trace = json::parse(simulate::ToPerfetto(simulated->timeline, simulated->pipeline));
      events = trace.is_object() ? trace.at("traceEvents") : trace;
      for (json& event : events) {
        const bool name = event.value("name", "") == "process_name";
        if (name) event["args"]["name"] = "simulated: " + event["args"].value("name", "");
      }
    }
  }
  const runtime::StepTimeline& timeline = client.timeline();
  NameMeasured(&events);
  for (size_t m = 0; m < timeline.meshes.size(); ++m) {
    NameTrack(&events, m, TrackOf(client.setup().pipeline, m));
    for (const runtime::TimedInstruction& timed : timeline.meshes[m]) {
      Slice(&events, m, schedule::ToString(timed.instruction),
            schedule::IsCompute(timed.instruction.op) ? "compute" : "communication", timed.start, timed.end);
    }
  }
  return Finish(std::move(events));
}

std::string TraceOfStep(int64_t step, Seconds wall, int64_t devices) {
  json events = json::array();
  NameMeasured(&events);
  NameTrack(&events, 0, fmt::format("one program on {} device{}", devices, devices == 1 ? "" : "s"));
  Slice(&events, 0, fmt::format("step {}", step), "compute", 0, wall.value);
  return Finish(std::move(events));
}

}  // namespace alpa::driver
