#include "alpa/inter/search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "alpa/inter/random_problem.h"

namespace alpa::inter {
namespace {

using testing::BestByKind;
using testing::Exhaustive;
using testing::RandomCosts;
using testing::Row;

// Whether the search finds what trying everything finds.
void ExpectExact(const SearchProblem& problem, const std::string& what) {
  SCOPED_TRACE(what);
  SearchOptions options;
  options.threads = 1;
  options.top = 4;
  const SearchResult result = SearchStages(problem, options);
  const BestByKind truth = Exhaustive(problem).Run();
  EXPECT_TRUE(result.complete);
  std::vector<double> seconds;
  for (const auto& [kind, best] : truth) seconds.push_back(best);
  std::sort(seconds.begin(), seconds.end());
  ASSERT_EQ(result.plans.size(), std::min<size_t>(4, seconds.size()));
  for (size_t i = 0; i < result.plans.size(); ++i) {
    FoundPlan plan = result.plans[i];
    EXPECT_EQ(plan.seconds, seconds[i]) << "plan " << i;
    EXPECT_EQ(plan.seconds, truth.at({plan.microbatches, plan.schedule, plan.stages.size()}));
    EXPECT_EQ(EvaluatePlan(problem, &plan), plan.seconds);
  }
  if (!seconds.empty()) {
    EXPECT_EQ(result.bound, seconds[0]);
  } else {
    EXPECT_TRUE(std::isinf(result.bound));
  }
  // With a tolerance: near enough, and a bound that holds.
  options.tolerance = 0.1;
  options.top = 1;
  const SearchResult rough = SearchStages(problem, options);
  ASSERT_EQ(rough.plans.empty(), seconds.empty());
  if (seconds.empty()) return;
  EXPECT_LE(rough.plans[0].seconds, 1.1 * seconds[0] + 1e-9);
  EXPECT_LE(rough.bound, seconds[0]);
  EXPECT_GE(rough.bound, rough.plans[0].seconds / 1.1 - 1e-9);
}

struct Kind {
  const char* name;
  std::vector<Hosts> hosts;
};

const Kind kClusters[] = {
    {"one host", {{0, {4}}}},
    {"two hosts", {{0, {2, 2}}}},
    {"three hosts", {{0, {2, 2, 2}}}},
    {"a host of three", {{0, {3}}}},
    {"hosts that differ", {{0, {2, 1, 2}}}},
    {"two types", {{0, {2}}, {1, {2}}}},
    {"two types, runs", {{0, {1, 1}}, {1, {2}}, {0, {1}}}},
};

SearchProblem MakeProblem(uint64_t seed, const Kind& kind, const StageCosts* costs) {
  SearchProblem problem;
  problem.layers = 1 + static_cast<int>(seed % (kind.hosts.size() > 2 ? 3 : 4));
  problem.graph = Row(0, problem.layers);
  problem.hosts = kind.hosts;
  problem.memory = {60, 45};
  problem.microbatches = seed % 4 < 2 && problem.layers < 4 ? std::vector<int64_t>{1, 2, 8} : std::vector<int64_t>{4};
  problem.schedules = {Schedule::k1F1B, Schedule::kZbH1, Schedule::kGpipe};
  if (seed % 5 == 0) problem.schedules = {Schedule::kGpipe};
  problem.costs = costs;
  return problem;
}

RandomCosts::Options Costs(uint64_t seed) {
  RandomCosts::Options options;
  const int memory[] = {10, 40, 90};  // seldom, often, mostly what limits
  options.memory = memory[seed % 3];
  options.layouts = 1 + static_cast<int>(seed % 2);
  options.transfer = seed % 7 == 0 ? 40 : 6;
  options.variants = 2;
  return options;
}

TEST(SearchStages, ChainsAsExhaustiveSearch) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    for (const Kind& kind : kClusters) {
      const RandomCosts costs(seed, Costs(seed));
      ExpectExact(MakeProblem(seed, kind, &costs), std::string(kind.name) + ", seed " + std::to_string(seed));
    }
  }
}

// Graphs with blocks: inside, at the beginning, at the end, two in a row, one within another.
Chain Graph(int which) {
  const auto block = [](std::vector<Chain> branches) { return Chain::Item{-1, std::move(branches)}; };
  switch (which) {
    case 0:
      return {{{0, {}}, block({Row(1, 1), Row(2, 1)}), {3, {}}}};
    case 1:
      return {{block({Row(0, 1), Row(1, 2)}), {3, {}}}};
    case 2:
      return {{{0, {}}, block({Row(1, 1), Row(2, 1), Row(3, 1)})}};
    case 3:
      return {{block({Row(0, 1), Row(1, 1)}), block({Row(2, 1), Row(3, 1)})}};
    case 4:
      return {{block({Row(0, 1), Chain{{block({Row(1, 1), Row(2, 1)}), {3, {}}}}})}};
    default:
      return {{{0, {}}, block({Row(1, 2), Row(3, 1)}), {4, {}}}};
  }
}

int CountLayers(const Chain& chain) {
  int count = 0;
  for (const Chain::Item& item : chain.items) {
    if (item.branches.empty()) ++count;
    for (const Chain& branch : item.branches) count += CountLayers(branch);
  }
  return count;
}

TEST(SearchStages, BranchesAsExhaustiveSearch) {
  for (uint64_t seed = 0; seed < 90; ++seed) {
    for (const Kind& kind : kClusters) {
      const RandomCosts costs(seed, Costs(seed));
      SearchProblem problem = MakeProblem(seed, kind, &costs);
      problem.graph = Graph(static_cast<int>(seed % 6));
      problem.layers = CountLayers(problem.graph);
      if (problem.layers > 4) problem.microbatches = {4};
      ExpectExact(problem, std::string(kind.name) + ", seed " + std::to_string(seed));
    }
  }
}

}  // namespace
}  // namespace alpa::inter
