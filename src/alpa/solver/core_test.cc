#include "alpa/solver/core.h"

#include <gtest/gtest.h>

#include "alpa/solver/reduce.h"

namespace alpa::solver {
namespace {

Problem TwoNodes() {
  Problem problem;
  problem.nodes = {{{1, 2}, {10, 5}, {0, 2}}, {{3, 1}, {4, 8}, {1, 3}}};
  problem.tables = {{2, 2, {0, 1, 1, 0}}};
  problem.edges = {{0, 1, 0}};
  problem.usage_limit = 100;
  return problem;
}

TEST(Core, LosesStrategiesWithTheirCostsTablesAndMemory) {
  Core core = MakeCore(TwoNodes());
  KeepStrategies(core, 0, {0, 1});
  EXPECT_FALSE(core.infeasible);
  EXPECT_EQ(core.nodes[0].cost, std::vector<double>{2});
  EXPECT_EQ(core.nodes[0].origin, std::vector<int32_t>{1});
  EXPECT_EQ(core.edges[0].cost, (std::vector<double>{1, 0}));
}

// As a branch does that excludes the only strategy left.
TEST(Core, WithoutAnyStrategyOfANodeIsInfeasible) {
  Core core = MakeCore(TwoNodes());
  KeepStrategies(core, 0, {0, 0});
  EXPECT_TRUE(core.infeasible);
  Reduce(core);
  EXPECT_TRUE(core.infeasible);
}

}  // namespace
}  // namespace alpa::solver
