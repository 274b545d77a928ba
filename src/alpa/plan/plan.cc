#include "alpa/plan/plan.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace alpa::plan {
namespace {

using nlohmann::json;

Error Bad(const std::string& what) { return {Code::kInvalidInput, "plan: " + what, ""}; }

// The member `key` of `object`, checked to be of the JSON kind `check` accepts. `where`: "" or "mesh.", for messages.
Result<json> Member(const json& object, const char* key, bool (json::*check)() const noexcept, const char* kind,
                    const char* where = "") {
  if (!object.contains(key)) return Bad(fmt::format("key '{}{}' is missing", where, key));
  const json& value = object.at(key);
  if (!(value.*check)()) {
    return Bad(fmt::format("key '{}{}' should be {}, is {}", where, key, kind, value.type_name()));
  }
  return value;
}

// The layout that `value` spells out; `key` ("inputs[3]", "ops.dot.1") for messages.
Result<sharding::Spec> SpecAt(const json& value, const std::string& key, const cluster::Mesh& mesh) {
  if (!value.is_string()) return Bad(fmt::format("key '{}' should be a string, is {}", key, value.type_name()));
  Result<sharding::Spec> spec = sharding::ParseSpec(value.get<std::string>(), mesh);
  if (spec.ok()) return spec;
  return Error{spec.error().code, fmt::format("plan: key '{}': {}", key, spec.error().message), spec.error().hint};
}

Result<std::vector<sharding::Spec>> Specs(const json& list, const char* key, const cluster::Mesh& mesh) {
  std::vector<sharding::Spec> out;
  for (const json& value : list) {
    ALPA_TRY(sharding::Spec spec, SpecAt(value, fmt::format("{}[{}]", key, out.size()), mesh));
    out.push_back(std::move(spec));
  }
  return out;
}

}  // namespace

std::string ToJson(const Plan& plan) {
  nlohmann::ordered_json j;  // what a reader looks for first comes first
  j["alpa_plan"] = plan.version;
  j["method"] = plan.method;
  j["model"] = plan.model;
  j["model_fingerprint"] = fmt::format("{:016x}", plan.model_fingerprint);
  j["mesh"]["shape"] = plan.mesh.shape;
  j["mesh"]["axes"] = plan.mesh.axes;
  auto texts = [&](const std::vector<sharding::Spec>& specs) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& spec : specs) list.push_back(sharding::ToString(spec, plan.mesh));
    return list;
  };
  j["inputs"] = texts(plan.inputs);
  j["outputs"] = texts(plan.outputs);
  j["ops"] = nlohmann::ordered_json::object();
  for (const auto& [name, spec] : plan.ops) j["ops"][name] = sharding::ToString(spec, plan.mesh);
  // Names come from the model file and need not be UTF-8, which JSON is.
  return j.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<Plan> FromJson(std::string_view text) {
  const json j = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (j.is_discarded()) return Bad("not valid JSON (damaged or truncated file)");
  if (!j.is_object() || !j.contains("alpa_plan")) return Bad("key 'alpa_plan' is missing: this is not a plan of alpa");
  Plan plan;
  ALPA_TRY(const json version, Member(j, "alpa_plan", &json::is_number_integer, "an integer"));
  if (version != kVersion) {
    return Bad(fmt::format("is of version {}, this alpa reads version {}", version.dump(), kVersion));
  }
  ALPA_TRY(const json method, Member(j, "method", &json::is_string, "a string"));
  ALPA_TRY(const json model, Member(j, "model", &json::is_string, "a string"));
  ALPA_TRY(const json fingerprint, Member(j, "model_fingerprint", &json::is_string, "a string of 16 hex digits"));
  ALPA_TRY(const json mesh, Member(j, "mesh", &json::is_object, "an object"));
  ALPA_TRY(const json shape, Member(mesh, "shape", &json::is_array, "a list of integers", "mesh."));
  ALPA_TRY(const json axes, Member(mesh, "axes", &json::is_array, "a list of strings", "mesh."));
  ALPA_TRY(const json inputs, Member(j, "inputs", &json::is_array, "a list"));
  ALPA_TRY(const json outputs, Member(j, "outputs", &json::is_array, "a list"));
  plan.method = method.get<std::string>();
  plan.model = model.get<std::string>();
  const auto digits = fingerprint.get<std::string>();
  if (digits.size() != 16 || digits.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return Bad(fmt::format("key 'model_fingerprint' should be 16 hex digits, is '{}'", digits));
  }
  plan.model_fingerprint = std::stoull(digits, nullptr, 16);
  for (const json& extent : shape) {
    if (!extent.is_number_integer()) {
      return Bad(fmt::format("key 'mesh.shape' should hold integers, holds {}", extent.type_name()));
    }
    plan.mesh.shape.push_back(extent.get<int64_t>());
  }
  for (const json& axis : axes) {
    if (!axis.is_string()) return Bad(fmt::format("key 'mesh.axes' should hold strings, holds {}", axis.type_name()));
    plan.mesh.axes.push_back(axis.get<std::string>());
  }
  ALPA_RETURN_IF_ERROR(cluster::Verify(plan.mesh));
  ALPA_TRY(plan.inputs, Specs(inputs, "inputs", plan.mesh));
  ALPA_TRY(plan.outputs, Specs(outputs, "outputs", plan.mesh));
  if (j.contains("ops")) {
    ALPA_TRY(const json ops, Member(j, "ops", &json::is_object, "an object"));
    for (const auto& [name, value] : ops.items()) {
      ALPA_TRY(plan.ops[name], SpecAt(value, fmt::format("ops.{}", name), plan.mesh));
    }
  }
  return plan;
}

Status Verify(const Plan& plan, const ir::Module& module) {
  ALPA_RETURN_IF_ERROR(cluster::Verify(plan.mesh));
  const uint64_t fingerprint = ir::Fingerprint(module);
  if (plan.model_fingerprint != fingerprint) {
    return Error{Code::kMismatch,
                 fmt::format("the plan was made for another model: '{}' ({:016x}), this one is '{}' ({:016x})",
                             plan.model, plan.model_fingerprint, module.name, fingerprint),
                 "make a new plan for this model"};
  }
  if (plan.inputs.size() != module.inputs.size() || plan.outputs.size() != module.outputs.size()) {
    return Bad(fmt::format("gives {} input and {} output shardings, the model has {} and {}", plan.inputs.size(),
                           plan.outputs.size(), module.inputs.size(), module.outputs.size()));
  }
  auto verify = [&](const std::string& what, const sharding::Spec& spec, ir::ValueId value) -> Status {
    const Status status = sharding::Verify(spec, module.shape(value), plan.mesh);
    if (status.ok()) return status;
    return Error{status.error().code, fmt::format("plan: {}: {}", what, status.error().message), ""};
  };
  for (size_t i = 0; i < plan.inputs.size(); ++i) {
    ALPA_RETURN_IF_ERROR(
        verify(fmt::format("input {} '{}'", i, module.input_names[i]), plan.inputs[i], module.inputs[i]));
  }
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    ALPA_RETURN_IF_ERROR(verify(fmt::format("output {}", i), plan.outputs[i], module.outputs[i]));
  }
  if (plan.ops.empty()) return Ok();
  std::map<std::string_view, const ir::Op*> by_name;
  for (const ir::Op& op : module.ops) by_name[op.name] = &op;
  for (const auto& [name, spec] : plan.ops) {
    const auto it = by_name.find(name);
    if (it == by_name.end()) return Bad(fmt::format("op '{}' is not in the model", name));
    if (it->second->results.size() != 1) return Bad(fmt::format("op '{}' has several results", name));
    ALPA_RETURN_IF_ERROR(verify(fmt::format("op '{}'", name), spec, it->second->results[0]));
  }
  return Ok();
}

}  // namespace alpa::plan
