#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "alpa/plan/plan.h"

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

// The member `key` of `object`, which may be missing.
Result<std::map<std::string, sharding::Spec>> SpecsByName(const json& object, const char* key,
                                                          const cluster::Mesh& mesh) {
  std::map<std::string, sharding::Spec> out;
  if (!object.contains(key)) return out;
  ALPA_TRY(const json specs, Member(object, key, &json::is_object, "an object"));
  for (const auto& [name, value] : specs.items()) {
    ALPA_TRY(out[name], SpecAt(value, fmt::format("{}.{}", key, name), mesh));
  }
  return out;
}

Result<std::vector<std::optional<sharding::Spec>>> OptionalSpecs(const json& list, const std::string& key,
                                                                 const cluster::Mesh& mesh) {
  if (!list.is_array()) return Bad(fmt::format("key '{}' should be a list, is {}", key, list.type_name()));
  std::vector<std::optional<sharding::Spec>> out;
  for (const json& value : list) {
    if (value.is_null()) {
      out.emplace_back();
      continue;
    }
    ALPA_TRY(sharding::Spec spec, SpecAt(value, fmt::format("{}[{}]", key, out.size()), mesh));
    out.emplace_back(std::move(spec));
  }
  return out;
}

// ---------------------------------------------------------------- predictions

nlohmann::ordered_json PredictionJson(const Prediction& p, const cluster::Mesh& mesh) {
  nlohmann::ordered_json j;
  j["cluster"] = p.cluster;
  j["compute_seconds"] = p.compute.value;
  j["communication_seconds"] = p.communication.value;
  j["memory_bytes"] = p.memory.value;
  j["cost"] = p.cost;
  j["bound"] = p.bound;
  j["collectives"] = nlohmann::ordered_json::array();
  for (const CollectiveTotal& total : p.collectives) {
    nlohmann::ordered_json entry;
    entry["kind"] = sharding::Name(total.kind);
    entry["axes"] = nlohmann::ordered_json::array();
    for (const int axis : total.axes) entry["axes"].push_back(mesh.axes[static_cast<size_t>(axis)]);
    entry["count"] = total.count;
    entry["bytes"] = total.bytes.value;
    j["collectives"].push_back(std::move(entry));
  }
  return j;
}

Result<sharding::CollectiveKind> KindFromName(const std::string& name, const std::string& where) {
  using enum sharding::CollectiveKind;
  for (const auto kind : {kAllReduce, kAllGather, kReduceScatter, kAllToAll, kCollectivePermute}) {
    if (sharding::Name(kind) == name) return kind;
  }
  return Bad(fmt::format("key '{}kind': '{}' is no collective", where, name));
}

Result<CollectiveTotal> TotalFromJson(const json& value, const std::string& where, const cluster::Mesh& mesh) {
  CollectiveTotal total;
  ALPA_TRY(const json kind, Member(value, "kind", &json::is_string, "a string", where.c_str()));
  ALPA_TRY(total.kind, KindFromName(kind.get<std::string>(), where));
  ALPA_TRY(const json axes, Member(value, "axes", &json::is_array, "a list of axis names", where.c_str()));
  for (const json& axis : axes) {
    const int index = axis.is_string() ? mesh.AxisIndex(axis.get<std::string>()) : -1;
    if (index < 0) return Bad(fmt::format("key '{}axes': {} is no axis of the mesh", where, axis.dump()));
    total.axes.push_back(index);
  }
  ALPA_TRY(const json count, Member(value, "count", &json::is_number_integer, "an integer", where.c_str()));
  ALPA_TRY(const json bytes, Member(value, "bytes", &json::is_number_integer, "an integer", where.c_str()));
  total.count = count.get<int64_t>();
  total.bytes = Bytes(bytes.get<int64_t>());
  return total;
}

Result<Prediction> PredictionFromJson(const json& j, const cluster::Mesh& mesh) {
  constexpr const char* kWhere = "prediction.";
  Prediction p;
  ALPA_TRY(const json cluster, Member(j, "cluster", &json::is_string, "a string", kWhere));
  p.cluster = cluster.get<std::string>();
  const std::pair<const char*, double*> numbers[] = {{"compute_seconds", &p.compute.value},
                                                     {"communication_seconds", &p.communication.value},
                                                     {"cost", &p.cost},
                                                     {"bound", &p.bound}};
  for (const auto& [key, number] : numbers) {
    ALPA_TRY(const json value, Member(j, key, &json::is_number, "a number", kWhere));
    *number = value.get<double>();
  }
  ALPA_TRY(const json memory, Member(j, "memory_bytes", &json::is_number_integer, "an integer", kWhere));
  p.memory = Bytes(memory.get<int64_t>());
  ALPA_TRY(const json collectives, Member(j, "collectives", &json::is_array, "a list", kWhere));
  for (const json& value : collectives) {
    const std::string where = fmt::format("prediction.collectives[{}].", p.collectives.size());
    if (!value.is_object()) {
      return Bad(fmt::format("key 'prediction.collectives[{}]' should be an object, is {}", p.collectives.size(),
                             value.type_name()));
    }
    ALPA_TRY(CollectiveTotal total, TotalFromJson(value, where, mesh));
    p.collectives.push_back(std::move(total));
  }
  return p;
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
  for (const auto& [name, specs] : plan.operands) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& spec : specs) {
      list.push_back(spec.has_value() ? nlohmann::ordered_json(sharding::ToString(*spec, plan.mesh)) : nullptr);
    }
    j["operands"][name] = std::move(list);
  }
  for (const auto& [name, spec] : plan.sums) j["sums"][name] = sharding::ToString(spec, plan.mesh);
  if (plan.prediction.has_value()) j["prediction"] = PredictionJson(*plan.prediction, plan.mesh);
  // Names come from the model file and need not be UTF-8, which JSON is.
  return j.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<Plan> FromJson(std::string_view text) {
  const json j = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (j.is_discarded()) return Bad("not valid JSON (damaged or truncated file)");
  if (!j.is_object() || !j.contains("alpa_plan")) return Bad("key 'alpa_plan' is missing: this is not a plan of alpa");
  Plan plan;
  ALPA_TRY(const json version, Member(j, "alpa_plan", &json::is_number_integer, "an integer"));
  if (version != kVersion && version != kOldestVersion) {
    return Bad(
        fmt::format("is of version {}, this alpa reads versions {} to {}", version.dump(), kOldestVersion, kVersion));
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
  ALPA_TRY(plan.ops, SpecsByName(j, "ops", plan.mesh));
  ALPA_TRY(plan.sums, SpecsByName(j, "sums", plan.mesh));
  if (j.contains("operands")) {
    ALPA_TRY(const json operands, Member(j, "operands", &json::is_object, "an object"));
    for (const auto& [name, list] : operands.items()) {
      ALPA_TRY(plan.operands[name], OptionalSpecs(list, fmt::format("operands.{}", name), plan.mesh));
    }
  }
  if (j.contains("prediction")) {
    ALPA_TRY(const json prediction, Member(j, "prediction", &json::is_object, "an object"));
    ALPA_TRY(plan.prediction, PredictionFromJson(prediction, plan.mesh));
  }
  return plan;
}

}  // namespace alpa::plan
