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

void NameProcess(json* events, int process, const std::string& name) {
  events->push_back({{"ph", "M"}, {"name", "process_name"}, {"pid", process}, {"args", {{"name", name}}}});
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
  NameProcess(&events, kMeasured, "measured");
  for (size_t m = 0; m < timeline.meshes.size(); ++m) {
    events.push_back({{"ph", "M"},
                      {"name", "thread_name"},
                      {"pid", kMeasured},
                      {"tid", m},
                      {"args", {{"name", fmt::format("mesh {}", m)}}}});
    for (const runtime::TimedInstruction& timed : timeline.meshes[m]) {
      events.push_back({{"ph", "X"},
                        {"name", schedule::ToString(timed.instruction)},
                        {"cat", schedule::IsCompute(timed.instruction.op) ? "compute" : "communication"},
                        {"pid", kMeasured},
                        {"tid", m},
                        {"ts", timed.start * kMicroseconds},
                        {"dur", (timed.end - timed.start) * kMicroseconds}});
    }
  }
  return json{{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}}.dump();
}

}  // namespace alpa::driver
