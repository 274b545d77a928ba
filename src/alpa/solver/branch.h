// Branch and bound: the best assignment of a core, proven, if the budget lasts.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "alpa/solver/core.h"

namespace alpa::solver {

// How much may be done, counted in entries of tables touched, and who may call it off.
struct Budget {
  int64_t work = 0;               // left
  std::function<bool()> stopped;  // polled now and then
  bool Spend(int64_t amount) {    // false: no more
    work -= amount;
    return work > 0 && !(stopped && stopped());
  }
};

struct BranchOptions {
  int passes = 30;        // of messages at each node of the search tree
  int root_passes = 100;  // at the first
  double tolerance = 0;   // look only for assignments that cost less than `upper` by more than this
  // Told of each better assignment: strategies by node of the core as it was given, and the cost.
  std::function<void(const std::vector<int32_t>&, double)> found;
};

struct BranchResult {
  bool complete = false;            // the whole tree was searched: nothing below `cost` (or `upper`) exists
  bool found = false;               // an assignment below `upper`
  std::vector<int32_t> assignment;  // it, by node; numbers as in `origin`
  double cost = 0;                  // of the assignment, or `upper`
  double bound = 0;                 // no assignment costs less
};

// Only assignments that fit in memory and cost less than `upper` count. `prices`: memory prices to start from, by
// time of the core's points (point_time as index); may be empty.
BranchResult Branch(Core core, double upper, const std::vector<double>& prices, const BranchOptions& options,
                    Budget& budget);

}  // namespace alpa::solver
