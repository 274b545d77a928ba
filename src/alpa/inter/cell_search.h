// The best plan of one cell: over the time that the slowest stage may take (Alpa §5.1, "enumerate t_max").
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>

#include "alpa/inter/chain_search.h"

namespace alpa::inter {

struct CellQuery {
  double below = 0;      // only plans of less seconds are of interest
  double tolerance = 0;  // relative, as SearchOptions::tolerance
  std::function<bool()> cancelled;
  int64_t most_states = std::numeric_limits<int64_t>::max();  // after so many labels it gives up
};

struct CellResult {
  std::optional<FoundPlan> plan;  // the best one, if it takes less than asked for
  double bound = 0;               // no plan of the cell takes less than this; at most plan->seconds
  bool complete = true;           // false: cancelled or given up; `bound` still holds
  int64_t states = 0;
};

// S(t), the least latency when no stage takes longer than t, falls with t. Between two values a < b of t every plan
// takes at least (m - 1) a + S(b); intervals that may hold something better are cut into smaller ones until there is
// none.
CellResult SearchCell(const StageSpace& space, const Cell& cell, const CellCosts& costs, const CellQuery& query);

// No plan of the cell takes less; fast, from relaxed costs. Infinity: nothing fits.
double RelaxedBound(const StageSpace& space, const Cell& cell, const CellCosts& costs);

}  // namespace alpa::inter
