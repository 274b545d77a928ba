// Rules of ops that treat each element alike: leaves, elementwise ops, broadcasts, barriers.
#include <map>
#include <utility>

#include "alpa/sharding/rule_families.h"

namespace alpa::sharding::internal {

// Inputs lie as they are put. Constants are cut when the program is loaded, equal elements or not; an iota adds where
// the device's part begins.
Rule LeafRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  for (size_t r = 0; r < op.results.size(); ++r) {
    const auto& dims = Dims(module, op.results[r]);
    for (size_t d = 0; d < dims.size(); ++d) rule.results[r][d] = {AddFree(rule, dims[d])};
  }
  return rule;
}

// Scalars apply to all elements. A bitcast between types of different size adds or takes away a last dimension, which
// stays whole.
Rule ElementwiseRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  const auto& dims = Dims(module, op.results[0]);
  for (size_t d = 0; d < dims.size(); ++d) {
    int f = -1;
    for (size_t k = 0; k < op.operands.size(); ++k) {
      const auto& own = Dims(module, op.operands[k]);
      if (d >= own.size() || own[d] != dims[d]) continue;
      if (f < 0) f = AddFree(rule, dims[d]);
      rule.operands[k][d] = {f};
    }
    if (f >= 0) rule.results[0][d] = {f};
  }
  return rule;
}

Rule BroadcastRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = LeafRule(module, op);
  const auto& mapping = std::get<ir::DimsAttr>(op.attributes).dims;
  for (size_t d = 0; d < mapping.size(); ++d) rule.operands[0][d] = rule.results[0][static_cast<size_t>(mapping[d])];
  return rule;
}

// Each operand passes to the result of the same number, as if there were one op for each; a planner does best to look
// through barriers. Seen as one op, arrays that have the same extent at the same dimension are split alike: one factor
// per operand and dimension would make strategies by the hundred that each split a single array.
Rule BarrierRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  std::map<std::pair<size_t, int64_t>, int> factors;  // by dimension and extent
  for (size_t k = 0; k < op.operands.size(); ++k) {
    const auto& dims = Dims(module, op.operands[k]);
    for (size_t d = 0; d < dims.size(); ++d) {
      const auto [it, added] = factors.try_emplace({d, dims[d]}, -1);
      if (added) it->second = AddFree(rule, dims[d]);
      rule.operands[k][d] = rule.results[k][d] = {it->second};
    }
  }
  return rule;
}

}  // namespace alpa::sharding::internal
