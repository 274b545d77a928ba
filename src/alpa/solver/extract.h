// A part of a problem as a problem of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/solver/core.h"
#include "alpa/solver/flat.h"

namespace alpa::solver {

// The nodes `members` (ascending) with everything else as in `choice`, whose memory is `load`: node n of the result is
// members[n], with the same strategies; its costs include those of edges to the nodes that are fixed; its points have
// the memory the others leave. Costs among the fixed nodes are not in it. Points are those of `flat`, thinned out.
Core Extract(const Flat& flat, const std::vector<int32_t>& members, const std::vector<int32_t>& choice,
             const std::vector<int64_t>& load);

// All nodes: node n of the result is node n of `flat`.
Core Extract(const Flat& flat);

// What Extract counts of `choice`: the costs of the members, of edges among them, and to fixed nodes.
double PartialCost(const Flat& flat, const std::vector<int32_t>& members, const std::vector<int32_t>& choice);

}  // namespace alpa::solver
