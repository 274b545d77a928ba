#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "alpa/plan/json_reader.h"
#include "alpa/plan/pipeline_plan.h"

namespace alpa::plan {
namespace {

using internal::Bad;
using internal::Reader;
using nlohmann::json;
using nlohmann::ordered_json;

// More is damage, and would cost memory before anything else notices.
constexpr int64_t kMostMicrobatches = 1'000'000;
constexpr int kMostLayers = 100'000;
constexpr int kMostUpdateRounds = 1000;

ordered_json StageJson(const PipelineStage& stage) {
  const StagePlacement& at = stage.placement;
  const StagePrediction& p = stage.prediction;
  ordered_json j;
  j["first_layer"] = stage.first_layer;
  j["last_layer"] = stage.last_layer;
  j["chunk"] = stage.chunk;
  j["recompute"] = stage.recompute;
  j["placement"] = {{"first_host", at.first_host},
                    {"hosts", at.hosts},
                    {"first_device", at.first_device},
                    {"devices", at.devices},
                    {"device_type", at.device_type}};
  j["prediction"] = {{"forward_seconds", p.forward.value},
                     {"backward_seconds", p.backward.value},
                     {"weight_seconds", p.weight.value},
                     {"per_step_seconds", p.per_step.value},
                     {"state_bytes", p.state.value},
                     {"activation_bytes", p.activation.value},
                     {"workspace_bytes", p.workspace.value},
                     {"peak_bytes", p.peak.value},
                     {"in_flight", p.in_flight}};
  j["layout"] = ordered_json::parse(ToJson(stage.layout));
  return j;
}

Result<PipelineStage> StageFromJson(const json& j, const std::string& where) {
  PipelineStage stage;
  Reader reader(j, where + ".");
  reader.Get("first_layer", &stage.first_layer);
  reader.Get("last_layer", &stage.last_layer);
  reader.Get("chunk", &stage.chunk);
  reader.Get("recompute", &stage.recompute);
  if (const json* member = reader.Member("placement")) {
    Reader placement(*member, where + ".placement.");
    placement.Get("first_host", &stage.placement.first_host);
    placement.Get("hosts", &stage.placement.hosts);
    placement.Get("first_device", &stage.placement.first_device);
    placement.Get("devices", &stage.placement.devices);
    placement.Get("device_type", &stage.placement.device_type);
    ALPA_RETURN_IF_ERROR(placement.status());
  }
  if (const json* member = reader.Member("prediction")) {
    Reader prediction(*member, where + ".prediction.");
    StagePrediction& p = stage.prediction;
    prediction.Get("forward_seconds", &p.forward);
    prediction.Get("backward_seconds", &p.backward);
    prediction.Get("weight_seconds", &p.weight);
    prediction.Get("per_step_seconds", &p.per_step);
    prediction.Get("state_bytes", &p.state);
    prediction.Get("activation_bytes", &p.activation);
    prediction.Get("workspace_bytes", &p.workspace);
    prediction.Get("peak_bytes", &p.peak);
    prediction.Get("in_flight", &p.in_flight);
    ALPA_RETURN_IF_ERROR(prediction.status());
  }
  const json* layout = reader.Member("layout");
  ALPA_RETURN_IF_ERROR(reader.status());
  Result<Plan> plan = FromJson(layout->dump());
  if (!plan.ok()) return Error{plan.error().code, where + ": " + plan.error().message, plan.error().hint};
  stage.layout = *std::move(plan);
  return stage;
}

Result<PipelineEdge> EdgeFromJson(const json& j, const std::string& where) {
  PipelineEdge edge;
  Reader reader(j, where + ".");
  reader.Get("from", &edge.from);
  reader.Get("to", &edge.to);
  reader.Get("activation_bytes", &edge.activation);
  reader.Get("cotangent_bytes", &edge.cotangent);
  reader.Get("forward_gather_seconds", &edge.forward_gather);
  reader.Get("backward_gather_seconds", &edge.backward_gather);
  ALPA_RETURN_IF_ERROR(reader.status());
  return edge;
}

Result<PipelineStepEdge> StepEdgeFromJson(const json& j, const std::string& where) {
  PipelineStepEdge edge;
  Reader reader(j, where + ".");
  reader.Get("from", &edge.from);
  reader.Get("to", &edge.to);
  reader.Get("round", &edge.round);
  reader.Get("bytes", &edge.bytes);
  ALPA_RETURN_IF_ERROR(reader.status());
  return edge;
}

}  // namespace

std::string ToJson(const PipelinePlan& plan) {
  ordered_json j;  // what a reader looks for first comes first
  j["alpa_pipeline"] = plan.version;
  j["model"] = plan.model;
  j["model_fingerprint"] = fmt::format("{:016x}", plan.model_fingerprint);
  j["cluster"] = plan.cluster;
  j["microbatches"] = plan.microbatches;
  j["per_microbatch"] = plan.per_microbatch;
  if (plan.half_sums) j["half_sums"] = true;
  j["unstacked"] = plan.unstacked;
  j["schedule"] = plan.schedule;
  j["layers"] = plan.layers;
  j["prediction"] = {{"step_seconds", plan.prediction.step.value},
                     {"closed_form_seconds", plan.prediction.closed_form.value},
                     {"bound_seconds", plan.prediction.bound.value},
                     {"flops", plan.prediction.flops.value}};
  j["edges"] = ordered_json::array();
  for (const PipelineEdge& e : plan.edges) {
    j["edges"].push_back({{"from", e.from},
                          {"to", e.to},
                          {"activation_bytes", e.activation.value},
                          {"cotangent_bytes", e.cotangent.value},
                          {"forward_gather_seconds", e.forward_gather.value},
                          {"backward_gather_seconds", e.backward_gather.value}});
  }
  j["update_rounds"] = plan.update_rounds;
  j["step_edges"] = ordered_json::array();
  for (const PipelineStepEdge& e : plan.step_edges)
    j["step_edges"].push_back({{"from", e.from}, {"to", e.to}, {"round", e.round}, {"bytes", e.bytes.value}});
  j["stages"] = ordered_json::array();
  for (const PipelineStage& stage : plan.stages) j["stages"].push_back(StageJson(stage));
  return j.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<PipelinePlan> PipelineFromJson(std::string_view text) {
  const json j = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (j.is_discarded()) return Bad("not valid JSON (damaged or truncated file)");
  if (!j.is_object() || !j.contains("alpa_pipeline"))
    return Bad("key 'alpa_pipeline' is missing: this is not a plan of several stages");
  PipelinePlan plan;
  Reader reader(j, "");
  reader.Get("alpa_pipeline", &plan.version);
  if (reader.ok() && plan.version != kPipelineVersion)
    return Bad(fmt::format("is of version {}, this alpa reads version {}", plan.version, kPipelineVersion));
  std::string digits;
  reader.Get("model", &plan.model);
  reader.Get("model_fingerprint", &digits);
  reader.Get("cluster", &plan.cluster);
  reader.Get("microbatches", &plan.microbatches);
  reader.Get("per_microbatch", &plan.per_microbatch);
  if (j.contains("half_sums")) reader.Get("half_sums", &plan.half_sums);
  reader.Get("unstacked", &plan.unstacked);
  reader.Get("schedule", &plan.schedule);
  reader.Get("layers", &plan.layers);
  if (reader.ok() && (digits.size() != 16 || digits.find_first_not_of("0123456789abcdef") != std::string::npos))
    return Bad(fmt::format("key 'model_fingerprint' should be 16 hex digits, is '{}'", digits));
  if (const json* member = reader.Member("prediction")) {
    Reader prediction(*member, "prediction.");
    prediction.Get("step_seconds", &plan.prediction.step);
    prediction.Get("closed_form_seconds", &plan.prediction.closed_form);
    prediction.Get("bound_seconds", &plan.prediction.bound);
    prediction.Get("flops", &plan.prediction.flops);
    ALPA_RETURN_IF_ERROR(prediction.status());
  }
  reader.Each("edges", [&](const json& value, const std::string& where) -> Status {
    ALPA_TRY(PipelineEdge edge, EdgeFromJson(value, where));
    plan.edges.push_back(edge);
    return Ok();
  });
  reader.Get("update_rounds", &plan.update_rounds);
  reader.Each("step_edges", [&](const json& value, const std::string& where) -> Status {
    ALPA_TRY(PipelineStepEdge edge, StepEdgeFromJson(value, where));
    plan.step_edges.push_back(edge);
    return Ok();
  });
  reader.Each("stages", [&](const json& value, const std::string& where) -> Status {
    ALPA_TRY(PipelineStage stage, StageFromJson(value, where));
    plan.stages.push_back(std::move(stage));
    return Ok();
  });
  ALPA_RETURN_IF_ERROR(reader.status());
  plan.model_fingerprint = std::stoull(digits, nullptr, 16);
  ALPA_RETURN_IF_ERROR(Verify(plan));
  return plan;
}

bool IsPipeline(std::string_view text) {
  return text.substr(0, 200).find("\"alpa_pipeline\"") != std::string_view::npos;
}

Bytes PeakMemory(const std::vector<StagePrediction>& stages) {
  Bytes kept, workspace;
  for (const StagePrediction& stage : stages) {
    kept += stage.state + Bytes(stage.activation.value * stage.in_flight);
    workspace = std::max(workspace, stage.workspace);
  }
  return kept + workspace;
}

int64_t DeviceCount(const PipelinePlan& plan) {
  int64_t count = 0;
  for (size_t s = 0; s < plan.stages.size(); ++s) {
    const StagePlacement& at = plan.stages[s].placement;
    const auto end = plan.stages.begin() + static_cast<std::ptrdiff_t>(s);
    const bool seen = std::any_of(plan.stages.begin(), end, [&](const auto& e) { return e.placement == at; });
    if (!seen) count += int64_t{at.hosts} * at.devices;
  }
  return count;
}

Status Verify(const PipelinePlan& plan) {
  if (plan.stages.empty()) return Bad("has no stages");
  if (plan.microbatches < 1 || plan.microbatches > kMostMicrobatches)
    return Bad(fmt::format("key 'microbatches' should be at least 1 and at most {}, is {}", kMostMicrobatches,
                           plan.microbatches));
  if (plan.layers > kMostLayers)
    return Bad(fmt::format("key 'layers' should be at most {}, is {}", kMostLayers, plan.layers));
  if (plan.update_rounds > kMostUpdateRounds)
    return Bad(fmt::format("key 'update_rounds' should be at most {}, is {}", kMostUpdateRounds, plan.update_rounds));
  std::vector<int> covered(static_cast<size_t>(std::max(plan.layers, 0)), 0);
  for (size_t s = 0; s < plan.stages.size(); ++s) {
    const PipelineStage& stage = plan.stages[s];
    if (stage.first_layer > stage.last_layer || stage.last_layer >= plan.layers)
      return Bad(
          fmt::format("stages[{}] has layers {} to {} of {}", s, stage.first_layer, stage.last_layer, plan.layers));
    for (int layer = stage.first_layer; layer <= stage.last_layer; ++layer) {
      if (covered[static_cast<size_t>(layer)]++ > 0) return Bad(fmt::format("layer {} is in two stages", layer));
    }
    const StagePlacement& at = stage.placement;
    if (at.hosts < 1 || at.devices < 1 || int64_t{at.hosts} * at.devices != stage.layout.mesh.size())
      return Bad(fmt::format("stages[{}] has {} hosts with {} devices each, and a mesh of {}", s, at.hosts, at.devices,
                             stage.layout.mesh.size()));
  }
  for (size_t layer = 0; layer < covered.size(); ++layer) {
    if (covered[layer] == 0) return Bad(fmt::format("layer {} is in no stage", layer));
  }
  const auto count = static_cast<int>(plan.stages.size());
  for (size_t e = 0; e < plan.edges.size(); ++e) {
    if (plan.edges[e].from >= plan.edges[e].to || plan.edges[e].to >= count)
      return Bad(
          fmt::format("edges[{}] goes from stage {} to {} of {}", e, plan.edges[e].from, plan.edges[e].to, count));
  }
  for (size_t e = 0; e < plan.step_edges.size(); ++e) {
    const PipelineStepEdge& edge = plan.step_edges[e];
    if (edge.from == edge.to || edge.from >= count || edge.to >= count || edge.round > plan.update_rounds)
      return Bad(fmt::format("step_edges[{}] goes from stage {} to {} of {} in front of round {} of {}", e, edge.from,
                             edge.to, count, edge.round, plan.update_rounds));
  }
  return Ok();
}

}  // namespace alpa::plan
