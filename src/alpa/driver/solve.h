// alpa solve: a sharding problem from a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "alpa/base/result.h"
#include "alpa/report/progress.h"
#include "alpa/solver/solve.h"

namespace alpa::driver {

struct SolveCommand {
  std::filesystem::path problem;  // IOPDDL JSON, also .gz
  double time_limit = 60;         // seconds, from the start of the program
  int threads = 0;                // 0: one per core
  uint64_t seed = 1;
  int64_t work_limit = 0;     // 0: none
  double gap = 0;             // stop when this is reached
  bool json = false;          // print JSON instead of a page
  bool quiet = false;         // no progress
  std::filesystem::path out;  // write the JSON here
};

// Reads, solves and prints. Ctrl-C ends the search, and the best so far is the answer. That nothing fits is an answer
// too (status "infeasible", or "unknown" when that is not proven).
Status Solve(const SolveCommand& command);

// {"status": ..., "cost": ..., "bound": ..., "gap": ..., "assignment": [...], ...}; what is infinite is null.
std::string SolutionJson(const solver::Problem& problem, const solver::Solution& solution);

// The same for people.
std::string SolutionText(const solver::Problem& problem, const solver::Solution& solution);

// Shows how the solver gets on.
class SolveProgress {
 public:
  explicit SolveProgress(report::Screen screen) : line_(std::move(screen)) {}
  void Update(const solver::Progress& progress);

 private:
  report::StatusLine line_;
};

}  // namespace alpa::driver
