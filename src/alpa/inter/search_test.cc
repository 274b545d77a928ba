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
// Returns the number of stages of the best plan, 0 when there is none.
size_t ExpectExact(const SearchProblem& problem, const std::string& what, int stages = 0) {
  SCOPED_TRACE(what);
  SearchOptions options;
  options.threads = 1;
  options.top = 4;
  options.stages = stages;
  const SearchResult result = SearchStages(problem, options);
  const BestByKind truth = Exhaustive(problem).Run();
  EXPECT_TRUE(result.complete);
  std::vector<double> seconds;
  for (const auto& [kind, best] : truth) {
    if (stages == 0 || static_cast<size_t>(stages) == std::get<2>(kind)) seconds.push_back(best);
  }
  std::sort(seconds.begin(), seconds.end());
  EXPECT_EQ(result.plans.size(), std::min<size_t>(4, seconds.size()));
  if (result.plans.size() > seconds.size()) return 0;
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
  EXPECT_EQ(rough.plans.empty(), seconds.empty());
  if (seconds.empty() || rough.plans.empty() || result.plans.empty()) return 0;
  EXPECT_LE(rough.plans[0].seconds, 1.1 * seconds[0] + 1e-9);
  EXPECT_LE(rough.bound, seconds[0]);
  EXPECT_GE(rough.bound, rough.plans[0].seconds / 1.1 - 1e-9);
  return result.plans[0].stages.size();
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
      const std::string what = std::string(kind.name) + ", seed " + std::to_string(seed);
      ExpectExact(MakeProblem(seed, kind, &costs), what);
      ExpectExact(MakeProblem(seed, kind, &costs), what + ", three stages", 3);
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

// No device has two stages.
void ExpectApart(const Stage& a, const Stage& b) {
  const bool hosts = a.first_host < b.first_host + b.submesh.hosts && b.first_host < a.first_host + a.submesh.hosts;
  const bool devices =
      a.first_device < b.first_device + b.submesh.devices && b.first_device < a.first_device + a.submesh.devices;
  EXPECT_FALSE(hosts && devices);
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

TEST(SearchStages, InterleavedAsExhaustiveSearch) {
  int interleaved = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    for (const Kind& kind : kClusters) {
      RandomCosts::Options of_costs = Costs(seed);
      of_costs.memory /= 2;
      const RandomCosts costs(seed, of_costs);
      SearchProblem problem = MakeProblem(seed, kind, &costs);
      problem.layers = 3 + static_cast<int>(seed % 4);
      problem.graph = Row(0, problem.layers);
      problem.microbatches = {1, 4, 6};
      problem.schedules = {Schedule::kInterleaved};
      const std::string what = std::string(kind.name) + ", seed " + std::to_string(seed);
      ExpectExact(problem, what);
      if (ExpectExact(problem, what + ", four stages", 4) == 4) ++interleaved;
    }
  }
  EXPECT_GT(interleaved, 100);  // of 420: the cases are worth something
}

// Stages on some devices of each of several hosts, alone or side by side; with branches too.
TEST(SearchStages, RectanglesAsExhaustiveSearch) {
  const Kind clusters[] = {{"two hosts", {{0, {2, 2}}}},         {"three hosts", {{0, {2, 2, 2}}}},
                           {"two hosts of four", {{0, {4, 4}}}}, {"hosts that differ", {{0, {3, 2}}}},
                           {"a broken host", {{0, {2, 1, 2}}}},  {"two types", {{0, {2, 2}}, {1, {2}}}}};
  int used = 0, shared = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    for (const Kind& kind : clusters) {
      const RandomCosts costs(seed, Costs(seed));
      SearchProblem problem = MakeProblem(seed, kind, &costs);
      problem.rectangles = true;
      if (seed % 3 == 0) {
        problem.graph = Graph(static_cast<int>(seed / 3 % 3));
        problem.layers = CountLayers(problem.graph);
        problem.microbatches = {4};
      }
      ExpectExact(problem, std::string(kind.name) + ", seed " + std::to_string(seed));
      for (const FoundPlan& plan : SearchStages(problem, {}).plans) {
        for (size_t s = 0; s < plan.stages.size(); ++s) {
          const Stage& stage = plan.stages[s];
          used += stage.submesh.rectangle ? 1 : 0;
          for (size_t o = 0; o < s; ++o) ExpectApart(plan.stages[o], stage);
          shared += s > 0 && stage.submesh.rectangle && stage.first_host == plan.stages[s - 1].first_host ? 1 : 0;
        }
      }
    }
  }
  EXPECT_GT(used, 100);
  EXPECT_GT(shared, 20);
}

// All schedules at once; a block that interleaved stages can only have as a whole.
TEST(SearchStages, AllSchedulesAsExhaustiveSearch) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const RandomCosts costs(seed, Costs(seed));
    SearchProblem problem = MakeProblem(seed, kClusters[seed % 4], &costs);
    problem.graph = {{{0, {}}, {1, {}}, {-1, {Row(2, 1), Row(3, 1)}}, {4, {}}}};
    problem.layers = 5;
    problem.microbatches = {2, 4};
    problem.schedules = {Schedule::kInterleaved, Schedule::kZbH1, Schedule::k1F1B, Schedule::kGpipe};
    ExpectExact(problem, "seed " + std::to_string(seed));
  }
}

// Layers of 10 bytes of state and 4 bytes per microbatch in flight, divided by the devices; 8 s of work on one device.
class PlainCosts : public StageCosts {
 public:
  std::vector<StageVariant> Variants(int first, int last, const Submesh& submesh, int64_t m) const override {
    const auto layers = static_cast<double>(last - first + 1), devices = static_cast<double>(submesh.size());
    StageVariant v;
    v.forward = v.backward = 4 * layers / devices / static_cast<double>(m);
    v.state = 10 * layers / devices;
    v.activation = 4 * layers / devices;
    return {v};
  }
  Transfer TransferTime(int, int, const TransferEnd&, const TransferEnd&, bool, int64_t) const override { return {}; }
};

SearchProblem PlainProblem(const StageCosts* costs, double memory) {
  SearchProblem problem;
  problem.layers = 4;
  problem.graph = Row(0, 4);
  problem.hosts = {{0, {4}}};
  problem.memory = {memory};
  problem.microbatches = {1, 8};
  problem.schedules = {Schedule::k1F1B};
  problem.costs = costs;
  return problem;
}

TEST(SearchStages, NamesTheLayerThatFitsNowhere) {
  const PlainCosts costs;
  // A layer on all four devices needs 3.5 bytes on each.
  const SearchResult result = SearchStages(PlainProblem(&costs, 3), {});
  EXPECT_TRUE(result.plans.empty());
  EXPECT_TRUE(std::isinf(result.bound));
  ASSERT_TRUE(result.shortage.has_value());
  EXPECT_EQ(result.shortage->first, result.shortage->last);
  EXPECT_EQ(result.shortage->submesh, (Submesh{1, 4, 0}));
  EXPECT_EQ(result.shortage->needed, 3.5);
  EXPECT_EQ(result.shortage->available, 3);
}

TEST(SearchStages, NamesTheFullestStageOfTheLeastPlanThatWouldFit) {
  const PlainCosts costs;
  // Each layer fits alone; all together need 14 on each device, as one stage on all four.
  const SearchResult result = SearchStages(PlainProblem(&costs, 10), {});
  EXPECT_TRUE(result.plans.empty());
  ASSERT_TRUE(result.shortage.has_value());
  EXPECT_EQ(result.shortage->first, 0);
  EXPECT_EQ(result.shortage->last, 3);
  EXPECT_EQ(result.shortage->needed, 14);
  EXPECT_EQ(result.shortage->available, 10);
}

TEST(SearchStages, SaysNothingAboutMemoryWhenItIsNotMemory) {
  const PlainCosts costs;
  SearchOptions options;
  options.stages = 5;  // of four layers
  const SearchResult result = SearchStages(PlainProblem(&costs, 100), options);
  EXPECT_TRUE(result.plans.empty());
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.shortage.has_value());
}

TEST(SearchStages, StopsWhenCancelled) {
  const RandomCosts costs(1, Costs(1));
  SearchProblem problem = MakeProblem(1, kClusters[2], &costs);
  problem.layers = 8;
  problem.graph = Row(0, 8);
  problem.microbatches = {1, 2, 4, 8, 16};
  SearchOptions options;
  options.threads = 1;
  const SearchResult full = SearchStages(problem, options);
  ASSERT_TRUE(full.complete);
  for (const int after : {0, 1, 8, 30, 100, 300}) {
    int asked = 0;
    options.cancelled = [&] { return ++asked > after; };
    const SearchResult result = SearchStages(problem, options);
    EXPECT_FALSE(result.complete) << after;
    EXPECT_LE(result.bound, full.plans[0].seconds) << after;
    if (!result.plans.empty()) EXPECT_GE(result.plans[0].seconds, full.plans[0].seconds);
  }
}

TEST(SearchStages, ThreadsMakeNoDifferenceAndProgressGrows) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const RandomCosts costs(seed, Costs(seed));
    SearchProblem problem = MakeProblem(seed, kClusters[seed % 7], &costs);
    problem.layers = 7;
    problem.graph = Row(0, 7);
    problem.microbatches = {1, 2, 4, 8, 16};
    problem.schedules.push_back(Schedule::kInterleaved);
    SearchOptions options;
    options.threads = 1;
    const SearchResult alone = SearchStages(problem, options);
    options.threads = 4;
    double share = 0;
    options.progress = [&](double done, double) {
      EXPECT_GE(done, share);
      share = done;
    };
    const SearchResult together = SearchStages(problem, options);
    EXPECT_EQ(share, 1);
    EXPECT_EQ(alone.bound, together.bound);
    ASSERT_EQ(alone.plans.size(), together.plans.size());
    for (size_t i = 0; i < alone.plans.size(); ++i) {
      const FoundPlan &a = alone.plans[i], &b = together.plans[i];
      EXPECT_EQ(a.seconds, b.seconds);
      EXPECT_EQ(a.microbatches, b.microbatches);
      ASSERT_EQ(a.stages.size(), b.stages.size());
      for (size_t s = 0; s < a.stages.size(); ++s) {
        EXPECT_EQ(a.stages[s].first, b.stages[s].first);
        EXPECT_EQ(a.stages[s].submesh, b.stages[s].submesh);
        EXPECT_EQ(a.stages[s].variant.id, b.stages[s].variant.id);
      }
    }
  }
}

}  // namespace
}  // namespace alpa::inter
