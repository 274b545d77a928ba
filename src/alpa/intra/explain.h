// Why a value lies as it does: what the other ways would have cost.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alpa/intra/build_problem.h"
#include "alpa/intra/candidates.h"

namespace alpa::intra {

// Another layout of a result, with all other choices as they are.
struct Alternative {
  sharding::Spec spec;  // of result 0
  double seconds = 0;   // more than the chosen one (less is possible only where memory forbids it)
  int64_t bytes = 0;    // more memory for the results of this op, per device
};

// The layouts of result 0 of `node` other than the chosen one, cheapest first; at most `count`, and only possible ones.
std::vector<Alternative> Alternatives(const CandidateTable& table, const BuiltProblem& built,
                                      const std::vector<std::vector<int>>& edges_of_node,
                                      const std::vector<int32_t>& assignment, int node, size_t count);

// Indices of Problem::edges at each node.
std::vector<std::vector<int>> EdgesOfNodes(const solver::Problem& problem);

}  // namespace alpa::intra
