// Rules of ops that work on some dimensions as a whole, for each index of the others.
//
// Not here: top-k (as an op), transforms and batch norms. Their other dimensions could be split as well, but XLA's
// partitioner gathers them all the same, so they are left whole, which costs what is done.
#include <string>

#include "alpa/sharding/rule_families.h"

namespace alpa::sharding::internal {
namespace {

// Dimension d is shared by all operands and results that have it wherever keep(d).
template <typename Keep>
Rule SharedDimsRule(const ir::Module& module, const ir::Op& op, Keep keep) {
  Rule rule = WholeRule(module, op);
  const auto& dims = Dims(module, op.operands[0]);
  for (size_t d = 0; d < dims.size(); ++d) {
    if (!keep(d)) continue;
    const int f = AddFree(rule, dims[d]);
    auto share = [&](ir::ValueId v, Projection& array) {
      const auto& own = Dims(module, v);
      if (d < own.size() && own[d] == dims[d]) array[d] = {f};
    };
    for (size_t k = 0; k < op.operands.size(); ++k) share(op.operands[k], rule.operands[k]);
    for (size_t r = 0; r < op.results.size(); ++r) share(op.results[r], rule.results[r]);
  }
  return rule;
}

// All but the last `inner` dimensions.
Rule LeadingDimsRule(const ir::Module& module, const ir::Op& op, int inner) {
  const int rank = module.shape(op.operands[0]).rank();
  return SharedDimsRule(module, op, [&](size_t d) { return static_cast<int>(d) < rank - inner; });
}

}  // namespace

Rule SortRule(const ir::Module& module, const ir::Op& op) {
  const int64_t along = std::get<ir::DimsAttr>(op.attributes).dims[0];
  return SharedDimsRule(module, op, [&](size_t d) { return static_cast<int64_t>(d) != along; });
}

Rule CholeskyRule(const ir::Module& module, const ir::Op& op) { return LeadingDimsRule(module, op, 2); }

Rule TriangularSolveRule(const ir::Module& module, const ir::Op& op) { return LeadingDimsRule(module, op, 2); }

// Annotations pass their operand through; of top-k it is known that leading dimensions are independent.
Rule CustomCallRule(const ir::Module& module, const ir::Op& op) {
  const std::string& target = std::get<ir::CustomCallAttr>(op.attributes).target;
  const bool same_shape =
      op.operands.size() == 1 && op.results.size() == 1 && module.shape(op.operands[0]) == module.shape(op.results[0]);
  if (same_shape && (target == "Sharding" || target.rfind("annotate_", 0) == 0)) return LeadingDimsRule(module, op, 0);
  if (target == "TopK" || target == "mhlo.topk") return LeadingDimsRule(module, op, 1);
  return WholeRule(module, op);
}

}  // namespace alpa::sharding::internal
