#include "alpa/report/plan_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "alpa/ir/shape.h"
#include "alpa/report/page_asset.h"
#include "alpa/report/page_timeline.h"
#include "alpa/sharding/spec.h"

namespace alpa::report {
namespace {

using nlohmann::ordered_json;

// "[x,]" as the axes of each dimension: [[0], []].
Result<ordered_json> SplitOf(const std::string& spec, const ir::Shape& shape, const cluster::Mesh& mesh,
                             const std::string& key) {
  const auto bad = [&](const Error& error) {
    return Error{Code::kInvalidInput, fmt::format("plan: key '{}': {}", key, error.message), error.hint};
  };
  Result<sharding::Spec> parsed = sharding::ParseSpec(spec, mesh);
  if (!parsed.ok()) return bad(parsed.error());
  if (const Status fits = sharding::Verify(*parsed, shape, mesh); !fits.ok()) return bad(fits.error());
  parsed->dims.resize(shape.dims.size());
  return ordered_json(parsed->dims);
}

Result<ordered_json> TensorJson(const plan::TensorNote& tensor, const cluster::Mesh& mesh, const std::string& key) {
  ir::Shape shape;
  shape.dims = tensor.shape;
  shape.dtype = ir::DTypeFromName(tensor.dtype).value_or(ir::DType::kF32);
  ALPA_TRY(ordered_json split, SplitOf(tensor.spec, shape, mesh, key + ".spec"));
  ordered_json j = {{"stage", tensor.stage}, {"name", tensor.name},         {"role", tensor.role},
                    {"dtype", tensor.dtype}, {"shape", tensor.shape},       {"spec", tensor.spec},
                    {"split", split},        {"bytes", tensor.bytes.value}, {"count", tensor.count}};
  j["others"] = ordered_json::array();
  for (const plan::OtherLayout& other : tensor.others)
    j["others"].push_back({{"spec", other.spec}, {"seconds", other.seconds}, {"bytes", other.bytes}});
  return j;
}

ordered_json MeshJson(const cluster::Mesh& mesh) { return {{"shape", mesh.shape}, {"axes", mesh.axes}}; }

ordered_json PredictionJson(const plan::Plan& plan) {
  if (!plan.prediction) return nullptr;
  const plan::Prediction& p = *plan.prediction;
  ordered_json j = {{"compute_s", p.compute.value}, {"communication_s", p.communication.value},
                    {"memory", p.memory.value},     {"cost_s", p.cost},
                    {"bound_s", p.bound},           {"collectives", ordered_json::array()}};
  for (const plan::CollectiveTotal& total : p.collectives) {
    j["collectives"].push_back({{"kind", sharding::Name(total.kind)},
                                {"axes", cluster::AxisNames(plan.mesh, total.axes)},
                                {"count", total.count},
                                {"bytes", total.bytes.value}});
  }
  return j;
}

ordered_json StageJson(const plan::PipelineStage& stage) {
  const plan::StagePlacement& at = stage.placement;
  const plan::StagePrediction& p = stage.prediction;
  return {{"first", stage.first_layer},
          {"last", stage.last_layer},
          {"chunk", stage.chunk},
          {"recompute", stage.recompute},
          {"place", {at.first_host, at.hosts, at.first_device, at.devices}},
          {"type", at.device_type},
          {"mesh", MeshJson(stage.layout.mesh)},
          {"forward_s", p.forward.value},
          {"backward_s", p.backward.value},
          {"weight_s", p.weight.value},
          {"per_step_s", p.per_step.value},
          {"state", p.state.value},
          {"activation", p.activation.value},
          {"workspace", p.workspace.value},
          {"peak", p.peak.value},
          {"in_flight", p.in_flight},
          {"layout", PredictionJson(stage.layout)}};
}

void AddPipeline(const PlanOnPage& plan, size_t most_events, ordered_json* j) {
  const plan::PipelinePlan& p = *plan.pipeline;
  (*j)["kind"] = "pipeline";
  (*j)["model"] = p.model;
  (*j)["cluster"] = p.cluster;
  (*j)["microbatches"] = p.microbatches;
  (*j)["schedule"] = p.schedule;
  (*j)["layer_count"] = p.layers;
  (*j)["step_s"] = p.prediction.step.value;
  (*j)["closed_form_s"] = p.prediction.closed_form.value;
  (*j)["bound_s"] = p.prediction.bound.value;
  (*j)["flops"] = p.prediction.flops.value;
  (*j)["devices_used"] = plan::DeviceCount(p);
  (*j)["stages"] = ordered_json::array();
  std::vector<plan::StagePlacement> meshes;
  for (const plan::PipelineStage& stage : p.stages) {
    const auto it = std::find(meshes.begin(), meshes.end(), stage.placement);
    (*j)["stages"].push_back(StageJson(stage));
    (*j)["stages"].back()["on"] = it - meshes.begin();
    if (it == meshes.end()) meshes.push_back(stage.placement);
  }
  (*j)["edges"] = ordered_json::array();
  for (const plan::PipelineEdge& e : p.edges)
    (*j)["edges"].push_back({e.from, e.to, e.activation.value, e.cotangent.value});
  (*j)["step_edges"] = ordered_json::array();
  for (const plan::PipelineStepEdge& e : p.step_edges) (*j)["step_edges"].push_back({e.from, e.to, e.bytes.value});
  if (plan.timeline != nullptr) (*j)["timeline"] = TimelineJson(*plan.timeline, *plan.schedule, most_events);
}

void AddMesh(const PlanOnPage& plan, ordered_json* j) {
  const plan::Plan& p = *plan.mesh;
  (*j)["kind"] = "mesh";
  (*j)["model"] = p.model;
  (*j)["cluster"] = p.prediction ? p.prediction->cluster : "";
  (*j)["method"] = p.method;
  (*j)["microbatches"] = 1;
  (*j)["mesh"] = MeshJson(p.mesh);
  (*j)["devices_used"] = p.mesh.size();
  (*j)["layout"] = PredictionJson(p);
  if (p.prediction) (*j)["step_s"] = (p.prediction->compute + p.prediction->communication).value;
}

Status AddNotes(const PlanOnPage& plan, ordered_json* j) {
  const plan::Notes& notes = *plan.notes;
  ordered_json out = {{"batch", notes.batch},
                      {"peak_flops", notes.peak_flops},
                      {"gap", notes.gap},
                      {"interleaved_bound_s", notes.interleaved_bound.value},
                      {"complete", notes.complete}};
  for (const char* list : {"times", "ways", "layers", "tensors", "ops"}) out[list] = ordered_json::array();
  for (const auto& [phase, time] : notes.times) out["times"].push_back({phase, time.value});
  for (const plan::WayNote& w : notes.ways)
    out["ways"].push_back(
        {{"name", w.name}, {"microbatches", w.microbatches}, {"stages", w.stages}, {"step_s", w.step.value}});
  for (const plan::LayerNote& layer : notes.layers)
    out["layers"].push_back({{"name", layer.name},
                             {"forward", layer.forward.value},
                             {"backward", layer.backward.value},
                             {"parameters", layer.parameters.value}});
  for (size_t t = 0; t < notes.tensors.size(); ++t) {
    const plan::TensorNote& tensor = notes.tensors[t];
    const std::string key = fmt::format("notes.tensors[{}]", t);
    const size_t stages = plan.pipeline != nullptr ? plan.pipeline->stages.size() : 1;
    if (static_cast<size_t>(tensor.stage) >= stages)
      return Error{Code::kInvalidInput, fmt::format("plan: key '{}.stage' is {} of {}", key, tensor.stage, stages), ""};
    const cluster::Mesh& mesh = plan.pipeline != nullptr
                                    ? plan.pipeline->stages[static_cast<size_t>(tensor.stage)].layout.mesh
                                    : plan.mesh->mesh;
    ALPA_TRY(ordered_json one, TensorJson(tensor, mesh, key));
    out["tensors"].push_back(std::move(one));
  }
  for (const plan::OpNote& op : notes.ops)
    out["ops"].push_back(
        {op.name, op.where, op.phase, op.count, op.compute.value, op.communication.value, op.memory.value});
  (*j)["notes"] = std::move(out);
  return Ok();
}

void AddCluster(const PlanOnPage& plan, ordered_json* j) {
  ordered_json limits = ordered_json::object();
  if (plan.cluster != nullptr) {
    (*j)["hosts"] = ordered_json::array();
    for (const cluster::Host& host : plan.cluster->hosts)
      (*j)["hosts"].push_back({{"name", host.name}, {"type", host.device_type}, {"devices", host.devices}});
    if (plan.notes == nullptr) {
      for (const auto& [name, type] : plan.cluster->device_types) limits[name] = type.memory.value;
    }
  }
  if (plan.notes != nullptr) {
    for (const auto& [type, limit] : plan.notes->memory_limits) limits[type] = limit.value;
  }
  (*j)["limits"] = std::move(limits);
}

ordered_json FamilyJson(const plan::PlanFamily& family, const plan::Notes* notes) {
  ordered_json j = {{"same_state", family.same_state}, {"expected_s", family.expected.value}};
  for (const plan::FamilyMember& member : family.members)
    j["members"].push_back({{"file", member.file}, {"frequency", member.frequency}, {"step_s", member.step.value}});
  for (const std::vector<Seconds>& row : family.switching) {
    j["switching_s"].push_back(ordered_json::array());
    for (const Seconds s : row) j["switching_s"].back().push_back(s.value);
  }
  if (notes == nullptr) return j;
  j["ways"] = ordered_json::array();
  for (const plan::WayNote& way : notes->ways) j["ways"].push_back({way.name, way.step.value});
  return j;
}

// JSON as it may stand in a script element: nothing in it looks like markup.
std::string InScript(const std::string& json) {
  std::string out;
  out.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      out += "\\u003c";
    } else if (c == '>') {
      out += "\\u003e";
    } else if (c == '&') {
      out += "\\u0026";
    } else {
      out += c;
    }
  }
  return out;
}

std::string InText(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

// `text` with the one occurrence of `mark` replaced.
void Fill(std::string* text, std::string_view mark, const std::string& with) {
  const size_t at = text->find(mark);
  ALPA_CHECK(at != std::string::npos, "the page has a place for everything");
  text->replace(at, mark.size(), with);
}

}  // namespace

Result<std::string> PlanPageData(const PlanPage& page, size_t most_events) {
  ordered_json j;
  j["title"] = page.title;
  j["family"] = page.family == nullptr ? ordered_json(nullptr) : FamilyJson(*page.family, page.family_notes);
  j["plans"] = ordered_json::array();
  for (const PlanOnPage& plan : page.plans) {
    ordered_json p;
    p["name"] = plan.name;
    if (plan.pipeline != nullptr) {
      AddPipeline(plan, most_events / page.plans.size(), &p);
    } else {
      AddMesh(plan, &p);
    }
    p["not_simulated"] = plan.not_simulated;
    p["notes"] = nullptr;
    if (plan.notes != nullptr) ALPA_RETURN_IF_ERROR(AddNotes(plan, &p));
    AddCluster(plan, &p);
    if (!plan.measured.empty()) p["measured"] = MeasuredJson(plan.measured);
    j["plans"].push_back(std::move(p));
  }
  return j.dump(-1, ' ', /*ensure_ascii=*/true, ordered_json::error_handler_t::replace);
}

Result<std::string> PlanPageHtml(const PlanPage& page) {
  ALPA_TRY(const std::string data, PlanPageData(page));
  std::string html(PageAsset("page.html"));
  Fill(&html, "@TITLE@", InText(page.title));
  Fill(&html, "/*@STYLE@*/", std::string(PageAsset("page.css")));
  std::string script;
  for (const char* name : {"base.js", "time_view.js", "timeline.js", "stages.js", "devices.js", "sharding.js",
                           "alternatives.js", "page.js"})
    script += PageAsset(name);
  Fill(&html, "/*@SCRIPT@*/", script);
  Fill(&html, "@DATA@", InScript(data));  // last: it may hold anything
  return html;
}

}  // namespace alpa::report
