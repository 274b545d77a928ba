#include "alpa/inter/equal_stages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace alpa::inter {
namespace {

using testing::ElementsAre;
using testing::Pair;

// A layer takes 1 second on one device, forward and backward together, and 1 byte.
class Layers : public StageCosts {
 public:
  std::vector<StageVariant> Variants(int first, int last, const Submesh& submesh, int64_t) const override {
    const double share = static_cast<double>(last - first + 1) / static_cast<double>(submesh.size());
    StageVariant v;
    v.forward = v.backward = share / 2;
    v.state = share;
    return {v};
  }
  Transfer TransferTime(int, int, const TransferEnd&, const TransferEnd&, bool, int64_t) const override { return {}; }
};

SearchProblem Problem(const StageCosts& costs, int layers, std::vector<int> devices) {
  SearchProblem problem;
  problem.layers = layers;
  for (int l = 0; l < layers; ++l) problem.graph.items.push_back({l, {}});
  problem.hosts = {{0, std::move(devices)}};
  problem.memory = {100};
  problem.microbatches = {1, 4};
  problem.schedules = {Schedule::k1F1B};
  problem.costs = &costs;
  return problem;
}

TEST(EqualRanges, DifferByAtMostOneLayer) {
  EXPECT_THAT(EqualRanges(7, 3), ElementsAre(Pair(0, 1), Pair(2, 3), Pair(4, 6)));
}

TEST(EqualStages, AreOnEqualSubmeshesThatMakeUpAllDevices) {
  const Layers costs;
  const SearchProblem problem = Problem(costs, 4, {2, 2});
  const std::vector<FoundPlan> plans = EqualStages(problem, Schedule::k1F1B, 100);
  ASSERT_EQ(plans.size(), 6u) << "1, 2 and 4 stages, 1 and 4 microbatches";
  for (const FoundPlan& plan : plans) {
    int64_t devices = 0;
    for (const Stage& stage : plan.stages) devices += stage.submesh.size();
    EXPECT_EQ(devices, 4);
  }
  EXPECT_EQ(plans[0].seconds, 1) << "one stage, one microbatch: 4 layers on 4 devices";
  EXPECT_EQ(EqualStages(problem, Schedule::k1F1B, 2).size(), 2u);
  EXPECT_TRUE(EqualStages(Problem(costs, 4, {2, 1}), Schedule::k1F1B, 2).empty()) << "hosts that differ";
}

TEST(PlanOfStages, LaysStagesOutOneAfterTheOther) {
  const Layers costs;
  const SearchProblem problem = Problem(costs, 4, {2, 2});
  const auto plan = PlanOfStages(problem, 4, Schedule::k1F1B, {{0, 0}, {1, 2}, {3, 3}}, {{1, 1}, {1, 2}, {1, 1}});
  EXPECT_FALSE(plan) << "the second stage goes to the second host, which leaves none for the third";
  const auto other = PlanOfStages(problem, 4, Schedule::k1F1B, {{0, 0}, {1, 1}, {2, 3}}, {{1, 1}, {1, 1}, {1, 2}});
  ASSERT_TRUE(other);
  EXPECT_EQ(other->stages[1].first_device, 1);
  EXPECT_EQ(other->stages[2].first_host, 1);
  EXPECT_EQ(other->seconds, 1 + 1 + 1 + 3);
}

TEST(PlanOfStages, SaysWhenAStageDoesNotFit) {
  const Layers costs;
  SearchProblem problem = Problem(costs, 4, {2, 2});
  problem.memory = {1.5};
  EXPECT_FALSE(PlanOfStages(problem, 4, Schedule::k1F1B, {{0, 3}}, {{1, 2}}));
  EXPECT_TRUE(PlanOfStages(problem, 4, Schedule::k1F1B, {{0, 3}}, {{2, 2}}));
}

}  // namespace
}  // namespace alpa::inter
