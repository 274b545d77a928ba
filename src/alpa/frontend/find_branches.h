// Parts of the forward pass that do not depend on each other.
#pragma once

#include <vector>

#include "alpa/frontend/forward_graph.h"
#include "alpa/ir/module.h"

namespace alpa::frontend {

// A run of ops, or two or more branches that start behind one op (or from the inputs) and meet in a later one.
struct ForwardPart {
  std::vector<ir::OpId> ops;
  std::vector<std::vector<ForwardPart>> branches;  // each a series of parts
};

// Takes a part of graph.order apart into a series: ops, branches, ops, ... Branches count where two or more of them
// have at least `least_work` and at least two ops that do work; skip connections, shortcuts and the projections of an
// attention therefore do not. What leads past the branches is behind them. Branches may have branches inside.
// Time: the sum, over ops with several operands, of the ops between them and where their operands' ways part.
std::vector<ForwardPart> FindBranches(const ir::Module& module, const ForwardGraph& graph,
                                      const std::vector<ir::OpId>& ops, double least_work);

}  // namespace alpa::frontend
