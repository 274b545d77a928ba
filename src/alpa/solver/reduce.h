// Makes a core smaller without losing its best assignment.
#pragma once

#include <functional>

#include "alpa/solver/core.h"

namespace alpa::solver {

struct ReduceOptions {
  bool dominance = true;
  // Largest table that eliminating a node may create.
  int64_t largest_table = 4096;
  // Polled; true: leaves the core as it is by then, which is as good if larger.
  std::function<bool()> stopped;
};

// To a fixpoint: forbidden strategies (arc consistency), strategies that take more memory than there is, strategies
// that another one beats whatever the neighbours do (dominance), nodes that follow another, nodes of degree up to two
// whose memory does not matter, parallel edges, edges without effect. At least one of the best assignments stays, and
// every assignment that stays has its cost and memory. Where the limit is passed anyway, or nothing is left,
// `infeasible`.
void Reduce(Core& core, const ReduceOptions& options = {});

}  // namespace alpa::solver
