// When nothing fits, or nothing that fits is found: how little memory would do.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/solver/branch.h"
#include "alpa/solver/problem.h"

namespace alpa::solver {

struct LeastPeak {
  std::vector<int32_t> assignment;  // that with the lowest peak found; empty: none that is allowed at all
  int64_t bound = 0;                // no allowed assignment has a lower peak
  bool none_allowed = false;        // proven: whatever the limit
};

// Looks for an allowed assignment of low peak: first one that keeps the limit of the problem (and is content with it if
// `enough`), then by halving the interval between the bound and the lowest peak found.
LeastPeak FindLeastPeak(const Problem& problem, bool enough, Budget& budget);

}  // namespace alpa::solver
