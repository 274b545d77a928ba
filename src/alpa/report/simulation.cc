#include "alpa/report/simulation.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

namespace alpa::report {
namespace {

std::string_view Name(simulate::LinkKind kind) {
  switch (kind) {
    case simulate::LinkKind::kWithin:
      return "within";
    case simulate::LinkKind::kOut:
      return "out";
    case simulate::LinkKind::kIn:
      return "in";
  }
  return "";
}

// The stages of each mesh: "2", "0, 4".
std::vector<std::string> StagesOfMeshes(const schedule::Pipeline& pipeline) {
  std::vector<std::string> stages(static_cast<size_t>(pipeline.meshes));
  for (size_t s = 0; s < pipeline.stages.size(); ++s) {
    std::string& text = stages[static_cast<size_t>(pipeline.stages[s].mesh)];
    text += (text.empty() ? "" : ", ") + std::to_string(s);
  }
  return stages;
}

Bytes MemoryOf(const SimulationPage& page, size_t mesh) {
  for (size_t s = 0; s < page.pipeline->stages.size(); ++s) {
    if (static_cast<size_t>(page.pipeline->stages[s].mesh) != mesh) continue;
    const auto& types = page.cluster->device_types;
    const auto it = types.find(page.plan->stages[s].placement.device_type);
    return it == types.end() ? Bytes(0) : it->second.memory;
  }
  return Bytes(0);
}

}  // namespace

std::string SimulationText(const SimulationPage& page) {
  const simulate::Timeline& t = *page.timeline;
  const double makespan = t.makespan;
  std::string out = fmt::format("{} on {}: {} stages, {}, {} microbatches; {} instructions simulated in {}\n\n",
                                page.plan->model, page.cluster->name, page.pipeline->stages.size(), page.plan->schedule,
                                page.pipeline->microbatches, page.instructions, ToString(page.took));
  out += fmt::format("{:<24}{}", "step time", ToString(Seconds(makespan)));
  if (makespan > 0 && page.plan->microbatches > 0 && page.plan->prediction.step.value > 0)
    out += fmt::format("   ({} in the plan)", ToString(page.plan->prediction.step));
  out += fmt::format("\n\n{:<6}{:<12}{:>12}{:>9}{:>12}{:>9}{:>12}{:>9}{:>14}{:>9}\n", "Mesh", "stages", "computing", "",
                     "waiting", "", "bubble", "", "peak memory", "");
  const std::vector<std::string> stages = StagesOfMeshes(*page.pipeline);
  const auto share = [&](double seconds) {
    return makespan > 0 ? fmt::format("{:.1f} %", 100 * seconds / makespan) : std::string();
  };
  for (size_t m = 0; m < t.meshes.size(); ++m) {
    const simulate::MeshUse& use = t.meshes[m];
    const Bytes limit = MemoryOf(page, m);
    out += fmt::format("{:<6}{:<12}{:>12}{:>9}{:>12}{:>9}{:>12}{:>9}{:>14}{:>9}\n", m, stages[m],
                       ToString(Seconds(use.busy)), share(use.busy), ToString(Seconds(use.waiting)), share(use.waiting),
                       ToString(Seconds(use.bubble)), share(use.bubble), ToString(Bytes(use.peak)),
                       limit.value > 0 ? fmt::format("{:.0f} %", 100 * (Bytes(use.peak) / limit)) : "");
  }
  bool any = false;
  for (const simulate::LinkUse& link : t.links) {
    if (link.bytes <= 0) continue;
    if (!any) out += fmt::format("\n{:<6}{:<12}{:>12}{:>9}{:>14}\n", "Host", "link", "busy", "", "bytes");
    any = true;
    out += fmt::format("{:<6}{:<12}{:>12}{:>9}{:>14}\n", link.host, Name(link.kind), ToString(Seconds(link.busy)),
                       share(link.busy), ToString(Bytes(static_cast<int64_t>(link.bytes))));
  }
  return out;
}

std::string SimulationJson(const SimulationPage& page) {
  const simulate::Timeline& t = *page.timeline;
  nlohmann::ordered_json j;
  j["model"] = page.plan->model;
  j["cluster"] = page.cluster->name;
  j["schedule"] = page.plan->schedule;
  j["microbatches"] = page.pipeline->microbatches;
  j["step_s"] = t.makespan;
  j["instructions"] = page.instructions;
  j["took_s"] = page.took.value;
  j["meshes"] = nlohmann::ordered_json::array();
  for (const simulate::MeshUse& use : t.meshes)
    j["meshes"].push_back(
        {{"computing_s", use.busy}, {"waiting_s", use.waiting}, {"bubble_s", use.bubble}, {"peak_bytes", use.peak}});
  j["links"] = nlohmann::ordered_json::array();
  for (const simulate::LinkUse& link : t.links) {
    if (link.bytes > 0)
      j["links"].push_back(
          {{"host", link.host}, {"link", Name(link.kind)}, {"busy_s", link.busy}, {"bytes", link.bytes}});
  }
  return j.dump(1) + "\n";
}

}  // namespace alpa::report
