#include "alpa/solver/least_peak.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "alpa/solver/extract.h"
#include "alpa/solver/flat.h"
#include "alpa/solver/reduce.h"

namespace alpa::solver {
namespace {

enum class Answer : uint8_t { kFound, kNone, kOpen };

// The problem with what is allowed left, at no cost.
Problem WithoutCosts(const Problem& problem) {
  Problem free = problem;
  const auto drop = [](std::vector<double>& costs) {
    for (double& cost : costs) cost = std::isfinite(cost) ? 0 : cost;
  };
  for (Node& node : free.nodes) drop(node.costs);
  for (CostTable& table : free.tables) drop(table.costs);
  return free;
}

// An assignment of `free` within `limit`.
Answer Fit(Problem& free, int64_t limit, Budget& budget, std::vector<int32_t>* assignment, int64_t* least) {
  free.usage_limit = limit;
  Core core = MakeCore(free);
  *least = std::max(*least, core.least_peak);
  ReduceOptions reduce;
  reduce.stopped = budget.stopped;
  Reduce(core, reduce);
  if (core.infeasible) return Answer::kNone;
  const Flat flat = MakeFlat(core);
  BranchOptions options;
  options.tolerance = 0.5;
  Budget mine = budget;
  mine.work = budget.work / 4 + 1;
  const int64_t had = mine.work;
  const BranchResult result = Branch(Extract(flat), 1, {}, options, mine);
  budget.work -= had - mine.work + std::ssize(flat.table);
  if (!result.found) return result.complete ? Answer::kNone : Answer::kOpen;
  *assignment = ToAssignment(core, flat, result.assignment);
  return Answer::kFound;
}

}  // namespace

LeastPeak FindLeastPeak(const Problem& problem, bool enough, Budget& budget) {
  Problem free = WithoutCosts(problem);
  LeastPeak out;
  int64_t found = -1;
  const auto try_limit = [&](int64_t limit) {
    std::vector<int32_t> assignment;
    const Answer answer = Fit(free, limit, budget, &assignment, &out.bound);
    if (answer == Answer::kFound) {
      out.assignment = std::move(assignment);
      found = PeakUsage(free, out.assignment).usage;
    } else if (answer == Answer::kNone) {
      out.bound = std::max(out.bound, limit + 1);
    }
    return answer;
  };
  constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max() / 4;
  if (problem.usage_limit && try_limit(*problem.usage_limit) == Answer::kFound && enough) return out;
  if (out.assignment.empty()) {
    const Answer any = try_limit(kNoLimit);
    if (any == Answer::kNone) out.none_allowed = true;
    if (any != Answer::kFound) return out;
  }
  // Where the search does not decide, it goes on with higher limits; the bound stays what was proven.
  int64_t low = out.bound;
  while (low < found && budget.Spend(1)) {
    const int64_t limit = low + (found - low) / 2;
    if (limit >= found) break;
    const Answer answer = try_limit(limit);
    low = std::max(low, answer == Answer::kFound ? out.bound : limit + 1);
  }
  return out;
}

}  // namespace alpa::solver
