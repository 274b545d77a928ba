#include "alpa/sharding/strategy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "alpa/ir/builder.h"

namespace alpa::sharding {
namespace {

using cluster::MakeMesh;
using cluster::Mesh;
using ir::DType;
using ir::GraphBuilder;
using ir::Module;
using ir::Shape;
using ir::ValueId;
using ir::WindowDim;
using testing::ElementsAre;

Shape F32(std::vector<int64_t> dims) { return {DType::kF32, std::move(dims)}; }

std::vector<Strategy> StrategiesOf(const GraphBuilder& g, ValueId v, const Mesh& mesh, StrategyOptions options = {}) {
  const Module module = g.Build({v});
  const ir::Op& op = module.producer(v);
  return Strategies(RuleOf(module, op), module, op, mesh, options);
}

// "b over x: [,x] [x,] -> [,] sum over x", strategy by strategy.
std::vector<std::string> Texts(const GraphBuilder& g, ValueId v, const Mesh& mesh, StrategyOptions options = {}) {
  const Module module = g.Build({v});
  const ir::Op& op = module.producer(v);
  const Rule rule = RuleOf(module, op);
  std::vector<std::string> out;
  for (const Strategy& s : Strategies(rule, module, op, mesh, options)) {
    std::string text = Describe(s, rule, mesh) + ":";
    for (const Spec& spec : s.operands) text += " " + ToString(spec, mesh);
    text += " ->";
    for (const Layout& layout : s.results) text += " " + ToString(layout, mesh);
    for (const Collective& halo : s.halo) text += "; " + ToString(halo, mesh);
    out.push_back(text);
  }
  return out;
}

TEST(Strategies, OfDotAreAlpasTable) {
  GraphBuilder g;
  const ValueId y = g.MatMul(g.Parameter(F32({4, 8})), g.Parameter(F32({8, 12})));
  EXPECT_THAT(Texts(g, y, MakeMesh({2, 2})),
              ElementsAre("replicated: [,] [,] -> [,]",                          //
                          "a over y: [y,] [,] -> [y,]",                          //
                          "b over y: [,y] [y,] -> [,] sum over y",               //
                          "c over y: [,] [,y] -> [,y]",                          //
                          "a over x: [x,] [,] -> [x,]",                          //
                          "a over x, a over y: [xy,] [,] -> [xy,]",              // both axes on one dimension
                          "a over x, b over y: [x,y] [y,] -> [x,] sum over y",   //
                          "a over x, c over y: [x,] [,y] -> [x,y]",              //
                          "b over x: [,x] [x,] -> [,] sum over x",               //
                          "b over x, a over y: [y,x] [x,] -> [y,] sum over x",   //
                          "b over x, b over y: [,xy] [xy,] -> [,] sum over xy",  //
                          "b over x, c over y: [,x] [x,y] -> [,y] sum over x",   //
                          "c over x: [,] [,x] -> [,x]",                          //
                          "c over x, a over y: [y,] [,x] -> [y,x]",              //
                          "c over x, b over y: [,y] [y,x] -> [,x] sum over y",   //
                          "c over x, c over y: [,] [,xy] -> [,xy]"));
}

TEST(Strategies, LeaveOutWhatDoesNotDivide) {
  GraphBuilder g;
  const ValueId x = g.Parameter(F32({6, 1}));
  EXPECT_THAT(Texts(g, g.Add(x, x), MakeMesh({2, 4})),
              ElementsAre("replicated: [,] [,] -> [,]", "a over x: [x,] [x,] -> [x,]"));
}

TEST(Strategies, LeaveOutAxesOfOneDevice) {
  GraphBuilder g;
  const ValueId x = g.Parameter(F32({8}));
  EXPECT_THAT(Texts(g, g.Add(x, x), MakeMesh({1, 4})),
              ElementsAre("replicated: [-] [-] -> [-]", "a over y: [y] [y] -> [y]"));
  EXPECT_EQ(StrategiesOf(g, g.Add(x, x), MakeMesh({1, 1})).size(), 1U);
}

TEST(Strategies, CountTheDevicesThatShareTheWork) {
  GraphBuilder g;
  const ValueId x = g.Parameter(F32({24}));
  std::vector<int64_t> parallelism;
  for (const Strategy& s : StrategiesOf(g, g.Add(x, x), MakeMesh({2, 3}))) parallelism.push_back(s.parallelism);
  EXPECT_THAT(parallelism, ElementsAre(1, 3, 2, 6));
}

// A minor factor is split only when the major one is used up: otherwise no spec says it.
TEST(Strategies, OfReshapeSplitMinorFactorsOnlyBehindMajorOnes) {
  GraphBuilder g;
  EXPECT_THAT(Texts(g, g.Reshape(g.Parameter(F32({2, 6})), {12}), MakeMesh({2, 3})),
              ElementsAre("replicated: [,] -> [-]", "a over x: [x,] -> [x]", "a over x, b over y: [x,y] -> [xy]"));
  // y fills the major factor, x goes behind it.
  EXPECT_THAT(Texts(g, g.Reshape(g.Parameter(F32({3, 4})), {12}), MakeMesh({2, 3})),
              ElementsAre("replicated: [,] -> [-]", "a over y: [y,] -> [y]", "b over x, a over y: [y,x] -> [yx]"));
  EXPECT_THAT(Texts(g, g.Reshape(g.Parameter(F32({12, 4})), {8, 6}), MakeMesh({2, 2})),
              ElementsAre("replicated: [,] -> [,]", "a over y: [y,] -> [y,]", "a over x: [x,] -> [x,]",
                          "a over x, a over y: [xy,] -> [xy,]"));
}

TEST(Strategies, LeaveOutPartialResultsThatNothingJoins) {
  GraphBuilder g;
  const ValueId x = g.Parameter(F32({4, 6}));
  EXPECT_THAT(Texts(g, g.Reduce(x, {1}, ir::OpKind::kAdd, 5), MakeMesh({2})),
              ElementsAre("replicated: [,] [] -> [-]", "a over x: [x,] [] -> [x]"));
}

TEST(Strategies, OfWindowsSayWhatNeighboursExchange) {
  GraphBuilder g;
  const ValueId x = g.Parameter(F32({2, 8, 10}));
  const WindowDim one;
  const WindowDim same{.size = 5, .pad_low = 3, .pad_high = 1};
  const ValueId y = g.ReduceWindow(x, {one, same, one});
  // Two rows of 2 x 10 floats from above... three below: the pieces are 4 rows.
  EXPECT_THAT(
      Texts(g, y, MakeMesh({2})),
      ElementsAre("replicated: [,,] [] -> [,,]", "a over x: [x,,] [] -> [x,,]",
                  "b over x: [,x,] [] -> [,x,]; collective-permute over x, 240 B; collective-permute over x, 80 B",
                  "c over x: [,,x] [] -> [,,x]"));
  // Pieces of 2 rows are shorter than the halo of 3.
  EXPECT_THAT(Texts(g, y, MakeMesh({4})), ElementsAre("replicated: [,,] [] -> [,,]"));
  EXPECT_EQ(Texts(g, y, MakeMesh({2}), {.windows = false}).size(), 3U);
}

// Output features and rows of a 3x3 convolution: one or the other.
TEST(Strategies, LeaveOutPairsThatStayApart) {
  GraphBuilder g;
  const WindowDim one;
  const WindowDim same{.size = 3, .pad_low = 1, .pad_high = 1};
  ir::ConvolutionAttr a;
  a.lhs_batch = 0, a.lhs_spatial = {1, 2}, a.lhs_feature = 3;
  a.rhs_spatial = {0, 1}, a.rhs_input_feature = 2, a.rhs_output_feature = 3;
  a.out_batch = 0, a.out_spatial = {1, 2}, a.out_feature = 3;
  a.window = {same, one};
  const ValueId y = g.Convolution(g.Parameter(F32({1, 8, 1, 1})), g.Parameter(F32({3, 1, 1, 4})), {1, 8, 1, 4}, a);
  EXPECT_THAT(
      Texts(g, y, MakeMesh({2})),
      ElementsAre("replicated: [,,,] [,,,] -> [,,,]", "c over x: [,,,] [,,,x] -> [,,,x]",
                  "d over x: [,x,,] [,,,] -> [,x,,]; collective-permute over x, 4 B; collective-permute over x, 4 B"));
  for (const Strategy& s : StrategiesOf(g, y, MakeMesh({2, 2}))) {
    EXPECT_TRUE(s.factor_of_axis[0] == s.factor_of_axis[1] || s.factor_of_axis[0] < 0 || s.factor_of_axis[1] < 0);
  }
}

// The gradient of a kernel: XLA sums up what all devices see of the image.
TEST(Strategies, SplitWhatTakesTheWholeMeshOnlyThere) {
  GraphBuilder g;
  ir::ConvolutionAttr a;
  a.lhs_batch = 3, a.lhs_feature = 0, a.lhs_spatial = {1, 2};
  a.rhs_input_feature = 0, a.rhs_output_feature = 3, a.rhs_spatial = {1, 2};
  a.out_batch = 2, a.out_feature = 3, a.out_spatial = {0, 1};
  const WindowDim image{.size = 8, .pad_low = 1, .pad_high = 1};
  a.window = {image, image};
  const ValueId kernel = g.Convolution(g.Parameter(F32({2, 8, 8, 4})), g.Parameter(F32({2, 8, 8, 6})), {3, 3, 4, 6}, a);
  const auto spatial = [&](const Mesh& mesh) {
    int count = 0;
    for (const Strategy& s : StrategiesOf(g, kernel, mesh)) {
      if (s.operands[0].dims[1].empty() && s.operands[0].dims[2].empty()) continue;
      ++count;
      EXPECT_EQ(s.parallelism, mesh.size());
    }
    return count;
  };
  EXPECT_EQ(spatial(MakeMesh({2})), 2);
  EXPECT_GT(spatial(MakeMesh({2, 2})), 2);
}

TEST(Specs, AreAllThatFit) {
  auto texts = [](const Shape& shape, const Mesh& mesh) {
    std::vector<std::string> out;
    for (const Spec& spec : Specs(shape, mesh)) out.push_back(ToString(spec, mesh));
    return out;
  };
  EXPECT_THAT(texts(F32({4, 6}), MakeMesh({2, 2})),
              ElementsAre("[,]", "[y,]", "[,y]", "[x,]", "[xy,]", "[x,y]", "[,x]", "[y,x]"));
  EXPECT_THAT(texts(F32({}), MakeMesh({2, 2})), ElementsAre("[]"));
  EXPECT_THAT(texts(F32({3}), MakeMesh({1, 2})), ElementsAre("[-]"));
}

// A transformer layer, again and again: what a planner asks of a model of 35,000 ops.
TEST(Strategies, OfALargeModelTakeLessThanASecond) {
  GraphBuilder g;
  const Shape act = F32({64, 1024, 8192});
  ValueId x = g.Parameter(act);
  const ValueId w = g.Parameter(F32({8192, 8192}));
  ValueId dot = x;
  for (int i = 0; i < 5000; ++i) {
    dot = g.MatMul(x, w);
    x = g.Add(x, g.Elementwise(ir::OpKind::kTanh, {g.Multiply(dot, x)}));
    x = g.Add(x, g.Broadcast(g.Reduce(x, {2}), act.dims, {0, 1}));
  }
  const Module module = g.Build({x});
  const Mesh mesh = MakeMesh({8, 8});
  const auto start = std::chrono::steady_clock::now();
  size_t count = 0;
  for (const ir::Op& op : module.ops) count += Strategies(RuleOf(module, op), module, op, mesh).size();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  RecordProperty("ops", static_cast<int>(module.ops.size()));
  RecordProperty("seconds", std::to_string(took.count()));
  EXPECT_GT(count, 400'000U);
  EXPECT_LT(took.count(), 5) << "a fifth of this on an idle machine";
}

}  // namespace
}  // namespace alpa::sharding
