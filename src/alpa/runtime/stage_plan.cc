#include "alpa/runtime/stage_plan.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace alpa::runtime {
namespace {

constexpr std::string_view kAgain = ".again";

// As XLA writes the names of instructions.
std::string Sanitized(std::string name) {
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && c != '.' && c != '-' && c != '#') c = '_';
  }
  return name;
}

// The entry for an op or, where it is a copy of one for the backward pass, for what it copies.
template <typename Map>
const typename Map::mapped_type* Find(const Map& map, const std::string& name) {
  auto at = map.find(name);
  if (at == map.end()) {
    const size_t again = name.rfind(kAgain);
    if (again != std::string::npos) at = map.find(name.substr(0, again) + name.substr(again + kAgain.size()));
  }
  return at == map.end() ? nullptr : &at->second;
}

sharding::Spec IfFits(const sharding::Spec* spec, const ir::Shape& shape, const cluster::Mesh& mesh) {
  if (spec == nullptr || !sharding::Verify(*spec, shape, mesh).ok()) return {};
  return *spec;
}

const sharding::Spec* SpecOfValue(const PipelineStage& stage, const std::map<std::string, sharding::Spec>& specs,
                                  ir::ValueId v) {
  if (v < 0) return nullptr;
  const ir::Value& value = stage.module.value(v);
  return Find(specs, plan::ResultName(stage.module.op(value.producer), static_cast<size_t>(value.index)));
}

// What an accumulator sums up; -1 where it has no name.
ir::ValueId ValueOfAccumulator(const PipelineStage& stage, size_t index) {
  const ir::OpId op = stage.programs.accumulated[index];
  return op < 0 || stage.module.op(op).results.size() != 1 ? -1 : stage.module.op(op).results[0];
}

std::map<std::string, sharding::Spec> SanitizedNames(const std::map<std::string, sharding::Spec>& specs) {
  std::map<std::string, sharding::Spec> out;
  for (const auto& [name, spec] : specs) out.emplace(Sanitized(name), spec);
  return out;
}

}  // namespace

sharding::Spec SpecOf(const PipelineStage& stage, const xla::StageValue& value, const ir::Shape& shape) {
  const auto index = static_cast<size_t>(value.index);
  const cluster::Mesh& mesh = stage.layout.mesh;
  switch (value.kind) {
    case xla::StageValue::Kind::kInput:
      return IfFits(&stage.layout.inputs[index], shape, mesh);
    case xla::StageValue::Kind::kOutput:
      return IfFits(&stage.layout.outputs[index], shape, mesh);
    case xla::StageValue::Kind::kKept:
      return IfFits(SpecOfValue(stage, stage.layout.ops, stage.programs.kept[index]), shape, mesh);
    case xla::StageValue::Kind::kGiven:
      return IfFits(SpecOfValue(stage, stage.layout.ops, stage.programs.given[index]), shape, mesh);
    case xla::StageValue::Kind::kAccumulator: {
      const ir::ValueId v = ValueOfAccumulator(stage, index);
      const sharding::Spec* parts = SpecOfValue(stage, stage.layout.sums, v);
      return IfFits(parts != nullptr ? parts : SpecOfValue(stage, stage.layout.ops, v), shape, mesh);
    }
    case xla::StageValue::Kind::kNumber:
      return {};
  }
  return {};
}

plan::Plan PlanOf(const PipelineStage& stage, const xla::StageProgram& program) {
  const ir::Module& module = program.step.module;
  plan::Plan out;
  out.method = stage.layout.method;
  out.model = module.name;
  out.model_fingerprint = ir::Fingerprint(module);
  out.mesh = stage.layout.mesh;
  for (size_t k = 0; k < program.inputs.size(); ++k) {
    out.inputs.push_back(SpecOf(stage, program.inputs[k], module.shape(module.inputs[k])));
  }
  for (size_t k = 0; k < program.outputs.size(); ++k) {
    out.outputs.push_back(SpecOf(stage, program.outputs[k], module.shape(module.outputs[k])));
  }
  // A sum that the devices add up parts of lies as the parts do where it is made, and then where it is read as the
  // plan says.
  std::map<std::string, sharding::Spec> ops = SanitizedNames(stage.layout.ops);
  for (const auto& [name, spec] : SanitizedNames(stage.layout.sums)) ops[name] = spec;
  std::map<ir::ValueId, sharding::Spec> whole;
  for (size_t k = 0; k < program.inputs.size(); ++k) {
    if (program.inputs[k].kind != xla::StageValue::Kind::kAccumulator) continue;
    // Who adds to it takes it as it lies.
    if (std::find(program.outputs.begin(), program.outputs.end(), program.inputs[k]) != program.outputs.end()) continue;
    const ir::ValueId v = ValueOfAccumulator(stage, static_cast<size_t>(program.inputs[k].index));
    const sharding::Spec* spec = SpecOfValue(stage, stage.layout.ops, v);
    if (spec != nullptr && SpecOfValue(stage, stage.layout.sums, v) != nullptr) whole[module.inputs[k]] = *spec;
  }
  std::map<std::string, std::vector<std::optional<sharding::Spec>>> operands;
  for (const auto& [name, specs] : stage.layout.operands) operands.emplace(Sanitized(name), specs);
  for (const ir::Op& op : module.ops) {
    if (op.kind == ir::OpKind::kParameter) continue;
    for (size_t r = 0; r < op.results.size(); ++r) {
      const std::string name = plan::ResultName(op, r);
      const sharding::Spec* spec = Find(ops, name);
      if (spec != nullptr && sharding::Verify(*spec, module.shape(op.results[r]), out.mesh).ok()) out.ops[name] = *spec;
    }
    const auto* wanted = Find(operands, op.name);
    std::vector<std::optional<sharding::Spec>> mine(op.operands.size());
    if (wanted != nullptr && wanted->size() == op.operands.size()) mine = *wanted;
    for (size_t o = 0; o < mine.size(); ++o) {
      if (const auto at = whole.find(op.operands[o]); !mine[o] && at != whole.end()) mine[o] = at->second;
      if (mine[o] && !sharding::Verify(*mine[o], module.shape(op.operands[o]), out.mesh).ok()) mine[o].reset();
    }
    const bool any = std::any_of(mine.begin(), mine.end(), [](const auto& spec) { return spec.has_value(); });
    if (any) out.operands[op.name] = std::move(mine);
  }
  // The additions to accumulators are no ops of the step: left to itself, the partitioner may split them.
  for (size_t k = 0; k < program.outputs.size(); ++k) {
    if (program.outputs[k].kind != xla::StageValue::Kind::kAccumulator) continue;
    const ir::Value& value = module.value(module.outputs[k]);
    const ir::Op& op = module.op(value.producer);
    if (op.kind != ir::OpKind::kParameter)
      out.ops.emplace(plan::ResultName(op, static_cast<size_t>(value.index)), out.outputs[k]);
  }
  return out;
}

}  // namespace alpa::runtime
