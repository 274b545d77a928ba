// Phases, obstacles, and the whole analysis, on steps small enough to see through.
#include "alpa/frontend/microbatch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alpa/frontend/analyze_step.h"
#include "alpa/ir/builder.h"

namespace alpa::frontend {
namespace {

using ir::DType;
using ir::GraphBuilder;
using ir::Module;
using ir::OpKind;
using ir::Shape;
using ir::ValueId;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Shape kWeight{DType::kF32, {4, 3}};

StepAnalysis Analyze(const Module& module) {
  auto analysis = AnalyzeStep(module, {});
  EXPECT_TRUE(analysis.ok());
  return std::move(analysis).value();
}

OpPhase PhaseOf(const StepAnalysis& analysis, const Module& module, ValueId v) {
  return analysis.phases[static_cast<size_t>(module.value(v).producer)];
}

std::vector<std::string_view> Kinds(const StepAnalysis& analysis) {
  std::vector<std::string_view> out;
  for (const Obstacle& o : analysis.microbatching.obstacles) out.push_back(Name(o.kind));
  return out;
}

// (w, m, count, x, y) -> (w', m', count', loss), momentum with a schedule, all state donated.
struct Step {
  GraphBuilder g;
  ValueId w = g.Parameter(kWeight, "params['w']");
  ValueId m = g.Parameter(kWeight, "opt['m']");
  ValueId count = g.Parameter({DType::kS32, {}}, "opt['count']");
  ValueId x = g.Parameter({DType::kF32, {8, 4}}, "batch['x']");
  ValueId y = g.Parameter({DType::kF32, {8, 3}}, "batch['y']");
  ValueId error = -1, loss = -1, recomputed = -1, gradient = -1, next_count = -1, rate = -1, next_m = -1, next_w = -1;

  // `features` [8,4] take the place of x.
  void Finish(ValueId features) {
    g.At({"", "model.py", 10, "loss"});
    error = g.Subtract(g.MatMul(features, w), y);
    loss = g.Multiply(g.Reduce(g.Multiply(error, error), {0, 1}), g.Scalar(1.0 / 24));
    recomputed = g.Subtract(g.MatMul(features, w), y);
    gradient = g.Dot(features, recomputed, {{}, {}, {0}, {0}});
    next_count = g.Add(count, g.Scalar(1, DType::kS32));
    rate = g.Divide(g.Scalar(1), g.Convert(next_count, DType::kF32));
    next_m = g.Add(m, gradient);
    next_w = g.Subtract(w, g.Multiply(g.Broadcast(rate, {4, 3}, {}), next_m));
  }
  Module Build(std::vector<ValueId> more = {}) const {
    std::vector<ValueId> out = {next_w, next_m, next_count, loss};
    out.insert(out.end(), more.begin(), more.end());
    return g.Build(out, {{0, 0}, {1, 1}, {2, 2}});
  }
};

TEST(AssignPhases, ForwardBackwardUpdate) {
  Step s;
  s.Finish(s.x);
  const Module module = s.Build();
  const StepAnalysis analysis = Analyze(module);
  EXPECT_EQ(PhaseOf(analysis, module, s.error), OpPhase::kForward);
  EXPECT_EQ(PhaseOf(analysis, module, s.loss), OpPhase::kForward);
  EXPECT_EQ(PhaseOf(analysis, module, s.recomputed), OpPhase::kBackward);  // not what the loss depends on
  EXPECT_EQ(PhaseOf(analysis, module, s.gradient), OpPhase::kBackward);
  EXPECT_EQ(PhaseOf(analysis, module, s.next_count), OpPhase::kUpdate);
  EXPECT_EQ(PhaseOf(analysis, module, s.rate), OpPhase::kUpdate);
  EXPECT_EQ(PhaseOf(analysis, module, s.next_m), OpPhase::kUpdate);
  EXPECT_EQ(PhaseOf(analysis, module, s.next_w), OpPhase::kUpdate);
  // One matmul forward; recomputation and gradient backward.
  EXPECT_EQ(analysis.total(OpPhase::kForward).dot_conv, Flops(2.0 * 8 * 4 * 3));
  EXPECT_EQ(analysis.total(OpPhase::kBackward).dot_conv, Flops(2.0 * 2 * 8 * 4 * 3));
  EXPECT_EQ(analysis.total().dot_conv, Flops(3.0 * 2 * 8 * 4 * 3));
  EXPECT_EQ(analysis.total(OpPhase::kUpdate).dot_conv, Flops(0));
}

TEST(AssignPhases, MetricsAreForwardUnlessTheyNeedGradients) {
  Step s;
  s.Finish(s.x);
  const ValueId hits = s.g.Convert(s.g.Compare(s.error, s.y, "LT"), DType::kF32);
  const ValueId accuracy = s.g.Reduce(hits, {0, 1});
  const ValueId norm = s.g.Reduce(s.g.Multiply(s.gradient, s.gradient), {0, 1});
  const Module module = s.Build({accuracy, norm});
  const StepAnalysis analysis = Analyze(module);
  EXPECT_EQ(analysis.signature.loss, 3);
  EXPECT_EQ(PhaseOf(analysis, module, accuracy), OpPhase::kForward);
  EXPECT_EQ(PhaseOf(analysis, module, norm), OpPhase::kUpdate);
}

TEST(AssignPhases, WithoutALossNameStacksTell) {
  GraphBuilder g;
  const ValueId w = g.Parameter(kWeight, "params");
  const ValueId x = g.Parameter({DType::kF32, {8, 4}}, "x");
  g.At({"jit(step)/jvp()/dot_general", "", 0, ""});
  const ValueId h = g.MatMul(x, w);
  g.At({"jit(step)/transpose(jvp())/dot_general", "", 0, ""});
  const ValueId gradient = g.Dot(x, h, {{}, {}, {0}, {0}});
  g.At({"jit(step)/sub", "", 0, ""});
  const ValueId next = g.Subtract(w, gradient);
  const Module module = g.Build({next}, {{0, 0}});
  const StepAnalysis analysis = Analyze(module);
  EXPECT_EQ(analysis.signature.loss, -1);
  EXPECT_EQ(PhaseOf(analysis, module, h), OpPhase::kForward);
  EXPECT_EQ(PhaseOf(analysis, module, gradient), OpPhase::kBackward);
  EXPECT_EQ(PhaseOf(analysis, module, next), OpPhase::kUpdate);
}

TEST(FindObstacles, NothingStandsInTheWayOfAPlainStep) {
  Step s;
  s.Finish(s.x);
  const StepAnalysis analysis = Analyze(s.Build());
  EXPECT_THAT(Kinds(analysis), IsEmpty());
  EXPECT_EQ(analysis.microbatching.max_microbatches, 8);
  EXPECT_EQ(analysis.microbatching.accumulations, 2);  // loss and gradient
  EXPECT_EQ(analysis.microbatching.levels, 1);
  EXPECT_EQ(analysis.batch.batch_size, 8);
  EXPECT_THAT(analysis.batch_dims(), ElementsAre(-1, -1, -1, 0, 0));
}

TEST(FindObstacles, BatchStatisticsAreNotSeparable) {
  Step s;
  s.g.At({"jit(step)/jvp()/reduce_sum", "model.py", 7, "norm"});
  const ValueId h = s.g.MatMul(s.x, s.g.Dot(s.w, s.w, {{}, {}, {1}, {1}}));
  const ValueId mean = s.g.Reduce(h, {0});
  const ValueId centred = s.g.Subtract(h, s.g.Broadcast(mean, {8, 4}, {1}));
  s.Finish(centred);
  const Module module = s.Build();
  const StepAnalysis analysis = Analyze(module);
  ASSERT_THAT(Kinds(analysis), ElementsAre("not-separable"));
  const Obstacle& obstacle = analysis.microbatching.obstacles[0];
  EXPECT_TRUE(Blocks(obstacle.kind));
  EXPECT_EQ(obstacle.op, module.value(mean).producer);
  EXPECT_EQ(analysis.microbatching.levels, 2);
  EXPECT_THAT(obstacle.text,
              ::testing::MatchesRegex("reduce '.*' at model.py:7 .norm. gives a value of the whole batch, "
                                      "which subtract '.*' at .* needs for each example"));
  EXPECT_EQ(analysis.microbatching.max_microbatches, 1);
  EXPECT_EQ(PhaseOf(analysis, module, mean), OpPhase::kForward);
}

TEST(FindObstacles, SumsOfTheBatchAloneAreAPrologue) {
  Step s;
  const ValueId total = s.g.Reduce(s.x, {0, 1});
  s.Finish(s.g.Divide(s.x, s.g.Broadcast(total, {8, 4}, {})));
  const StepAnalysis analysis = Analyze(s.Build());
  EXPECT_THAT(Kinds(analysis), ElementsAre("prologue"));
  EXPECT_EQ(analysis.microbatching.max_microbatches, 8);
}

TEST(FindObstacles, RunningStatisticsAloneAreUpdate) {
  Step s;
  const ValueId mean = s.g.Reduce(s.x, {0, 1});
  s.Finish(s.x);
  const ValueId blended = s.g.Multiply(mean, s.g.Scalar(0.1));
  s.next_count = s.g.Add(s.next_count, s.g.Convert(blended, DType::kS32));
  const Module module = s.Build();
  const StepAnalysis analysis = Analyze(module);
  EXPECT_THAT(Kinds(analysis), IsEmpty());
  EXPECT_EQ(PhaseOf(analysis, module, blended), OpPhase::kUpdate);
  EXPECT_EQ(PhaseOf(analysis, module, mean), OpPhase::kBackward);  // runs for each microbatch, not for the loss
}

TEST(FindObstacles, InBatchNegativesMix) {
  Step s;
  const ValueId scores = s.g.Dot(s.x, s.x, {{}, {}, {1}, {1}});
  s.Finish(s.g.MatMul(scores, s.x));
  const StepAnalysis analysis = Analyze(s.Build());
  ASSERT_THAT(Kinds(analysis), ElementsAre("mixed"));
  EXPECT_THAT(analysis.microbatching.obstacles[0].text, HasSubstr("pairs examples with one another"));
}

TEST(FindObstacles, MaximumOverTheBatchDoesNotAddUp) {
  Step s;
  s.Finish(s.x);
  const StepAnalysis analysis = Analyze(s.Build({s.g.Reduce(s.error, {0, 1}, OpKind::kMaximum)}));
  ASSERT_THAT(Kinds(analysis), ElementsAre("folded"));
  EXPECT_THAT(analysis.microbatching.obstacles[0].text, HasSubstr("reduces the batch by maximum"));
  EXPECT_EQ(analysis.microbatching.max_microbatches, 1);
}

TEST(FindObstacles, ResultsPerExampleAreNoted) {
  Step s;
  s.Finish(s.x);
  const StepAnalysis analysis = Analyze(s.Build({s.error}));
  ASSERT_THAT(Kinds(analysis), ElementsAre("batched-result"));
  EXPECT_THAT(analysis.microbatching.obstacles[0].text, HasSubstr("output 4 f32[8,3] has the batch as dimension 0"));
  EXPECT_EQ(analysis.microbatching.max_microbatches, 8);
}

TEST(FindObstacles, GroupsLimitTheNumber) {
  Step s;
  const ValueId groups = s.g.Reshape(s.x, {2, 16});  // four examples each
  s.Finish(s.g.Reshape(groups, {8, 4}));
  const StepAnalysis analysis = Analyze(s.Build());
  ASSERT_THAT(Kinds(analysis), ElementsAre("regrouped"));
  EXPECT_THAT(analysis.microbatching.obstacles[0].text, HasSubstr("at most 2 microbatches"));
  EXPECT_EQ(analysis.microbatching.max_microbatches, 2);
}

TEST(FindObstacles, PositionsAndRandomBitsAreNoted) {
  Step s;
  const ValueId position = s.g.Iota({DType::kF32, {8, 4}}, 0);
  s.Finish(s.g.Add(s.x, position));
  EXPECT_THAT(Kinds(Analyze(s.Build())), ElementsAre("position"));
  Step t;
  const ValueId bits = t.g.Op1(OpKind::kRng, {t.g.Scalar(0), t.g.Scalar(1)}, {DType::kF32, {8, 4}});
  t.Finish(t.g.Multiply(t.x, bits));
  const StepAnalysis analysis = Analyze(t.Build());
  EXPECT_THAT(Kinds(analysis), ElementsAre("random"));
  EXPECT_EQ(analysis.microbatching.max_microbatches, 8);
}

TEST(FindObstacles, AlikeOnesAreCounted) {
  Step s;
  ValueId h = s.x;
  s.g.At({"", "model.py", 7, "flip"});
  const ValueId parts[] = {s.g.Slice(h, {0, 0}, {4, 4}), s.g.Slice(h, {4, 0}, {8, 4})};
  s.Finish(s.x);
  const ValueId difference = s.g.Reduce(s.g.Subtract(parts[0], parts[1]), {0, 1});
  const StepAnalysis analysis = Analyze(s.Build({difference}));
  ASSERT_THAT(Kinds(analysis), ElementsAre("mixed"));
  EXPECT_EQ(analysis.microbatching.obstacles[0].count, 2);
}

TEST(AnalyzeStep, ErrorsOfRolesAndBatchArePassedOn) {
  Step s;
  s.Finish(s.x);
  AnalyzeOptions options;
  options.batch_dim = 5;
  const auto bad_dim = AnalyzeStep(s.Build(), options);
  ASSERT_FALSE(bad_dim.ok());
  EXPECT_EQ(bad_dim.error().code, Code::kInvalidArgument);
  options = {};
  options.roles.batch_args = {99};
  EXPECT_FALSE(AnalyzeStep(s.Build(), options).ok());
}

}  // namespace
}  // namespace alpa::frontend
