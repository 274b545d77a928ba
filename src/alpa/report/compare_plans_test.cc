#include "alpa/report/compare_plans.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace alpa::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

plan::Plan OnMesh(std::vector<int64_t> shape, double seconds) {
  plan::Plan plan;
  plan.method = "intra";
  plan.mesh = cluster::MakeMesh(std::move(shape));
  plan.inputs = {sharding::SplitDim(2, 0, 0), sharding::Spec{}};
  plan.prediction = plan::Prediction{"c", Seconds(seconds), Seconds(1), Bytes(100), 0, 0, {}};
  plan.prediction->collectives = {{sharding::CollectiveKind::kAllReduce, {0}, 2, Bytes(64)}};
  return plan;
}

PlanOnPage Page(const plan::Plan& plan, const plan::Notes* notes = nullptr) {
  PlanOnPage page;
  page.name = "plan.json";
  page.mesh = &plan;
  page.notes = notes;
  return page;
}

// Two stages of a device each.
plan::PipelinePlan Pipeline() {
  plan::PipelinePlan plan;
  plan.schedule = "1f1b";
  plan.microbatches = 4;
  plan.layers = 2;
  for (int s = 0; s < 2; ++s) {
    plan::PipelineStage stage;
    stage.first_layer = stage.last_layer = s;
    stage.placement = {0, 1, s, 1, "A"};
    stage.layout = OnMesh({1}, 1);
    stage.prediction.forward = Seconds(1);
    stage.prediction.backward = Seconds(2);
    stage.prediction.peak = Bytes(1000);
    plan.stages.push_back(stage);
  }
  plan.edges = {{0, 1, Bytes(8), Bytes(4), Seconds(0), Seconds(0)}};
  plan.prediction.step = Seconds(20);
  return plan;
}

PlanOnPage Page(const plan::PipelinePlan& plan) {
  PlanOnPage page;
  page.pipeline = &plan;
  return page;
}

TEST(FiguresOf, AMesh) {
  const plan::Plan plan = OnMesh({2}, 3);
  const PlanFigures figures = FiguresOf(Page(plan));
  EXPECT_EQ(figures.step, Seconds(4));
  EXPECT_EQ(figures.collectives, 0.25);
  EXPECT_EQ(figures.memory, Bytes(100));
  EXPECT_EQ(figures.collected, Bytes(64));
  EXPECT_EQ(figures.devices, 2);
}

TEST(FiguresOf, APipelineThatWasNotSimulated) {
  const plan::PipelinePlan plan = Pipeline();
  const PlanFigures figures = FiguresOf(Page(plan));
  EXPECT_EQ(figures.step, Seconds(20));
  EXPECT_EQ(figures.bubble, std::nullopt);
  EXPECT_EQ(figures.between, Bytes(48)) << "12 bytes for each of 4 microbatches";
  EXPECT_EQ(figures.collected, Bytes(64)) << "of a device, not of all";
}

TEST(ComparePlans, NothingDiffersFromItself) {
  const plan::Plan plan = OnMesh({2}, 3);
  const PlanComparison same = ComparePlans(Page(plan), Page(plan), std::nullopt);
  EXPECT_THAT(same.differences, IsEmpty());
  EXPECT_THAT(ComparisonText(same), HasSubstr("The plans are the same."));
}

TEST(ComparePlans, CountsLayoutsAndNamesCollectivesArraysAndPlaces) {
  const plan::Plan a = OnMesh({2}, 3);
  plan::Plan b = OnMesh({2}, 5);
  b.inputs[0] = sharding::Spec{};
  b.prediction->collectives[0].count = 3;
  plan::Notes x, y;
  x.tensors = {{0, "w", "parameter", "f32", {4, 4}, "[x,]", Bytes(64), 1, {}}};
  y.tensors = {{0, "w", "parameter", "f32", {4, 4}, "[,]", Bytes(64), 1, {}}};
  x.ops = {{"dot", "m.py:1", "forward", 1, Seconds(3), Seconds(0), Bytes(1)}};
  y.ops = {{"dot", "m.py:1", "forward", 1, Seconds(5), Seconds(0), Bytes(1)}};
  const PlanComparison c = ComparePlans(Page(a, &x), Page(b, &y), std::nullopt);
  EXPECT_THAT(c.differences, ElementsAre(Difference{"layouts", "", "1 of 2 inputs, 0 of 0 ops lie otherwise", ""},
                                         Difference{"all-reduce", "2 of 64 B", "3 of 64 B", ""},
                                         Difference{"m.py:1, forward", "3.00 s", "5.00 s", "+2.00 s"},
                                         Difference{"w", "[x,] on 2", "[,] on 2", "+32 B per device"}));
}

TEST(ComparePlans, StagesOneByOneWhereTheCutsAreTheSame) {
  const plan::PipelinePlan a = Pipeline();
  plan::PipelinePlan b = a;
  b.schedule = "gpipe";
  b.stages[1].recompute = true;
  b.stages[1].prediction.backward = Seconds(3);
  b.stages[1].prediction.peak = Bytes(600);
  const PlanComparison c = ComparePlans(Page(a), Page(b), Seconds(22));
  EXPECT_THAT(c.differences, ElementsAre(Difference{"schedule", "1f1b", "gpipe", "+2.00 s a step, this alone"},
                                         Difference{"recomputation of stage 1", "no", "yes", ""},
                                         Difference{"microbatch of stage 1", "3.00 s", "4.00 s", "+1.00 s each"},
                                         Difference{"memory of stage 1", "1000 B", "600 B", "-400 B per device"}));
}

TEST(ComparePlans, OnlyCutsWhereTheyDiffer) {
  const plan::PipelinePlan a = Pipeline();
  plan::PipelinePlan b = a;
  b.stages.pop_back();
  b.stages[0].last_layer = 1;
  b.edges.clear();
  b.model_fingerprint = 7;
  const PlanComparison c = ComparePlans(Page(a), Page(b), std::nullopt);
  EXPECT_FALSE(c.same_model);
  EXPECT_THAT(c.differences, ElementsAre(Difference{"layers of stages", "0 | 1", "0-1", ""},
                                         Difference{"submeshes", "2 x 1x1", "1x1", ""}));
  EXPECT_THAT(ComparisonText(c), HasSubstr("different models"));
  const auto j = nlohmann::json::parse(ComparisonJson(c));
  EXPECT_EQ(j["b"]["devices"], 1);
  EXPECT_EQ(j["a"]["bubble"], nullptr);
}

}  // namespace
}  // namespace alpa::report
