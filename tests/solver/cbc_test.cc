// Our solver and CBC on the same problems, too large for an exhaustive search.
#include "cbc.h"

#include <gtest/gtest.h>

#include <cmath>

#include "alpa/solver/random_problem.h"
#include "alpa/solver/solve.h"

namespace alpa::solver {
namespace {

void CompareWithCbc(const testing::RandomOptions& random, int count) {
  int solved = 0;
  for (int seed = 0; seed < count; ++seed) {
    SCOPED_TRACE(seed);
    Problem problem = testing::RandomProblem(static_cast<uint64_t>(seed), random);
    if (problem.usage_limit) problem.usage_limit = random.nodes * 3 / 2;  // neither hopeless nor without effect
    const Solution ours = Solve(problem, {.threads = 1});
    const CbcResult theirs = SolveWithCbc(problem, 60);
    ASSERT_TRUE(theirs.optimal || theirs.infeasible);
    EXPECT_EQ(ours.status, theirs.optimal ? SolveStatus::kOptimal : SolveStatus::kInfeasible);
    if (!theirs.optimal) continue;
    ++solved;
    EXPECT_NEAR(ours.cost, theirs.cost, 1e-6 * (1 + theirs.cost));
  }
  EXPECT_GT(solved, count / 4);
}

TEST(CbcReferee, AgreesWithMemory) {
  CompareWithCbc({.nodes = 18, .strategies = 5, .edges = 26, .forbidden_percent = 8}, 30);
}

TEST(CbcReferee, AgreesWithoutMemory) {
  CompareWithCbc({.nodes = 30, .strategies = 5, .edges = 45, .forbidden_percent = 8, .memory = false}, 30);
}

TEST(CbcReferee, AgreesOnFractions) {
  CompareWithCbc({.nodes = 15, .strategies = 4, .edges = 20, .forbidden_percent = 5, .whole = false, .tables = 1}, 20);
}

}  // namespace
}  // namespace alpa::solver
