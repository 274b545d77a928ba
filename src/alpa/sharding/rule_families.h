// The rules of single ops by family, and what they are made with. `rule.cc` says which function serves which kind.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "alpa/sharding/rule.h"

namespace alpa::sharding::internal {

// A rule that splits nothing, with its lists of the right lengths: where all others begin, and the safe rule for what
// nobody knows.
Rule WholeRule(const ir::Module& module, const ir::Op& op);

// Each adds a factor to the rule and returns its number.
int AddFree(Rule& rule, int64_t size);
int AddContracted(Rule& rule, int64_t size, Combiner combiner);
int AddWindow(Rule& rule, int64_t size, int64_t halo_low, int64_t halo_high);

// Makes a dimension of the given extent of factor `f`; what remains of the extent stays whole, minor to `f`.
void PutFactor(Rule& rule, std::vector<int>& dim, int f, int64_t extent);

inline bool Contains(const std::vector<int64_t>& list, int64_t x) {
  return std::find(list.begin(), list.end(), x) != list.end();
}
inline const std::vector<int64_t>& Dims(const ir::Module& module, ir::ValueId v) { return module.shape(v).dims; }

// Operand 0 and result 0 share dimension d wherever keep(d); everything else stays whole.
template <typename Keep>
Rule UnaryRule(const ir::Module& module, const ir::Op& op, Keep keep) {
  Rule rule = WholeRule(module, op);
  const auto& dims = Dims(module, op.operands[0]);
  for (size_t d = 0; d < dims.size(); ++d) {
    if (keep(d)) rule.operands[0][d] = rule.results[0][d] = {AddFree(rule, dims[d])};
  }
  return rule;
}

// What joins partial results of a reduce, scatter, ... : the combiner of its region, where a collective knows it.
Combiner CombinerOf(const ir::Module& module, const ir::Op& op);
// Whether `start` may take part on every device: it is the combiner's neutral element, or repeating it is harmless.
bool MayRepeat(const ir::Module& module, ir::ValueId start, Combiner combiner);

// ---------------------------------------------------------------- rule_elementwise.cc
Rule LeafRule(const ir::Module& module, const ir::Op& op);         // parameter, constant, iota
Rule ElementwiseRule(const ir::Module& module, const ir::Op& op);  // family E
Rule BroadcastRule(const ir::Module& module, const ir::Op& op);
Rule BarrierRule(const ir::Module& module, const ir::Op& op);

// ---------------------------------------------------------------- rule_movement.cc
Rule TransposeRule(const ir::Module& module, const ir::Op& op);
Rule SliceRule(const ir::Module& module, const ir::Op& op);
Rule PadRule(const ir::Module& module, const ir::Op& op);
Rule ReverseRule(const ir::Module& module, const ir::Op& op);
Rule ConcatenateRule(const ir::Module& module, const ir::Op& op);
Rule DynamicSliceRule(const ir::Module& module, const ir::Op& op);
Rule DynamicUpdateSliceRule(const ir::Module& module, const ir::Op& op);

// ---------------------------------------------------------------- rule_reshape.cc
Rule ReshapeRule(const ir::Module& module, const ir::Op& op);

// ---------------------------------------------------------------- rule_contraction.cc
Rule DotRule(const ir::Module& module, const ir::Op& op);
Rule ReduceRule(const ir::Module& module, const ir::Op& op);

// ---------------------------------------------------------------- rule_window.cc
Rule ConvolutionRule(const ir::Module& module, const ir::Op& op);
Rule ReduceWindowRule(const ir::Module& module, const ir::Op& op);
Rule SelectAndScatterRule(const ir::Module& module, const ir::Op& op);

// ---------------------------------------------------------------- rule_indexed.cc
Rule GatherRule(const ir::Module& module, const ir::Op& op);
Rule ScatterRule(const ir::Module& module, const ir::Op& op);

// ---------------------------------------------------------------- rule_other.cc
Rule SortRule(const ir::Module& module, const ir::Op& op);
Rule CholeskyRule(const ir::Module& module, const ir::Op& op);
Rule TriangularSolveRule(const ir::Module& module, const ir::Op& op);
Rule CustomCallRule(const ir::Module& module, const ir::Op& op);

}  // namespace alpa::sharding::internal
