#include "alpa/report/pipeline_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace alpa::report {
namespace {

std::string Plural(int64_t n, std::string_view noun, std::string_view ending = "s") {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : ending);
}

// Seconds of the busiest stage per microbatch, its share of what is done once per step included.
double Effective(const plan::PipelinePlan& plan, const plan::PipelineStage& stage) {
  const plan::StagePrediction& p = stage.prediction;
  return p.forward.value + p.backward.value + p.per_step.value / static_cast<double>(plan.microbatches);
}

size_t Bottleneck(const plan::PipelinePlan& plan) {
  size_t worst = 0;
  for (size_t s = 1; s < plan.stages.size(); ++s) {
    if (Effective(plan, plan.stages[s]) > Effective(plan, plan.stages[worst])) worst = s;
  }
  return worst;
}

// Share of its computing time that a stage spends in collectives; negative: not known.
double CommunicationShare(const plan::PipelineStage& stage) {
  if (!stage.layout.prediction) return -1;
  const double all = (stage.layout.prediction->compute + stage.layout.prediction->communication).value;
  return all > 0 ? stage.layout.prediction->communication.value / all : 0;
}

// Over all devices.
double CommunicationShare(const plan::PipelinePlan& plan) {
  double communication = 0, all = 0;
  for (const plan::PipelineStage& stage : plan.stages) {
    if (!stage.layout.prediction) return -1;
    const auto devices = static_cast<double>(stage.layout.mesh.size());
    communication += devices * stage.layout.prediction->communication.value;
    all += devices * (stage.layout.prediction->compute + stage.layout.prediction->communication).value;
  }
  return all > 0 ? communication / all : 0;
}

Bytes LimitOf(const PipelinePage& page, const std::string& device_type) {
  for (const auto& [type, limit] : page.memory) {
    if (type == device_type) return limit;
  }
  return Bytes(0);
}

int64_t DevicesUsed(const plan::PipelinePlan& plan) {
  std::vector<plan::StagePlacement> seen;
  int64_t devices = 0;
  for (const plan::PipelineStage& stage : plan.stages) {
    if (std::find(seen.begin(), seen.end(), stage.placement) != seen.end()) continue;
    seen.push_back(stage.placement);
    devices += stage.layout.mesh.size();
  }
  return devices;
}

std::string Limits(const PipelinePage& page, const TimeShares& shares) {
  const plan::PipelinePlan& plan = *page.plan;
  const size_t worst = Bottleneck(plan);
  const plan::PipelineStage& stage = plan.stages[worst];
  std::string out = fmt::format("{:<24}stage {} takes longest, {} a microbatch", "limited by", worst,
                                ToString(Seconds(Effective(plan, stage))));
  if (shares.bubble > 0.1) out += fmt::format("; {:.0f} % of the devices' time is bubble", 100 * shares.bubble);
  size_t fullest = 0;
  double full = 0;
  for (size_t s = 0; s < plan.stages.size(); ++s) {
    const Bytes limit = LimitOf(page, plan.stages[s].placement.device_type);
    const double share = limit.value > 0 ? plan.stages[s].prediction.peak / limit : 0;
    if (share > full) {
      full = share;
      fullest = s;
    }
  }
  if (full > 0.8) out += fmt::format("; memory of stage {} is {:.0f} % full", fullest, 100 * full);
  return out + "\n";
}

}  // namespace

std::string PlaceText(const plan::StagePlacement& at) {
  const std::string devices = at.devices == 1 ? fmt::format("{}", at.first_device)
                                              : fmt::format("{}-{}", at.first_device, at.first_device + at.devices - 1);
  return at.hosts == 1 ? fmt::format("host {}: {}", at.first_host, devices)
                       : fmt::format("hosts {}-{}: {}", at.first_host, at.first_host + at.hosts - 1, devices);
}

std::string LayersText(const plan::PipelineStage& stage) {
  return stage.first_layer == stage.last_layer ? fmt::format("{}", stage.first_layer)
                                               : fmt::format("{}-{}", stage.first_layer, stage.last_layer);
}

TimeShares SharesOf(const PipelinePage& page) {
  TimeShares shares;
  double all = 0;
  std::vector<char> seen(page.timeline->meshes.size(), 0);
  for (size_t s = 0; s < page.plan->stages.size(); ++s) {
    const auto mesh = static_cast<size_t>(page.pipeline->stages[s].mesh);
    if (seen[mesh]++ != 0) continue;
    const auto devices = static_cast<double>(page.plan->stages[s].layout.mesh.size());
    const simulate::MeshUse& use = page.timeline->meshes[mesh];
    shares.busy += devices * use.busy;
    shares.waiting += devices * use.waiting;
    shares.bubble += devices * use.bubble;
    all += devices * page.timeline->makespan;
  }
  if (all <= 0) return {1, 0, 0};
  return {shares.busy / all, shares.waiting / all, shares.bubble / all};
}

std::string StagesInShort(const plan::PipelinePlan& plan) {
  std::string out;
  for (size_t s = 0; s < plan.stages.size();) {
    const plan::StagePlacement& at = plan.stages[s].placement;
    size_t same = s;
    while (same < plan.stages.size() && plan.stages[same].placement.hosts == at.hosts &&
           plan.stages[same].placement.devices == at.devices &&
           plan.stages[same].placement.device_type == at.device_type)
      ++same;
    if (!out.empty()) out += ", ";
    out += same - s > 1 ? fmt::format("{} x {}x{}", same - s, at.hosts, at.devices)
                        : fmt::format("{}x{}", at.hosts, at.devices);
    s = same;
  }
  return out;
}

std::string PipelineText(const PipelinePage& page) {
  const plan::PipelinePlan& plan = *page.plan;
  const TimeShares shares = SharesOf(page);
  const double step = plan.prediction.step.value;
  const int64_t used = DevicesUsed(plan);
  std::string out = fmt::format("{} on {}, {} of {} devices: {}, {}, {}", plan.model, plan.cluster, used, page.devices,
                                Plural(static_cast<int64_t>(plan.stages.size()), "stage"), plan.schedule,
                                Plural(plan.microbatches, "microbatch", "es"));
  if (page.batch > 0) out += fmt::format(" of {}", Plural(page.batch / plan.microbatches, "example"));
  Seconds all{0};
  std::string phases;
  for (const auto& [name, time] : page.times) {
    all += time;
    phases += fmt::format("{}{} {}", phases.empty() ? "" : ", ", name, ToString(time));
  }
  out += fmt::format("\nplanned in {}: {}\n\n", ToString(all), phases);
  out += fmt::format("{:<24}{}", "step time, predicted", ToString(plan.prediction.step));
  if (step > 0 && plan.prediction.flops.value > 0) {
    const double rate = plan.prediction.flops.value / step;
    out += fmt::format("   {:.4g} PFLOPS", rate / 1e15);
    if (page.peak_flops > 0) out += fmt::format(", {:.0f} % of the peak", 100 * rate / page.peak_flops);
  }
  out += fmt::format("\n{:<24}{:.1f} % computing, {:.1f} % waiting for transfers, {:.1f} % bubble\n", "  devices",
                     100 * shares.busy, 100 * shares.waiting, 100 * shares.bubble);
  if (const double share = CommunicationShare(plan); share >= 0)
    out += fmt::format("{:<24}{:.1f} % of computing time, inside stages\n", "  collectives", 100 * share);
  out += Limits(page, shares);
  out += fmt::format("{:<24}{} by closed form; no plan of the search space is below {}: gap {:.2f} %{}{}\n", "search",
                     ToString(plan.prediction.closed_form), ToString(plan.prediction.bound), 100 * page.gap,
                     page.interleaved_bound < plan.prediction.bound
                         ? fmt::format(" (interleaved ones: {})", ToString(page.interleaved_bound))
                         : "",
                     page.complete ? "" : " (stopped early)");

  out += fmt::format("\n{:<6}{:<9}{:<18}{:<12}{:<8}{:>11}{:>11}{:>11}{:>7}{:>10}{:>12}{:>12}{:>7}{:>10}\n", "Stage",
                     "layers", "devices", "type", "mesh", "forward", "backward", "per step", "comm.", "recompute",
                     "state", "activations", "in fl.", "memory");
  for (size_t s = 0; s < plan.stages.size(); ++s) {
    const plan::PipelineStage& stage = plan.stages[s];
    const plan::StagePrediction& p = stage.prediction;
    const double share = CommunicationShare(stage);
    const Bytes limit = LimitOf(page, stage.placement.device_type);
    out += fmt::format("{:<6}{:<9}{:<18}{:<12}{:<8}{:>11}{:>11}{:>11}{:>7}{:>10}{:>12}{:>12}{:>7}{:>10}\n", s,
                       LayersText(stage), PlaceText(stage.placement), stage.placement.device_type.substr(0, 11),
                       cluster::ToString(stage.layout.mesh), ToString(p.forward), ToString(p.backward),
                       ToString(p.per_step), share < 0 ? "" : fmt::format("{:.0f} %", 100 * share),
                       stage.recompute ? "yes" : "no", ToString(p.state), ToString(p.activation), p.in_flight,
                       limit.value > 0 ? fmt::format("{:.0f} %", 100 * (p.peak / limit)) : ToString(p.peak));
  }
  if (!page.runners_up.empty()) {
    out += fmt::format("\n{:<12}{:<14}{:<44}{}\n", "Runners-up", "microbatches", "stages", "step time");
    for (const RunnerUp& r : page.runners_up) {
      out += fmt::format("  {:<12}{:>10}  {:<44}{} ({:+.1f} %)\n", r.schedule, r.microbatches, r.stages.substr(0, 42),
                         ToString(r.step), step > 0 ? 100 * (r.step.value / step - 1) : 0.0);
    }
  }
  return out;
}

std::string PipelineJson(const PipelinePage& page) {
  const plan::PipelinePlan& plan = *page.plan;
  const TimeShares shares = SharesOf(page);
  nlohmann::ordered_json j;
  j["model"] = plan.model;
  j["cluster"] = plan.cluster;
  j["devices"] = page.devices;
  j["devices_used"] = DevicesUsed(plan);
  j["microbatches"] = plan.microbatches;
  j["schedule"] = plan.schedule;
  j["step_s"] = plan.prediction.step.value;
  j["pflops"] = plan.prediction.step.value > 0 ? plan.prediction.flops.value / plan.prediction.step.value / 1e15 : 0;
  j["closed_form_s"] = plan.prediction.closed_form.value;
  j["bound_s"] = plan.prediction.bound.value;
  j["gap"] = page.gap;
  j["interleaved_bound_s"] = page.interleaved_bound.value;
  j["complete"] = page.complete;
  j["shares"] = {{"computing", shares.busy}, {"waiting", shares.waiting}, {"bubble", shares.bubble}};
  j["communication_share"] = CommunicationShare(plan);
  j["bottleneck_stage"] = Bottleneck(plan);
  for (const auto& [name, time] : page.times) j["times_s"][name] = time.value;
  j["stages"] = nlohmann::ordered_json::array();
  for (const plan::PipelineStage& stage : plan.stages) {
    const plan::StagePrediction& p = stage.prediction;
    j["stages"].push_back({{"first_layer", stage.first_layer},
                           {"last_layer", stage.last_layer},
                           {"hosts", stage.placement.hosts},
                           {"devices", stage.placement.devices},
                           {"first_host", stage.placement.first_host},
                           {"first_device", stage.placement.first_device},
                           {"device_type", stage.placement.device_type},
                           {"mesh", stage.layout.mesh.shape},
                           {"chunk", stage.chunk},
                           {"recompute", stage.recompute},
                           {"forward_s", p.forward.value},
                           {"backward_s", p.backward.value},
                           {"weight_s", p.weight.value},
                           {"per_step_s", p.per_step.value},
                           {"state_bytes", p.state.value},
                           {"activation_bytes", p.activation.value},
                           {"peak_bytes", p.peak.value},
                           {"in_flight", p.in_flight}});
  }
  j["runners_up"] = nlohmann::ordered_json::array();
  for (const RunnerUp& r : page.runners_up)
    j["runners_up"].push_back(
        {{"microbatches", r.microbatches}, {"schedule", r.schedule}, {"stages", r.stages}, {"step_s", r.step.value}});
  return j.dump(1) + "\n";
}

}  // namespace alpa::report
