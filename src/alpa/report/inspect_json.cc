#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "alpa/frontend/loops.h"
#include "alpa/report/inspect.h"

namespace alpa::report {
namespace {

using frontend::OpPhase;
using frontend::StepAnalysis;
using Json = nlohmann::ordered_json;

// An integer where it fits in one.
Json Number(Flops flops) {
  if (flops.value < 9.2e18) return static_cast<int64_t>(flops.value);
  return flops.value;
}

Json Inputs(const ir::Module& module, const StepAnalysis& analysis) {
  Json out = Json::array();
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    const ir::Shape& shape = module.shape(module.inputs[i]);
    const ir::StepInput& input = analysis.signature.inputs[i];
    out.push_back({{"index", i},
                   {"name", module.input_names[i]},
                   {"role", ir::Name(input.role)},
                   {"shape", shape.dims},
                   {"dtype", ir::Name(shape.dtype)},
                   {"bytes", shape.bytes().value},
                   {"batch_dim", analysis.batch_dims()[i]},
                   {"donated", input.donated},
                   {"updated_by", input.updated_by}});
  }
  return out;
}

Json Outputs(const ir::Module& module, const StepAnalysis& analysis) {
  Json out = Json::array();
  for (size_t o = 0; o < module.outputs.size(); ++o) {
    const ir::Shape& shape = module.shape(module.outputs[o]);
    out.push_back({{"index", o},
                   {"role", ir::Name(analysis.signature.outputs[o].role)},
                   {"shape", shape.dims},
                   {"dtype", ir::Name(shape.dtype)},
                   {"updates", analysis.signature.outputs[o].updates},
                   {"loss", analysis.signature.loss == static_cast<int32_t>(o)}});
  }
  return out;
}

void AddSizes(const ir::Module& module, const StepAnalysis& analysis, Json& out) {
  int64_t parameters = 0;
  Bytes parameter_bytes;
  Bytes state_bytes;
  size_t state = 0;
  size_t donated = 0;
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    const ir::StepInput& input = analysis.signature.inputs[i];
    if (input.role == ir::InputRole::kBatch) continue;
    const ir::Shape& shape = module.shape(module.inputs[i]);
    ++state;
    donated += input.donated ? 1 : 0;
    const bool parameter = input.role == ir::InputRole::kParameter;
    parameters += parameter ? shape.elements() : 0;
    (parameter ? parameter_bytes : state_bytes) += shape.bytes();
  }
  out["parameter_count"] = parameters;
  out["parameter_bytes"] = parameter_bytes.value;
  out["state_bytes"] = state_bytes.value;
  out["donated"] = donated == 0 ? "none" : donated == state ? "all" : "some";
}

void AddFlops(const StepAnalysis& analysis, Json& out) {
  const std::pair<const char*, frontend::FlopCount> rows[] = {{"fwd", analysis.total(OpPhase::kForward)},
                                                              {"bwd", analysis.total(OpPhase::kBackward)},
                                                              {"update", analysis.total(OpPhase::kUpdate)},
                                                              {"step", analysis.total()}};
  for (const auto& [name, count] : rows) out[std::string(name) + "_flops_dot_conv"] = Number(count.dot_conv);
  for (const auto& [name, count] : rows) out[std::string(name) + "_flops"] = Number(count.total());
}

void AddOps(const ir::Module& module, const StepAnalysis& analysis, Json& out) {
  std::map<std::string, int64_t> all;
  std::map<std::string, std::map<std::string, int64_t>> by_phase;
  Json loops = Json::array();
  for (size_t i = 0; i < module.ops.size(); ++i) {
    const ir::Op& op = module.ops[i];
    if (op.kind == ir::OpKind::kParameter) continue;
    const std::string name(ir::Name(op.kind));
    ++all[name];
    ++by_phase[std::string(frontend::Name(analysis.phases[i]))][name];
    if (op.kind != ir::OpKind::kWhile) continue;
    const auto trips = frontend::TripCount(module, op);
    loops.push_back({{"op", op.name}, {"trip_count", trips.has_value() ? Json(*trips) : Json()}});
  }
  out["ops"] = all;
  out["ops_by_phase"] = by_phase;
  out["loops"] = loops;
}

Json Microbatching(const ir::Module& module, const StepAnalysis& analysis) {
  Json obstacles = Json::array();
  for (const frontend::Obstacle& o : analysis.microbatching.obstacles) {
    obstacles.push_back({{"kind", frontend::Name(o.kind)},
                         {"blocks", frontend::Blocks(o.kind)},
                         {"op", module.op(o.op).name},
                         {"count", o.count},
                         {"at", ir::ToString(ir::LocationOf(module, module.op(o.op)))},
                         {"text", o.text}});
  }
  return {{"max", analysis.microbatching.max_microbatches},
          {"separable", analysis.microbatching.separable()},
          {"accumulations", analysis.microbatching.accumulations},
          {"levels", analysis.microbatching.levels},
          {"obstacles", std::move(obstacles)}};
}

}  // namespace

std::string InspectJson(const ir::Module& module, const StepAnalysis& analysis) {
  Json out;
  out["name"] = module.name;
  out["inputs"] = Inputs(module, analysis);
  out["outputs"] = Outputs(module, analysis);
  AddSizes(module, analysis, out);
  out["loss"] = analysis.signature.loss;
  out["batch"] = {{"size", analysis.batch.batch_size}, {"dims", analysis.batch_dims()}};
  AddFlops(analysis, out);
  AddOps(module, analysis, out);
  out["microbatching"] = Microbatching(module, analysis);
  return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";  // names may be any bytes
}

}  // namespace alpa::report
