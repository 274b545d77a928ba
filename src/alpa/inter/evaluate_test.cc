#include "alpa/inter/evaluate.h"

#include <gtest/gtest.h>

#include <limits>

#include "alpa/inter/random_problem.h"

namespace alpa::inter {
namespace {

using testing::Row;

// Every transfer takes 1 s there and 1 s back on one host, 2 s each otherwise.
class TwoSeconds : public StageCosts {
 public:
  std::vector<StageVariant> Variants(int, int, const Submesh&, int64_t) const override { return {}; }
  Transfer TransferTime(int, int, const TransferEnd&, const TransferEnd&, bool same_host, int64_t) const override {
    return same_host ? Transfer{1, 1} : Transfer{2, 2};
  }
};

// Each stage: forward 10, backward 20 (of which 5 may be delayed), 8 per step; state 10, activation 3, workspace 1.
Stage MakeStage(int first, int last, int host) {
  Stage stage;
  stage.first = first;
  stage.last = last;
  stage.first_host = host;
  stage.variant = {10, 20, 5, 8, 10, 3, 1, 0, 0};
  return stage;
}

struct Case {
  TwoSeconds costs;
  SearchProblem problem;
  FoundPlan plan;
  explicit Case(int layers, std::vector<Hosts> hosts = {{0, {4}}}) {
    problem.layers = layers;
    problem.graph = Row(0, layers);
    problem.hosts = std::move(hosts);
    problem.memory = {100};
    problem.costs = &costs;
    plan.microbatches = 4;
    for (int layer = 0; layer < layers; ++layer) plan.stages.push_back(MakeStage(layer, layer, 0));
    LinkStages(problem, &plan);
  }
};

TEST(EvaluatePlan, AddsBubbleAndRepeatsTheBottleneck) {
  Case c(3);
  // e = 10 + 20 + 8 / 4 = 32, c = 2 but for the last: 34 + 34 + 32 + 3 * 34.
  EXPECT_EQ(EvaluatePlan(c.problem, &c.plan), 202);
  EXPECT_EQ(c.plan.stages[0].in_flight, 3);
  EXPECT_EQ(c.plan.stages[2].in_flight, 1);
  EXPECT_EQ(Bottleneck(c.problem, c.plan), 34);
  c.plan.schedule = Schedule::kGpipe;
  EXPECT_EQ(EvaluatePlan(c.problem, &c.plan), 202);
  EXPECT_EQ(c.plan.stages[2].in_flight, 4);
  // 5 s less on the path where another stage follows, but each device does all its work: 29 + 29 + 32 + 3 * 34.
  c.plan.schedule = Schedule::kZbH1;
  EXPECT_EQ(EvaluatePlan(c.problem, &c.plan), 192);
}

TEST(EvaluatePlan, TransfersBetweenHostsTakeLonger) {
  Case by_count(2, {{0, {4, 4}}});
  EXPECT_EQ(EvaluatePlan(by_count.problem, &by_count.plan), 36 + 32 + 3 * 36);  // as between hosts
  Case in_order(2, {{0, {4, 3}}});
  EXPECT_EQ(EvaluatePlan(in_order.problem, &in_order.plan), 34 + 32 + 3 * 34);  // both on host 0
  in_order.plan.stages[1].first_host = 1;
  EXPECT_EQ(EvaluatePlan(in_order.problem, &in_order.plan), 36 + 32 + 3 * 36);
}

TEST(EvaluatePlan, IsInfiniteWhenMicrobatchesInFlightDoNotFit) {
  Case c(3);
  c.problem.memory = {20};  // 10 + 3 * 3 + 1 in the first stage
  EXPECT_EQ(EvaluatePlan(c.problem, &c.plan), 202);
  c.problem.memory = {19};
  EXPECT_EQ(EvaluatePlan(c.problem, &c.plan), std::numeric_limits<double>::infinity());
  c.problem.memory = {20};
  c.plan.schedule = Schedule::kGpipe;  // 10 + 4 * 3 + 1
  EXPECT_EQ(EvaluatePlan(c.problem, &c.plan), std::numeric_limits<double>::infinity());
}

TEST(EvaluatePlan, TakesTheLongestBranch) {
  Case c(4);
  // 0, then 1 and 2 - 3 side by side.
  c.problem.graph = {{{0, {}}, {-1, {Row(1, 1), Row(2, 2)}}}};
  LinkStages(c.problem, &c.plan);
  EXPECT_EQ(c.plan.stages[0].next, (std::vector<int>{1, 2}));
  EXPECT_TRUE(c.plan.stages[1].next.empty());
  // The fork sends twice: 36; 34 + 32 behind it.
  EXPECT_EQ(EvaluatePlan(c.problem, &c.plan), 36 + 34 + 32 + 3 * 36);
  EXPECT_EQ(c.plan.stages[0].in_flight, 3);
  EXPECT_EQ(c.plan.stages[1].in_flight, 1);
}

TEST(EvaluatePlan, AddsUpWhatIsOnOneSubmeshWhenInterleaved) {
  Case c(4);
  c.plan.schedule = Schedule::kInterleaved;
  c.plan.stages[2].chunk = c.plan.stages[3].chunk = 1;
  // Submesh 0 has 34 + 34, submesh 1 has 34 + 32: 4 * 68 + 1 * 34.
  EXPECT_EQ(EvaluatePlan(c.problem, &c.plan), 306);
  // 2 (2 - 0 - 1) + 1 * 2 + 1 = 5 on the first: 2 * 10 + 5 * 3 + 1 = 36 bytes.
  EXPECT_EQ(c.plan.stages[2].in_flight, 5);
  EXPECT_EQ(c.plan.stages[3].in_flight, 3);
  c.problem.memory = {35};
  EXPECT_EQ(EvaluatePlan(c.problem, &c.plan), std::numeric_limits<double>::infinity());
}

TEST(EvaluatePlan, OneStageIsTheSameByAnySchedule) {
  Case c(1);
  c.problem.memory = {14};  // one microbatch in flight
  for (const Schedule schedule : {Schedule::kGpipe, Schedule::k1F1B, Schedule::kInterleaved, Schedule::kZbH1}) {
    c.plan.schedule = schedule;
    EXPECT_EQ(EvaluatePlan(c.problem, &c.plan), 4 * 32) << Name(schedule);
  }
}

}  // namespace
}  // namespace alpa::inter
