#include "alpa/plan/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

namespace alpa::plan {
namespace {

Error Bad(const std::string& what) { return {Code::kInvalidInput, "plan: " + what, ""}; }

Status VerifySpec(const Plan& plan, const ir::Module& module, const std::string& what, const sharding::Spec& spec,
                  ir::ValueId value) {
  const Status status = sharding::Verify(spec, module.shape(value), plan.mesh);
  if (status.ok()) return status;
  return Error{status.error().code, fmt::format("plan: {}: {}", what, status.error().message), ""};
}

// Layouts of results, and those in which ops need their operands.
Status VerifyOps(const Plan& plan, const ir::Module& module) {
  if (plan.ops.empty() && plan.sums.empty() && plan.operands.empty()) return Ok();
  std::map<std::string, ir::ValueId, std::less<>> results;
  std::map<std::string_view, const ir::Op*> ops;
  for (const ir::Op& op : module.ops) {
    ops[op.name] = &op;
    for (size_t r = 0; r < op.results.size(); ++r) results[ResultName(op, r)] = op.results[r];
  }
  for (const auto& [name, spec] : plan.ops) {
    if (const auto it = results.find(name); it != results.end()) {
      ALPA_RETURN_IF_ERROR(VerifySpec(plan, module, fmt::format("op '{}'", name), spec, it->second));
      continue;
    }
    const auto op = ops.find(name);
    if (op == ops.end() || op->second->results.size() == 1)
      return Bad(fmt::format("op '{}' is not in the model", name));
    return Bad(fmt::format("op '{}' has {} results, named '{}#0' and on", name, op->second->results.size(), name));
  }
  for (const auto& [name, spec] : plan.sums) {
    const auto it = results.find(name);
    if (it == results.end()) return Bad(fmt::format("op '{}', whose sums are given, is not in the model", name));
    ALPA_RETURN_IF_ERROR(VerifySpec(plan, module, fmt::format("sums of op '{}'", name), spec, it->second));
  }
  for (const auto& [name, specs] : plan.operands) {
    const auto it = ops.find(name);
    if (it == ops.end()) return Bad(fmt::format("op '{}', whose operands are given, is not in the model", name));
    const ir::Op& op = *it->second;
    if (specs.size() != op.operands.size()) {
      return Bad(fmt::format("op '{}' has {} operands, the plan gives {}", name, op.operands.size(), specs.size()));
    }
    for (size_t o = 0; o < specs.size(); ++o) {
      if (!specs[o].has_value()) continue;
      ALPA_RETURN_IF_ERROR(
          VerifySpec(plan, module, fmt::format("operand {} of op '{}'", o, name), *specs[o], op.operands[o]));
    }
  }
  return Ok();
}

Status VerifyPrediction(const Plan& plan) {
  if (!plan.prediction.has_value()) return Ok();
  for (const CollectiveTotal& total : plan.prediction->collectives) {
    const auto& axes = total.axes;
    const auto axis_count = static_cast<int>(plan.mesh.shape.size());
    const bool sound = std::all_of(axes.begin(), axes.end(), [&](int a) { return a >= 0 && a < axis_count; }) &&
                       std::adjacent_find(axes.begin(), axes.end(), std::greater_equal<>()) == axes.end();
    if (!sound || axes.empty()) {
      return Bad(fmt::format("prediction: the axes of a collective ({}) are not in ascending order",
                             sharding::Name(total.kind)));
    }
    if (total.count < 0 || total.bytes < Bytes(0)) {
      return Bad(fmt::format("prediction: a negative number of {}", sharding::Name(total.kind)));
    }
  }
  return Ok();
}

}  // namespace

std::string ResultName(const ir::Op& op, size_t index) {
  return op.results.size() == 1 ? op.name : fmt::format("{}#{}", op.name, index);
}

Plan Replicated(const ir::Module& module, cluster::Mesh mesh) {
  Plan plan;
  plan.model = module.name;
  plan.model_fingerprint = ir::Fingerprint(module);
  plan.mesh = std::move(mesh);
  plan.inputs.resize(module.inputs.size());
  plan.outputs.resize(module.outputs.size());
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
  for (size_t i = 0; i < plan.inputs.size(); ++i) {
    ALPA_RETURN_IF_ERROR(VerifySpec(plan, module, fmt::format("input {} '{}'", i, module.input_names[i]),
                                    plan.inputs[i], module.inputs[i]));
  }
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    ALPA_RETURN_IF_ERROR(VerifySpec(plan, module, fmt::format("output {}", i), plan.outputs[i], module.outputs[i]));
  }
  ALPA_RETURN_IF_ERROR(VerifyOps(plan, module));
  return VerifyPrediction(plan);
}

}  // namespace alpa::plan
