#include "alpa/solver/solve.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "alpa/solver/random_problem.h"

namespace alpa::solver {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Whether a solution of a small problem is what an exhaustive search finds.
void ExpectExact(const Problem& problem, const Solution& solution, const testing::Exhaustive& truth) {
  if (!std::isfinite(truth.cost)) {
    ASSERT_EQ(solution.status, SolveStatus::kInfeasible);
    if (truth.least_peak == std::numeric_limits<int64_t>::max()) {
      EXPECT_TRUE(solution.assignment.empty());
      return;
    }
    ASSERT_FALSE(solution.assignment.empty());
    EXPECT_EQ(solution.peak.usage, truth.least_peak);
    EXPECT_EQ(solution.least_peak_bound, truth.least_peak);
    return;
  }
  ASSERT_EQ(solution.status, SolveStatus::kOptimal);
  EXPECT_NEAR(solution.cost, truth.cost, 1e-7 * truth.cost);
  EXPECT_EQ(solution.cost, CostOf(problem, solution.assignment));
  EXPECT_EQ(solution.peak.usage, PeakUsage(problem, solution.assignment).usage);
  if (problem.usage_limit) EXPECT_LE(solution.peak.usage, *problem.usage_limit);
  EXPECT_LE(solution.bound, solution.cost);
  EXPECT_EQ(solution.gap, 0);
}

void CompareWithExhaustiveSearch(const testing::RandomOptions& random, int count) {
  SolveOptions options;
  options.threads = 1;
  for (int seed = 0; seed < count; ++seed) {
    SCOPED_TRACE(seed);
    const Problem problem = testing::RandomProblem(static_cast<uint64_t>(seed), random);
    ASSERT_TRUE(Verify(problem).ok()) << Verify(problem).error().message;
    ExpectExact(problem, Solve(problem, options), testing::SolveExhaustively(problem));
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(Solve, EqualsExhaustiveSearchWithMemory) {
  CompareWithExhaustiveSearch({}, 2000);
  CompareWithExhaustiveSearch({.nodes = 7, .strategies = 3, .edges = 12, .forbidden_percent = 10}, 1000);
}

TEST(Solve, EqualsExhaustiveSearchWithoutMemory) {
  CompareWithExhaustiveSearch({.edges = 12, .forbidden_percent = 30, .memory = false}, 1000);
}

TEST(Solve, EqualsExhaustiveSearchWithDenseEdges) {
  CompareWithExhaustiveSearch({.nodes = 7, .strategies = 3, .edges = 25, .forbidden_percent = 5}, 1000);
}

TEST(Solve, EqualsExhaustiveSearchWithFractionsAndSharedTables) {
  CompareWithExhaustiveSearch({.nodes = 6, .edges = 10, .whole = false, .tables = 1}, 1000);
}

TEST(Solve, EqualsExhaustiveSearchWithManyForbiddenPairs) {
  CompareWithExhaustiveSearch({.nodes = 6, .edges = 7, .forbidden_percent = 50}, 1000);
}

TEST(Solve, EqualsExhaustiveSearchOnTinyProblems) {
  CompareWithExhaustiveSearch({.nodes = 1, .edges = 0}, 200);
  CompareWithExhaustiveSearch({.nodes = 2, .edges = 2}, 500);
  CompareWithExhaustiveSearch({.nodes = 3, .edges = 3}, 500);
}

TEST(Solve, UnitOfCostsDoesNotMatter) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    Problem problem = testing::RandomProblem(seed, {.edges = 10, .whole = false});
    const double unit = seed % 2 == 0 ? 1e-9 : 1e12;
    for (Node& node : problem.nodes) {
      for (double& cost : node.costs) cost *= unit;
    }
    for (CostTable& table : problem.tables) {
      for (double& cost : table.costs) cost *= unit;
    }
    ExpectExact(problem, Solve(problem, {.threads = 1}), testing::SolveExhaustively(problem));
    if (HasFailure()) return;
  }
}

TEST(Solve, ProblemWithoutNodesCostsNothing) {
  const Solution solution = Solve(Problem{});
  EXPECT_EQ(solution.status, SolveStatus::kOptimal);
  EXPECT_EQ(solution.cost, 0);
}

// A grid whose neighbours dislike each other, with memory that forces some of them to: hard enough for several rounds.
Problem HardProblem(uint64_t seed, int nodes = 60) {
  Problem problem = testing::RandomProblem(
      seed, {.nodes = nodes, .strategies = 6, .edges = nodes * 5 / 2, .forbidden_percent = 2, .memory = true});
  problem.usage_limit = nodes * 6 / 5;
  return problem;
}

TEST(Solve, DependsOnSeedAndWorkOnly) {
  SolveOptions options;
  options.work_limit = 30'000'000;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const Problem problem = HardProblem(seed);
    options.threads = 1;
    const Solution one = Solve(problem, options);
    options.threads = 3;
    const Solution three = Solve(problem, options);
    EXPECT_EQ(one.assignment, three.assignment);
    EXPECT_EQ(one.bound, three.bound);
    EXPECT_EQ(one.work, three.work);
    EXPECT_EQ(one.status, three.status);
  }
}

TEST(Solve, BoundHoldsWhateverTheWork) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const Problem problem = HardProblem(seed, 14);
    const Solution proven = Solve(problem, {.threads = 1});
    for (const int64_t work : {1, 1000, 10'000, 100'000, 1'000'000}) {
      SolveOptions options;
      options.threads = 1;
      options.work_limit = work;
      const Solution solution = Solve(problem, options);
      if (proven.status == SolveStatus::kInfeasible) {
        EXPECT_NE(solution.status, SolveStatus::kOptimal);
        EXPECT_NE(solution.status, SolveStatus::kFeasible);
        continue;
      }
      ASSERT_EQ(proven.status, SolveStatus::kOptimal);
      EXPECT_LE(solution.bound, proven.cost + 1e-6);
      EXPECT_NE(solution.status, SolveStatus::kInfeasible);
      if (solution.status == SolveStatus::kUnknown) continue;
      EXPECT_GE(solution.cost, proven.cost);
      EXPECT_LE(solution.peak.usage, *problem.usage_limit);
    }
  }
}

TEST(Solve, StopsAtOnceWhenCancelled) {
  SolveOptions options;
  int polls = 0;
  options.cancelled = [&] { return ++polls > 1; };
  const Problem problem = HardProblem(1, 80);
  const Solution solution = Solve(problem, options);
  EXPECT_LT(solution.elapsed.value, 5);
  EXPECT_LE(solution.bound, solution.cost);
}

TEST(Solve, StopsAtTheGapAskedFor) {
  SolveOptions options;
  options.gap = 0.5;
  const Problem problem = HardProblem(2, 30);
  const Solution solution = Solve(problem, options);
  ASSERT_TRUE(solution.status == SolveStatus::kFeasible || solution.status == SolveStatus::kOptimal);
  EXPECT_LE(solution.gap, 0.5);
}

// However little may be done, the answer is no worse than what it began with; what does not fit is no beginning.
TEST(Solve, BeginsWithWhatItIsGiven) {
  testing::RandomOptions options;
  options.nodes = 60;
  options.strategies = 6;
  options.edges = 150;
  options.forbidden_percent = 0;
  int used = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Problem problem = testing::RandomProblem(seed, options);
    SolveOptions well;
    well.work_limit = 50'000'000;
    const Solution good = Solve(problem, well);
    SolveOptions hardly;
    hardly.work_limit = 1;
    const Solution without = Solve(problem, hardly);
    hardly.start = good.assignment;
    const Solution with = Solve(problem, hardly);
    if (good.status != SolveStatus::kOptimal && good.status != SolveStatus::kFeasible) continue;
    ASSERT_LE(with.cost, good.cost) << seed;
    ASSERT_LE(with.bound, with.cost) << seed;
    used += without.cost > good.cost ? 1 : 0;
    Problem tight = problem;
    tight.usage_limit = good.peak.usage - 1;
    const Solution other = Solve(tight, hardly);
    if (other.status == SolveStatus::kOptimal || other.status == SolveStatus::kFeasible) {
      ASSERT_LE(other.peak.usage, *tight.usage_limit) << seed;
    }
  }
  EXPECT_GT(used, 5);
}

TEST(Solve, SaysWhichPointInTimeIsTightest) {
  Problem problem;
  problem.nodes = {{{1, 2}, {8, 6}, {0, 10}}, {{1, 2}, {9, 5}, {5, 7}}};
  problem.usage_limit = 10;
  const Solution solution = Solve(problem);
  EXPECT_EQ(solution.status, SolveStatus::kInfeasible);
  EXPECT_EQ(solution.assignment, (std::vector<int32_t>{1, 1}));
  EXPECT_EQ(solution.peak.usage, 11);
  EXPECT_EQ(solution.peak.time, 5);
  EXPECT_EQ(solution.least_peak_bound, 11);
}

TEST(Solve, ForbiddenEverythingHasNoAssignment) {
  Problem problem;
  problem.nodes = {{{1, 2}, {}, {}}, {{1}, {}, {}}};
  problem.tables = {{2, 1, {kInfinity, kInfinity}}};
  problem.edges = {{0, 1, 0}};
  const Solution solution = Solve(problem);
  EXPECT_EQ(solution.status, SolveStatus::kInfeasible);
  EXPECT_TRUE(solution.assignment.empty());
}

}  // namespace
}  // namespace alpa::solver
