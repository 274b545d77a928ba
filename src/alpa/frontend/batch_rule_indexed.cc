// Rules of gather and scatter.
#include <algorithm>
#include <map>

#include "alpa/frontend/batch_rule.h"

namespace alpa::frontend::internal {
namespace {

bool Contains(const std::vector<int64_t>& list, int64_t x) {
  return std::find(list.begin(), list.end(), x) != list.end();
}

// The dimension of `indices` along which component `component` of the index vectors is just the position (x[arange(n),
// i]), or -1. JAX builds such indices by concatenating the components.
int PositionDim(const ir::Module& module, ir::ValueId indices, int64_t vector_dim, int64_t component,
                const std::vector<ValueFacts>& facts) {
  auto fact = [&](ir::ValueId v) { return facts[static_cast<size_t>(v)].iota_dim; };
  const ir::Shape& shape = module.shape(indices);
  if (vector_dim >= shape.rank() || shape.dims[static_cast<size_t>(vector_dim)] == 1) return fact(indices);
  const ir::Op& op = module.producer(indices);
  if (op.kind != ir::OpKind::kConcatenate || std::get<ir::DimsAttr>(op.attributes).dims[0] != vector_dim) return -1;
  for (const ir::ValueId piece : op.operands) {
    const int64_t width = module.shape(piece).dims[static_cast<size_t>(vector_dim)];
    if (component < width) return width == 1 ? fact(piece) : -1;
    component -= width;
  }
  return -1;
}

// For each operand dimension that runs along with a dimension of the indices, row by row: that dimension.
using Pairs = std::map<int64_t, int64_t>;

Pairs PairDims(const ir::Module& module, ir::ValueId operand, ir::ValueId indices, int64_t vector_dim,
               const std::vector<int64_t>& index_map, const std::vector<int64_t>& operand_batching,
               const std::vector<int64_t>& indices_batching, const std::vector<ValueFacts>& facts) {
  Pairs out;
  for (size_t i = 0; i < operand_batching.size(); ++i) out[operand_batching[i]] = indices_batching[i];
  for (size_t i = 0; i < index_map.size(); ++i) {
    const int dim = PositionDim(module, indices, vector_dim, static_cast<int64_t>(i), facts);
    const bool all = dim >= 0 && module.shape(indices).dims[static_cast<size_t>(dim)] ==
                                     module.shape(operand).dims[static_cast<size_t>(index_map[i])];
    if (all && dim != vector_dim) out[index_map[i]] = dim;
  }
  return out;
}

}  // namespace

OpRule GatherRule(const ir::Module& module, const ir::Op& op, const std::vector<ValueFacts>& facts) {
  OpRule rule = CrossedRule(module, op);
  rule.mixing = "picks examples by their number";
  rule.linearity = OpRule::Linearity::kJoint;
  rule.data = {true, false};
  const auto& attr = std::get<ir::GatherAttr>(op.attributes);
  auto& operand = rule.operands[0];
  auto& indices = rule.operands[1];
  auto& out = rule.results[0];
  for (size_t d = 0; d < indices.size(); ++d) {
    if (static_cast<int64_t>(d) != attr.index_vector_dim) indices[d] = AddFactor(rule);
  }
  size_t next = 0;  // result dimensions outside the windows are those of the indices, in order
  for (size_t r = 0; r < out.size(); ++r) {
    if (Contains(attr.offset_dims, static_cast<int64_t>(r))) continue;
    if (static_cast<int64_t>(next) == attr.index_vector_dim) ++next;
    out[r] = indices[next++];
  }
  const Pairs pairs = PairDims(module, op.operands[0], op.operands[1], attr.index_vector_dim, attr.start_index_map,
                               attr.operand_batching_dims, attr.start_indices_batching_dims, facts);
  size_t window = 0;
  for (size_t d = 0; d < operand.size(); ++d) {
    const auto dim = static_cast<int64_t>(d);
    const bool gone = Contains(attr.collapsed_slice_dims, dim) || Contains(attr.operand_batching_dims, dim);
    if (gone) {
      const auto pair = pairs.find(dim);
      if (pair != pairs.end()) operand[d] = indices[static_cast<size_t>(pair->second)];
      continue;
    }
    const auto r = static_cast<size_t>(attr.offset_dims[window++]);
    const bool whole = attr.slice_sizes[d] == module.shape(op.operands[0]).dims[d];  // then it starts at 0
    if (whole) operand[d] = out[r] = AddFactor(rule);
  }
  return rule;
}

// Operands: n arrays, indices, n updates; results as the arrays.
OpRule ScatterRule(const ir::Module& module, const ir::Op& op, const std::vector<ValueFacts>& facts) {
  OpRule rule = CrossedRule(module, op);
  rule.mixing = "writes to examples by their number";
  const auto& attr = std::get<ir::ScatterAttr>(op.attributes);
  const size_t n = op.results.size();
  const bool overwrites = ir::CombinerOf(op) == ir::OpKind::kCustomCall;
  const OpRule::Fate fate = FateOfReduction(module, op);
  auto& indices = rule.operands[n];
  const Pairs pairs =
      PairDims(module, op.operands[0], op.operands[n], attr.index_vector_dim, attr.scatter_dims_to_operand_dims,
               attr.input_batching_dims, attr.scatter_indices_batching_dims, facts);
  for (size_t d = 0; d < indices.size(); ++d) {
    if (static_cast<int64_t>(d) == attr.index_vector_dim) continue;
    const bool paired =
        std::any_of(pairs.begin(), pairs.end(), [&](const auto& p) { return p.second == static_cast<int64_t>(d); });
    if (paired || !overwrites) indices[d] = AddFactor(rule, paired ? OpRule::Fate::kKept : fate);
  }
  std::vector<int> array(rule.operands[0].size(), kCrossed);
  std::vector<int> update(rule.operands[n + 1].size(), kCrossed);
  size_t next = 0;  // update dimensions outside the windows are those of the indices, in order
  for (size_t u = 0; u < update.size(); ++u) {
    if (Contains(attr.update_window_dims, static_cast<int64_t>(u))) continue;
    if (static_cast<int64_t>(next) == attr.index_vector_dim) ++next;
    update[u] = indices[next++];
  }
  size_t window = 0;
  for (size_t d = 0; d < array.size(); ++d) {
    const auto dim = static_cast<int64_t>(d);
    const auto pair = pairs.find(dim);
    if (pair != pairs.end()) array[d] = indices[static_cast<size_t>(pair->second)];
    if (Contains(attr.inserted_window_dims, dim) || Contains(attr.input_batching_dims, dim)) continue;
    const auto u = static_cast<size_t>(attr.update_window_dims[window++]);
    const bool whole = module.shape(op.operands[n + 1]).dims[u] == module.shape(op.operands[0]).dims[d];
    if (whole) array[d] = update[u] = AddFactor(rule);
  }
  rule.data.assign(op.operands.size(), true);
  rule.data[n] = false;
  for (size_t k = 0; k < n; ++k) {
    rule.operands[k] = rule.results[k] = array;
    rule.operands[n + 1 + k] = update;
    rule.base[k] = true;
  }
  if (fate == OpRule::Fate::kSummed) rule.linearity = OpRule::Linearity::kJoint;
  return rule;
}

}  // namespace alpa::frontend::internal
