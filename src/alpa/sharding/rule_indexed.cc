// Rules of gather and scatter.
#include <utility>

#include "alpa/sharding/rule_families.h"

namespace alpa::sharding::internal {
namespace {

// Dimensions of `array` that are no windows are those of the indices, in order, without the index vector.
void PairIndexDims(const std::vector<int64_t>& window_dims, int64_t index_vector_dim, const Projection& indices,
                   Projection& array) {
  size_t next = 0;
  for (size_t d = 0; d < array.size(); ++d) {
    if (Contains(window_dims, static_cast<int64_t>(d))) continue;
    if (static_cast<int64_t>(next) == index_vector_dim) ++next;
    array[d] = indices[next++];
  }
}

// The dimension of the indices that goes along with batching dimension `dim` of the operand, or -1.
int64_t Partner(const std::vector<int64_t>& operand_batching, const std::vector<int64_t>& indices_batching,
                int64_t dim) {
  for (size_t i = 0; i < operand_batching.size(); ++i) {
    if (operand_batching[i] == dim) return indices_batching[i];
  }
  return -1;
}

}  // namespace

// x[ids], table [V, D], ids [B, S]:  a b, c d -> c d b; a sum
// Of the indexed dimension each device takes what lies in its part, and 0 for other indices.
Rule GatherRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  const auto& attr = std::get<ir::GatherAttr>(op.attributes);
  auto& operand = rule.operands[0];
  auto& indices = rule.operands[1];
  auto& out = rule.results[0];
  const auto& extents = Dims(module, op.operands[0]);
  const Combiner sum = module.shape(op.results[0]).dtype == ir::DType::kPred ? Combiner::kOr : Combiner::kSum;
  for (size_t d = 0, window = 0; d < operand.size(); ++d) {
    const auto dim = static_cast<int64_t>(d);
    if (const int64_t i = Partner(attr.operand_batching_dims, attr.start_indices_batching_dims, dim); i >= 0) {
      operand[d] = indices[static_cast<size_t>(i)] = {AddFree(rule, extents[d])};
      continue;
    }
    const bool collapsed = Contains(attr.collapsed_slice_dims, dim);
    const size_t r = collapsed ? 0 : static_cast<size_t>(attr.offset_dims[window++]);
    if (!collapsed && attr.slice_sizes[d] == extents[d]) {  // then it starts at 0
      operand[d] = out[r] = {AddFree(rule, extents[d])};
    } else if (attr.slice_sizes[d] == 1 && Contains(attr.start_index_map, dim)) {
      operand[d] = {AddContracted(rule, extents[d], sum)};
    }
  }
  for (size_t d = 0; d < indices.size(); ++d) {
    if (static_cast<int64_t>(d) == attr.index_vector_dim || !indices[d].empty()) continue;
    indices[d] = {AddFree(rule, Dims(module, op.operands[1])[d])};
  }
  PairIndexDims(attr.offset_dims, attr.index_vector_dim, indices, out);
  return rule;
}

// table.at[ids].add(rows), table [V, D], ids [B, S], rows [B, S, D]:  a b, c d, c d b -> a b; c sum, d sum
// Operands: n arrays, indices, n updates; results as the arrays. A split indexed dimension needs no communication: each
// device applies the updates that fall into its part, and reads all of them.
Rule ScatterRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  const auto& attr = std::get<ir::ScatterAttr>(op.attributes);
  const size_t n = op.results.size();
  const auto& extents = Dims(module, op.operands[0]);
  const auto& update_extents = Dims(module, op.operands[n + 1]);
  auto& indices = rule.operands[n];
  Projection array(extents.size());
  Projection update(update_extents.size());
  for (size_t d = 0, window = 0; d < array.size(); ++d) {
    const auto dim = static_cast<int64_t>(d);
    if (const int64_t i = Partner(attr.input_batching_dims, attr.scatter_indices_batching_dims, dim); i >= 0) {
      array[d] = indices[static_cast<size_t>(i)] = {AddFree(rule, extents[d])};
      continue;
    }
    const bool inserted = Contains(attr.inserted_window_dims, dim);
    const size_t u = inserted ? 0 : static_cast<size_t>(attr.update_window_dims[window++]);
    const int64_t written = inserted ? 1 : update_extents[u];
    if (!inserted && written == extents[d]) {
      array[d] = update[u] = {AddFree(rule, extents[d])};
    } else if (written == 1 && Contains(attr.scatter_dims_to_operand_dims, dim)) {
      array[d] = {AddFree(rule, extents[d])};
    }
  }
  const Combiner combiner = CombinerOf(module, op);
  for (size_t d = 0; d < indices.size(); ++d) {
    if (static_cast<int64_t>(d) == attr.index_vector_dim || !indices[d].empty()) continue;
    indices[d] = {AddContracted(rule, Dims(module, op.operands[n])[d], combiner)};
  }
  PairIndexDims(attr.update_window_dims, attr.index_vector_dim, indices, update);
  for (size_t k = 0; k < n; ++k) {
    rule.operands[k] = rule.results[k] = array;
    rule.operands[n + 1 + k] = update;
  }
  return rule;
}

}  // namespace alpa::sharding::internal
