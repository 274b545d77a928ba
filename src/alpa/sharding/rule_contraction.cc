// Rules of dot and reduce.
#include "alpa/sharding/rule_families.h"

namespace alpa::sharding::internal {
namespace {

// Index of x in list, or -1.
int Find(const std::vector<int64_t>& list, int64_t x) {
  const auto it = std::find(list.begin(), list.end(), x);
  return it == list.end() ? -1 : static_cast<int>(it - list.begin());
}

}  // namespace

// a b c, a c d -> a b d; c sum
Rule DotRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  const auto& attr = std::get<ir::DotAttr>(op.attributes);
  const Combiner sum = module.shape(op.results[0]).dtype == ir::DType::kPred ? Combiner::kOr : Combiner::kSum;
  auto& lhs = rule.operands[0];
  auto& rhs = rule.operands[1];
  auto& out = rule.results[0];
  size_t next = attr.lhs_batch.size();  // the result: batch dims, free dims of lhs, free dims of rhs
  for (size_t d = 0; d < lhs.size(); ++d) {
    const int64_t extent = Dims(module, op.operands[0])[d];
    const auto dim = static_cast<int64_t>(d);
    if (const int b = Find(attr.lhs_batch, dim); b >= 0) {
      const auto i = static_cast<size_t>(b);
      lhs[d] = rhs[static_cast<size_t>(attr.rhs_batch[i])] = out[i] = {AddFree(rule, extent)};
    } else if (const int c = Find(attr.lhs_contracting, dim); c >= 0) {
      const auto i = static_cast<size_t>(c);
      lhs[d] = rhs[static_cast<size_t>(attr.rhs_contracting[i])] = {AddContracted(rule, extent, sum)};
    } else {
      lhs[d] = out[next++] = {AddFree(rule, extent)};
    }
  }
  for (size_t d = 0; d < rhs.size(); ++d) {
    const auto dim = static_cast<int64_t>(d);
    if (Contains(attr.rhs_batch, dim) || Contains(attr.rhs_contracting, dim)) continue;
    rhs[d] = out[next++] = {AddFree(rule, Dims(module, op.operands[1])[d])};
  }
  return rule;
}

// Operands are n arrays and n scalars to start from.
Rule ReduceRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  const auto& reduced = std::get<ir::DimsAttr>(op.attributes).dims;
  const auto& dims = Dims(module, op.operands[0]);
  const size_t n = op.operands.size() / 2;
  Combiner combiner = CombinerOf(module, op);
  if (n != 1 || !MayRepeat(module, op.operands[1], combiner)) combiner = Combiner::kOther;
  size_t kept = 0;
  for (size_t d = 0; d < dims.size(); ++d) {
    const bool contracted = Contains(reduced, static_cast<int64_t>(d));
    const int f = contracted ? AddContracted(rule, dims[d], combiner) : AddFree(rule, dims[d]);
    for (size_t k = 0; k < n; ++k) rule.operands[k][d] = {f};
    if (contracted) continue;
    for (auto& result : rule.results) result[kept] = {f};
    ++kept;
  }
  return rule;
}

}  // namespace alpa::sharding::internal
