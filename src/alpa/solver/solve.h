// The solver: always an answer and a bound.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "alpa/base/units.h"
#include "alpa/solver/problem.h"

namespace alpa::solver {

// What is known of the best assignment so far, for progress lines.
struct Progress {
  Seconds elapsed;
  std::string phase;  // "reduce", "bound", "search"
  double cost = 0;    // infinite: none found that fits
  double bound = 0;
};

struct SolveOptions {
  Seconds time_limit{60};  // any-time: returns the best found
  int threads = 0;         // 0: one per core
  uint64_t seed = 1;
  int64_t work_limit =
      0;  // steps of the search (0: until time_limit or proven); with it, results depend on nothing else
  std::vector<int32_t> start = {};  // an assignment to begin with; used if it is allowed and fits. Empty: none
  double gap = 0;                   // stop when (cost - bound) / cost is not above this
  std::function<void(const Progress&)> progress;
  std::function<bool()> cancelled;  // polled; true: return what there is
};

enum class SolveStatus : uint8_t {
  kOptimal,     // proven
  kFeasible,    // an assignment and a bound
  kInfeasible,  // proven: no assignment fits
  kUnknown,     // none found, none excluded
};
std::string_view Name(SolveStatus status);

struct Solution {
  SolveStatus status = SolveStatus::kUnknown;
  std::vector<int32_t> assignment;  // kOptimal, kFeasible: it fits. Otherwise the one with the least peak memory found
  double cost = 0;                  // of the assignment, as CostOf says
  double bound = 0;                 // no assignment that fits costs less; infinite: kInfeasible
  double gap = 0;                   // (cost - bound) / cost; 0 when cost is 0
  Peak peak;                        // of the assignment
  int64_t least_peak_bound = 0;     // no assignment has a lower peak than this
  int64_t work = 0;                 // done, as work_limit counts
  Seconds elapsed;
};

// Requires a problem that verifies.
Solution Solve(const Problem& problem, const SolveOptions& options = {});

}  // namespace alpa::solver
