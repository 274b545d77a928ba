// Recomputation: which forward ops a layer's backward pass does again.
#pragma once

#include <map>
#include <vector>

#include "alpa/frontend/analyze_step.h"
#include "alpa/frontend/layers.h"
#include "alpa/ir/module.h"

namespace alpa::frontend {

// For each of the layers `first` .. `last` that has backward ops, the forward ops of it that these read the results of,
// and the ops of the same layer, or of none, that those need; operands first. Ops whose second result would differ
// (random numbers without a key, side effects) are not among them: what they give is kept.
std::map<int, std::vector<ir::OpId>> PlanRecomputation(const ir::Module& module, const StepAnalysis& analysis,
                                                       const Layering& layering, int first, int last);

// By OpId: ops without a layer that depend on cotangents. They cannot stand in front of a layer's backward ops.
std::vector<char> CopiesOfCotangents(const ir::Module& module, const StepAnalysis& analysis, const Layering& layering);

}  // namespace alpa::frontend
