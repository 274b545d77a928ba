// CBC, the solver that Alpa uses, on the textbook integer program: the referee of our own. For tests and benchmarks.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/solver/problem.h"

namespace alpa::solver {

struct CbcResult {
  bool optimal = false;     // proven
  bool infeasible = false;  // proven
  double cost = 0;
  std::vector<int32_t> assignment;
  double seconds = 0;  // in CBC alone
};

// One-hot variables per node and per pair of strategies of an edge; the pairs of a strategy add up to its variable
// (rows and columns); memory per point in time at which something begins. As in Alpa's _call_solver_serialized_args.
CbcResult SolveWithCbc(const Problem& problem, double time_limit);

}  // namespace alpa::solver
