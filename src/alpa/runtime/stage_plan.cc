#include "alpa/runtime/stage_plan.h"

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

const sharding::Spec* SpecOfValue(const PipelineStage& stage, ir::ValueId v) {
  if (v < 0) return nullptr;
  const ir::Value& value = stage.module.value(v);
  return Find(stage.layout.ops, plan::ResultName(stage.module.op(value.producer), static_cast<size_t>(value.index)));
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
      return IfFits(SpecOfValue(stage, stage.programs.kept[index]), shape, mesh);
    case xla::StageValue::Kind::kGiven:
      return IfFits(SpecOfValue(stage, stage.programs.given[index]), shape, mesh);
    case xla::StageValue::Kind::kAccumulator: {
      const ir::OpId op = stage.programs.accumulated[index];
      if (op < 0 || stage.module.op(op).results.size() != 1) return {};
      return IfFits(SpecOfValue(stage, stage.module.op(op).results[0]), shape, mesh);
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
  std::map<std::string, sharding::Spec> ops;
  for (const auto& [name, spec] : stage.layout.ops) ops.emplace(Sanitized(name), spec);
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
    if (wanted == nullptr || wanted->size() != op.operands.size()) continue;
    auto& mine = out.operands[op.name];
    mine.resize(wanted->size());
    for (size_t o = 0; o < wanted->size(); ++o) {
      const auto& spec = (*wanted)[o];
      if (spec && sharding::Verify(*spec, module.shape(op.operands[o]), out.mesh).ok()) mine[o] = spec;
    }
  }
  return out;
}

}  // namespace alpa::runtime
