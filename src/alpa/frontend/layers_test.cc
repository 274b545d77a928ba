#include "alpa/frontend/layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alpa/frontend/layer_order.h"
#include "alpa/frontend/step_test_support.h"

namespace alpa::frontend {
namespace {

using ir::DType;
using ir::OpKind;
using ir::ValueId;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Layering LayersOf(const TestStep& step, const LayerOptions& options = {}) {
  auto layering = FindLayers(step.module, step.analysis, options);
  EXPECT_TRUE(layering.ok()) << (layering.ok() ? "" : ToString(layering.error()));
  EXPECT_TRUE(Verify(*layering, step.module, step.analysis).ok());
  return *layering;
}

// Layers of the ops of one kind and phase, in the order of the step.
std::vector<int> LayersOfKind(const TestStep& step, const Layering& layering, OpKind kind, OpPhase phase) {
  std::vector<int> out;
  for (size_t i = 0; i < step.module.ops.size(); ++i) {
    if (step.module.ops[i].kind == kind && step.analysis.phases[i] == phase) out.push_back(layering.layer_of_op[i]);
  }
  return out;
}

int LayerOfInput(const TestStep& step, const Layering& layering, const std::string& name) {
  const ValueId v = step.module.inputs[static_cast<size_t>(InputNamed(step.module, name))];
  return layering.layer_of_op[static_cast<size_t>(step.module.value(v).producer)];
}

TEST(Layers, OfAnMlpAreItsProducts) {
  const TestStep step = MlpStep({.layers = 3});
  const Layering layering = LayersOf(step);
  ASSERT_EQ(layering.count, 3);
  EXPECT_THAT(LayersOfKind(step, layering, OpKind::kDot, OpPhase::kForward), ElementsAre(0, 1, 2));
  EXPECT_THAT(LayersOfKind(step, layering, OpKind::kMaximum, OpPhase::kForward), ElementsAre(0, 1, 2));
  EXPECT_THAT(LayersOfKind(step, layering, OpKind::kReduce, OpPhase::kForward), ElementsAre(2)) << "the loss";
  // Gradients of weight 2, activation 1, weight 1, activation 0, weight 0.
  EXPECT_THAT(LayersOfKind(step, layering, OpKind::kDot, OpPhase::kBackward), ElementsAre(2, 2, 1, 1, 0));
  for (int k = 0; k < 3; ++k) {
    EXPECT_EQ(LayerOfInput(step, layering, "params[" + std::to_string(k) + "]"), k);
    EXPECT_EQ(LayerOfInput(step, layering, "moments[" + std::to_string(k) + "]"), k);
    EXPECT_EQ(layering.layers[static_cast<size_t>(k)].parameters, Bytes(64));
  }
  EXPECT_THAT(LayersOfKind(step, layering, OpKind::kSubtract, OpPhase::kUpdate), ElementsAre(0, 1, 2));
  EXPECT_EQ(LayerOfInput(step, layering, "batch['x']"), 0);
  EXPECT_THAT(layering.layers[0].from, IsEmpty());
  EXPECT_THAT(layering.layers[2].from, ElementsAre(1));
  EXPECT_EQ(layering.layers[1].forward, Flops(256 + 32)) << "a product and a maximum";
}

TEST(Layers, ConstantsBelongToNone) {
  const TestStep step = MlpStep({.layers = 2});
  const Layering layering = LayersOf(step);
  for (size_t i = 0; i < step.module.ops.size(); ++i) {
    const OpKind kind = step.module.ops[i].kind;
    if (kind == OpKind::kConstant || kind == OpKind::kBroadcast) EXPECT_EQ(layering.layer_of_op[i], -1);
  }
}

TEST(Layers, WeightGradientsAreWhatNoCotangentFollowsFrom) {
  const TestStep step = MlpStep({.layers = 3});
  const Layering layering = LayersOf(step);
  std::vector<int> dots;
  for (size_t i = 0; i < step.module.ops.size(); ++i) {
    if (step.analysis.phases[i] != OpPhase::kBackward) {
      EXPECT_EQ(layering.weight_gradient[i], 0);
    } else if (step.module.ops[i].kind == OpKind::kDot) {
      dots.push_back(layering.weight_gradient[i]);
    } else if (step.module.ops[i].kind == OpKind::kSelect) {
      EXPECT_EQ(layering.weight_gradient[i], layering.layer_of_op[i] == 0) << "from layer 0 no cotangent leaves";
    }
  }
  EXPECT_THAT(dots, ElementsAre(1, 0, 1, 0, 1));
}

TEST(Layers, AsManyAsAskedFor) {
  const TestStep step = MlpStep({.layers = 8});
  for (int count = 1; count <= 8; ++count) {
    const Layering layering = LayersOf(step, {.count = count});
    ASSERT_EQ(layering.count, count);
    double largest = 0;
    for (const LayerContent& layer : layering.layers) largest = std::max(largest, layer.forward.value);
    // A product and its maximum have 288 FLOPs, the loss 64.
    EXPECT_LE(largest, (8 + count - 1) / count * 288 + 64) << count;
  }
  EXPECT_EQ(LayersOf(step, {.max_count = 3}).count, 3);
}

TEST(Layers, NoMoreThanThereAreParts) {
  const TestStep step = MlpStep({.layers = 3});
  const auto layering = FindLayers(step.module, step.analysis, {.count = 4});
  ASSERT_FALSE(layering.ok());
  EXPECT_EQ(layering.error().code, Code::kInvalidArgument);
  EXPECT_THAT(layering.error().message, HasSubstr("4 layers wanted"));
  EXPECT_THAT(layering.error().message, HasSubstr("3 parts"));
  EXPECT_THAT(layering.error().hint, HasSubstr("at most 3"));
  EXPECT_FALSE(FindLayers(step.module, step.analysis, {.count = -1}).ok());
}

TEST(Layers, OneWhereThereIsNoWork) {
  ir::GraphBuilder g;
  const ValueId x = g.Parameter({DType::kF32, {8, 4}}, "batch['x']");
  const TestStep step = AnalyzedStep(g.Build({g.Transpose(x, {1, 0})}));
  EXPECT_EQ(LayersOf(step).count, 1);
}

TEST(Layers, TheGlobalNormIsPutTogetherInTheLastLayer) {
  const TestStep step = MlpStep({.layers = 3, .clip = true});
  const Layering layering = LayersOf(step);
  EXPECT_THAT(LayersOfKind(step, layering, OpKind::kReduce, OpPhase::kUpdate), ElementsAre(0, 1, 2))
      << "each layer sums up its own squares";
  EXPECT_THAT(LayersOfKind(step, layering, OpKind::kSqrt, OpPhase::kUpdate), ElementsAre(2));
  EXPECT_THAT(LayersOfKind(step, layering, OpKind::kDivide, OpPhase::kUpdate), ElementsAre(0, 1, 2));
}

TEST(Layers, WhatAllUpdatesShareIsInTheLastAndItsSpreadingInEach) {
  const TestStep step = MlpStep({.layers = 3, .count = true});
  const Layering layering = LayersOf(step);
  EXPECT_EQ(LayerOfInput(step, layering, "count"), 2);
  EXPECT_THAT(LayersOfKind(step, layering, OpKind::kDivide, OpPhase::kUpdate), ElementsAre(2)) << "the learning rate";
  for (size_t i = 0; i < step.module.ops.size(); ++i) {
    if (step.module.ops[i].kind == OpKind::kBroadcast) EXPECT_EQ(layering.layer_of_op[i], -1);
  }
}

// logits = (x w) (w^T): the parameter is read by both layers. Its gradient is the sum of two.
TEST(Layers, AParameterOfSeveralLayersLivesInTheFirst) {
  ir::GraphBuilder g;
  const ValueId w = g.Parameter({DType::kF32, {4, 4}}, "params['w']");
  const ValueId x = g.Parameter({DType::kF32, {8, 4}}, "batch['x']");
  const ValueId h = g.MatMul(x, w);
  const ValueId y = g.Dot(h, w, {{}, {}, {1}, {1}});
  const ValueId loss = g.Reduce(g.Multiply(y, y), {0, 1});
  const ValueId dy = g.Multiply(y, g.Fill({DType::kF32, {8, 4}}, 2));
  const ValueId dw1 = g.Dot(dy, h, {{}, {}, {0}, {0}});
  const ValueId dw0 = g.Dot(x, g.MatMul(dy, w), {{}, {}, {0}, {0}});
  const ValueId next = g.Subtract(w, g.Add(dw0, dw1));
  const TestStep step = AnalyzedStep(g.Build({next, loss}, {{0, 0}}));
  const Layering layering = LayersOf(step);
  ASSERT_EQ(layering.count, 2);
  EXPECT_EQ(LayerOfInput(step, layering, "params['w']"), 0);
  EXPECT_THAT(LayersOfKind(step, layering, OpKind::kDot, OpPhase::kBackward), ElementsAre(1, 1, 0));
  EXPECT_THAT(LayersOfKind(step, layering, OpKind::kAdd, OpPhase::kUpdate), ElementsAre(0));
  EXPECT_EQ(layering.layers[1].parameters, Bytes(0));
}

// The backward pass of layer 1 computes its activation again, as jax.checkpoint does: behind a barrier.
TEST(Layers, RecomputedOpsBelongWhereTheyAreRecomputed) {
  ir::GraphBuilder g;
  const ir::Shape rows{DType::kF32, {8, 4}};
  const ValueId w0 = g.Parameter({DType::kF32, {4, 4}}, "params[0]");
  const ValueId w1 = g.Parameter({DType::kF32, {4, 4}}, "params[1]");
  const ValueId x = g.Parameter(rows, "batch['x']");
  const ValueId h = g.MatMul(x, w0);
  const ValueId y = g.Elementwise(OpKind::kTanh, {g.MatMul(h, w1)});
  const ValueId loss = g.Reduce(g.Multiply(y, y), {0, 1});
  const auto again = g.OpN(OpKind::kOptimizationBarrier, {h, w1}, {rows, {DType::kF32, {4, 4}}});
  const ValueId y_again = g.Elementwise(OpKind::kTanh, {g.MatMul(again[0], again[1])});
  const ValueId dz = g.Multiply(y, g.Subtract(g.Fill(rows, 1), g.Multiply(y_again, y_again)));
  const ValueId dw1 = g.Dot(h, dz, {{}, {}, {0}, {0}});
  const ValueId dw0 = g.Dot(x, g.Dot(dz, w1, {{}, {}, {1}, {1}}), {{}, {}, {0}, {0}});
  const TestStep step = AnalyzedStep(g.Build({g.Subtract(w0, dw0), g.Subtract(w1, dw1), loss}, {{0, 0}, {1, 1}}));
  const Layering layering = LayersOf(step);
  ASSERT_EQ(layering.count, 2);
  EXPECT_THAT(LayersOfKind(step, layering, OpKind::kOptimizationBarrier, OpPhase::kBackward), ElementsAre(1));
  EXPECT_THAT(LayersOfKind(step, layering, OpKind::kTanh, OpPhase::kBackward), ElementsAre(1));
  EXPECT_THAT(LayersOfKind(step, layering, OpKind::kDot, OpPhase::kBackward), ElementsAre(1, 1, 1, 0));
}

TEST(Layers, TowersAreBranchesAndTheirSumIsBehindThem) {
  ir::GraphBuilder g;
  std::vector<ValueId> ends;
  for (int tower = 0; tower < 2; ++tower) {
    ValueId x = g.Parameter({DType::kF32, {8, 4}}, "batch['x']");
    for (int k = 0; k < 2; ++k) x = g.MatMul(x, g.Parameter({DType::kF32, {4, 4}}, "w"));
    ends.push_back(x);
  }
  const TestStep step = AnalyzedStep(g.Build({g.Reduce(g.Multiply(ends[0], ends[1]), {0, 1})}));
  const Layering layering = LayersOf(step);
  ASSERT_EQ(layering.count, 5);
  const LayerChain first{{{0, {}}, {1, {}}}};
  const LayerChain second{{{2, {}}, {3, {}}}};
  EXPECT_EQ(layering.graph, (LayerChain{{{-1, {first, second}}, {4, {}}}}));
  EXPECT_THAT(layering.layers[4].from, ElementsAre(1, 3));
  const Layering chain = LayersOf(step, {.branches = false});
  EXPECT_EQ(chain.graph, (LayerChain{{{0, {}}, {1, {}}, {2, {}}}}))
      << "within the second tower the end of the first flows too";
  EXPECT_EQ(LayersOf(step, {.count = 2}).graph, (LayerChain{{{0, {}}, {1, {}}}})) << "too few layers for branches";
}

TEST(LayerOrder, FollowsTheGraph) {
  const LayerChain first{{{1, {}}, {2, {}}}};
  const LayerChain second{{{3, {}}}};
  const LayerOrder order(LayerChain{{{0, {}}, {-1, {first, second}}, {4, {}}}}, 5);
  EXPECT_TRUE(order.Precedes(0, 3));
  EXPECT_TRUE(order.Precedes(1, 2));
  EXPECT_TRUE(order.Precedes(2, 4));
  EXPECT_TRUE(order.Precedes(3, 3));
  EXPECT_FALSE(order.Precedes(2, 3));
  EXPECT_FALSE(order.Precedes(3, 1));
  EXPECT_EQ(order.Meet(2, 3), 0);
  EXPECT_EQ(order.Meet(2, 4), 2);
  EXPECT_EQ(LayerOrder(LayerChain{{{-1, {LayerChain{{{0, {}}}}, LayerChain{{{1, {}}}}}}, {2, {}}}}, 3).Meet(0, 1), -1);
}

TEST(Layering, IsBrokenWhenValuesFlowBackwards) {
  const TestStep step = MlpStep({.layers = 2});
  Layering layering = LayersOf(step);
  for (int& layer : layering.layer_of_op) layer = layer < 0 ? layer : 1 - layer;
  const Status status = Verify(layering, step.module, step.analysis);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("forward value flows from layer 1 to 0"));
}

}  // namespace
}  // namespace alpa::frontend
