// Rules of ops that move elements without changing them: dimensions that pass as they are stay free, others are split
// only where the parts of operand and result line up by themselves.
#include "alpa/sharding/rule_families.h"

namespace alpa::sharding::internal {

Rule TransposeRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  const auto& permutation = std::get<ir::DimsAttr>(op.attributes).dims;
  const auto& dims = Dims(module, op.operands[0]);
  for (size_t d = 0; d < dims.size(); ++d) rule.operands[0][d] = {AddFree(rule, dims[d])};
  for (size_t d = 0; d < permutation.size(); ++d) {
    rule.results[0][d] = rule.operands[0][static_cast<size_t>(permutation[d])];
  }
  return rule;
}

// Every stride-th element: element i of the result lies among those numbered i in blocks of `stride`.
Rule SliceRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  const auto& attr = std::get<ir::SliceAttr>(op.attributes);
  const auto& in = Dims(module, op.operands[0]);
  const auto& out = Dims(module, op.results[0]);
  for (size_t d = 0; d < in.size(); ++d) {
    if (out[d] == 0 || out[d] * attr.stride[d] != in[d] || attr.start[d] >= attr.stride[d]) continue;
    const int f = AddFree(rule, out[d]);
    rule.results[0][d] = {f};
    PutFactor(rule, rule.operands[0][d], f, in[d]);
  }
  return rule;
}

// The transpose of a strided slice: each element becomes a block of interior + 1, with the padding around it.
Rule PadRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  const auto& attr = std::get<ir::PadAttr>(op.attributes);
  const auto& in = Dims(module, op.operands[0]);
  const auto& out = Dims(module, op.results[0]);
  for (size_t d = 0; d < in.size(); ++d) {
    const bool blocks = attr.low[d] >= 0 && attr.high[d] >= 0 && attr.low[d] + attr.high[d] == attr.interior[d];
    if (in[d] == 0 || !blocks) continue;
    const int f = AddFree(rule, in[d]);
    rule.operands[0][d] = {f};
    PutFactor(rule, rule.results[0][d], f, out[d]);
  }
  return rule;
}

Rule ReverseRule(const ir::Module& module, const ir::Op& op) {
  const auto& reversed = std::get<ir::DimsAttr>(op.attributes).dims;
  return UnaryRule(module, op, [&](size_t d) { return !Contains(reversed, static_cast<int64_t>(d)); });
}

Rule ConcatenateRule(const ir::Module& module, const ir::Op& op) {
  const auto along = static_cast<size_t>(std::get<ir::DimsAttr>(op.attributes).dims[0]);
  Rule rule = UnaryRule(module, op, [&](size_t d) { return d != along; });
  for (auto& operand : rule.operands) operand = rule.operands[0];
  return rule;
}

// A dimension taken in full starts at 0, whatever the index says.
Rule DynamicSliceRule(const ir::Module& module, const ir::Op& op) {
  const auto& in = Dims(module, op.operands[0]);
  const auto& out = Dims(module, op.results[0]);
  return UnaryRule(module, op, [&](size_t d) { return in[d] == out[d]; });
}

// Along a dimension in which one row is overwritten, the device that holds the row does it.
Rule DynamicUpdateSliceRule(const ir::Module& module, const ir::Op& op) {
  const auto& whole = Dims(module, op.operands[0]);
  const auto& update = Dims(module, op.operands[1]);
  Rule rule = UnaryRule(module, op, [&](size_t d) { return update[d] == whole[d] || update[d] == 1; });
  for (size_t d = 0; d < whole.size(); ++d) {
    if (update[d] == whole[d]) rule.operands[1][d] = rule.operands[0][d];
  }
  return rule;
}

}  // namespace alpa::sharding::internal
