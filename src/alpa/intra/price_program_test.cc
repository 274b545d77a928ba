// One linear layer whose prices can be worked out by hand.
#include "alpa/intra/price_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "alpa/ir/builder.h"

namespace alpa::intra {
namespace {

constexpr int64_t kWidth = 1024;
constexpr double kFlops = 1e12;  // per device; memory and launches cost nothing
constexpr double kBandwidth = 1e9;

cluster::Cluster OneHost(int64_t devices) {
  cluster::Cluster c;
  c.name = "test";
  c.device_types["D"] = {.name = "D",
                         .memory = Bytes(int64_t{1} << 40),
                         .memory_bandwidth = 1e18,
                         .matrix_flops = {{"f32", kFlops}},
                         .vector_flops = 1e18};
  c.hosts.push_back({.name = "host",
                     .device_type = "D",
                     .devices = devices,
                     .intra = {Seconds(0), 1 / kBandwidth},
                     .network = {Seconds(0), 1 / kBandwidth}});
  return c;
}

// y = x w; dx = dy w'; dw = x' dy; w <- w - dw.
struct Linear {
  ir::Module large, small, far;
  ir::StepSignature signature;
  ProgramToPrice program;

  Linear(int64_t examples, int64_t small_examples, int64_t runs, ir::DType dtype = ir::DType::kF32) : type(dtype) {
    large = Make(examples);
    small = Make(small_examples);
    program.module = &large;
    program.small = &small;
    program.examples = examples;
    program.small_examples = small_examples;
    program.signature = &signature;
    signature.inputs = {
        {ir::InputRole::kBatch, -1, false}, {ir::InputRole::kBatch, -1, false}, {ir::InputRole::kParameter, 2, true}};
    signature.outputs = {
        {ir::OutputRole::kResult, -1}, {ir::OutputRole::kResult, -1}, {ir::OutputRole::kUpdatedState, 2}};
    program.inputs = {Border::kActivation, Border::kCotangent, Border::kNone};
    program.outputs = {Border::kActivation, Border::kCotangent, Border::kNone};
    for (const ir::Op& op : large.ops) {
      Pass pass = Pass::kForward;
      if (op.kind == ir::OpKind::kSubtract) pass = Pass::kUpdate;
      if (op.kind == ir::OpKind::kDot && op.results[0] == dx) pass = Pass::kBackward;
      if (op.kind == ir::OpKind::kDot && op.results[0] == dw) pass = Pass::kWeight;
      program.passes.push_back(pass);
      const bool dot = op.kind == ir::OpKind::kDot;
      const int64_t times = pass == Pass::kUpdate ? 1 : runs;
      program.work.push_back({dot ? FlopsOf(examples) : Flops(0), Flops(0), times, pass == Pass::kWeight});
      program.small_work.push_back({dot ? FlopsOf(small_examples) : Flops(0), Flops(0), times, pass == Pass::kWeight});
    }
    program.batch_dims.assign(large.values.size(), -1);
    for (size_t v = 0; v < large.values.size(); ++v) {
      if (large.values[v].shape.dims[0] == examples) program.batch_dims[v] = 0;
    }
  }

  static Flops FlopsOf(int64_t b) { return Flops(2.0 * static_cast<double>(b) * kWidth * kWidth); }

  void LookAt(int64_t far_examples) {
    far = Make(far_examples);
    program.far = &far;
    program.far_examples = far_examples;
    program.far_work = program.work;
    for (OpWork& work : program.far_work) {
      if (work.matrix.value > 0) work.matrix = FlopsOf(far_examples);
    }
  }

  ir::Module Make(int64_t b) {
    ir::GraphBuilder g("linear");
    const ir::ValueId x = g.Parameter({type, {b, kWidth}}, "x");
    const ir::ValueId dy = g.Parameter({type, {b, kWidth}}, "dy");
    const ir::ValueId w = g.Parameter({type, {kWidth, kWidth}}, "w");
    const ir::ValueId y = g.MatMul(x, w);
    dx = g.Dot(dy, w, {{}, {}, {1}, {1}});
    dw = g.Dot(x, dy, {{}, {}, {0}, {0}});
    return g.Build({y, dx, g.Subtract(w, dw)});
  }

  ir::DType type;
  ir::ValueId dx = -1, dw = -1;
};

// The fastest with these axes.
std::optional<ProgramPrice> Find(const std::vector<ProgramPrice>& prices, cost::AxisMask axes) {
  for (const ProgramPrice& price : prices) {
    if (price.batch_axes == axes) return price;
  }
  return std::nullopt;
}

constexpr double kMatrixBytes = kWidth * kWidth * 4;
constexpr double kExampleFlops = 2.0 * kWidth * kWidth;
constexpr double kExampleBytes = kWidth * 4;

TEST(PriceProgram, OneDeviceDoesAllTheWork) {
  const cost::Model model = cost::MakeModel(OneHost(1), cluster::MakeMesh({1})).value();
  const Linear linear(64, 16, 8);
  const std::vector<ProgramPrice> prices = PriceProgram(linear.program, model, {});
  ASSERT_EQ(prices.size(), 1u);
  const ProgramPrice& p = prices[0];
  EXPECT_NEAR(p.forward.at(10), 10 * kExampleFlops / kFlops, 1e-9);
  EXPECT_NEAR(p.backward.at(10), 20 * kExampleFlops / kFlops, 1e-9);
  EXPECT_NEAR(p.weight.at(10), 10 * kExampleFlops / kFlops, 1e-9);
  EXPECT_NEAR(p.per_step, 0, 1e-9);
  EXPECT_EQ(p.state, 2 * kMatrixBytes) << "the weights and their gradient";
  EXPECT_EQ(p.activation.at(1), kExampleBytes) << "x, which backward reads; y leaves at once";
  EXPECT_EQ(p.border.at(1), kExampleBytes);
  EXPECT_EQ(p.workspace.at(1), 2 * kExampleBytes) << "dy, and y or dx as they leave";
}

TEST(PriceProgram, HalfPrecisionIsSummedUpInF32) {
  const cost::Model model = cost::MakeModel(OneHost(1), cluster::MakeMesh({1})).value();
  const Linear linear(64, 16, 8, ir::DType::kBF16);
  const std::vector<ProgramPrice> prices = PriceProgram(linear.program, model, {});
  ASSERT_EQ(prices.size(), 1u);
  EXPECT_EQ(prices[0].state, 1.5 * kMatrixBytes) << "the weights in half, the sum of their gradients in full precision";
  EXPECT_EQ(prices[0].activation.at(1), kExampleBytes / 2);
}

TEST(PriceProgram, SplittingTheBatchCostsOneAllReducePerStep) {
  const cost::Model model = cost::MakeModel(OneHost(2), cluster::MakeMesh({2})).value();
  // So many examples that it does not pay to split anything else.
  const Linear linear(1 << 16, 1 << 15, 8);
  const std::optional<ProgramPrice> p = Find(PriceProgram(linear.program, model, {}), 1);
  ASSERT_TRUE(p);
  EXPECT_EQ(p->batch_parts, 2);
  EXPECT_NEAR(p->forward.at(1000), 500 * kExampleFlops / kFlops, 1e-6);
  EXPECT_NEAR(p->backward.at(1000), 1000 * kExampleFlops / kFlops, 1e-6);
  EXPECT_NEAR(p->per_step, kMatrixBytes / kBandwidth, 1e-6) << "reduce-scatter and all-gather of a half each way";
  EXPECT_EQ(p->activation.at(1000), 500 * kExampleBytes);
}

TEST(PriceProgram, ThereIsASolutionWithLessMemory) {
  const cost::Model model = cost::MakeModel(OneHost(4), cluster::MakeMesh({2, 2})).value();
  const Linear linear(1 << 16, 1 << 15, 8);
  const std::vector<ProgramPrice> prices = PriceProgram(linear.program, model, {});
  const std::optional<ProgramPrice> fast = Find(prices, 3);
  ASSERT_TRUE(fast);
  double least = fast->state;
  for (const ProgramPrice& p : prices) {
    if (p.batch_axes == 3) least = std::min(least, p.state);
  }
  EXPECT_LE(least, kMatrixBytes) << "gradients (and weights) in parts";
  EXPECT_LT(least, fast->state);
}

TEST(PriceProgram, PricesOfOneSplitFormAConvexHull) {
  const cost::Model model = cost::MakeModel(OneHost(4), cluster::MakeMesh({2, 2})).value();
  const Linear linear(1 << 16, 1 << 15, 8);
  const std::vector<ProgramPrice> prices = PriceProgram(linear.program, model, {});
  for (size_t i = 1; i < prices.size(); ++i) {
    if (prices[i].batch_axes != prices[i - 1].batch_axes) continue;
    EXPECT_GT(prices[i].step_seconds, prices[i - 1].step_seconds);
    EXPECT_LT(prices[i].bytes, prices[i - 1].bytes);
    if (i + 1 == prices.size() || prices[i + 1].batch_axes != prices[i].batch_axes) continue;
    const auto slope = [&](size_t a, size_t b) {
      return (prices[b].step_seconds - prices[a].step_seconds) / (prices[a].bytes - prices[b].bytes);
    };
    EXPECT_LE(slope(i - 1, i), slope(i, i + 1));
  }
}

TEST(PriceProgram, NothingInsideIsSplitFurtherThanTheSmallestMicrobatchAllows) {
  // With whole borders one example must do, so the product cannot be split along the batch.
  const cost::Model model = cost::MakeModel(OneHost(2), cluster::MakeMesh({2})).value();
  const Linear linear(64, 32, 8);
  const std::optional<ProgramPrice> p = Find(PriceProgram(linear.program, model, {}), 0);
  ASSERT_TRUE(p);
  EXPECT_EQ(p->batch_parts, 1);
  // Whatever is done instead (columns of w split, or everything twice) moves the weights at most once per step.
  EXPECT_LT(p->forward.at(64), 64 * kExampleFlops / kFlops + 1e-6 + 64 * kExampleBytes / kBandwidth);
}

TEST(PriceProgram, SaysWhatLinesThroughSmallSizesAreWorthAtALargeOne) {
  cluster::Cluster cluster = OneHost(1);
  cluster.device_types.at("D").memory_bandwidth = 1e10;  // reads the weights in the time of 200 examples
  const cost::Model model = cost::MakeModel(cluster, cluster::MakeMesh({1})).value();
  const auto error = [&](int64_t small, int64_t large, int64_t far) {
    Linear linear(large, small, 8);
    linear.LookAt(far);
    double most = 0;
    for (const ProgramPrice& price : PriceProgram(linear.program, model, {})) {
      most = std::max(most, price.far_error);
    }
    return most;
  };
  EXPECT_LT(error(1 << 15, 1 << 16, 1 << 18), 0.01);
  EXPECT_GT(error(1, 2, 1 << 14), 0.5) << "two examples take as long as one: the weights are read";
}

TEST(Affine, GoesThroughBothPointsUnlessThatTakesANegativeCoefficient) {
  EXPECT_EQ(AffineThrough(2, 5, 4, 9), (Affine{1, 2}));
  EXPECT_EQ(AffineThrough(2, 3, 4, 9), (Affine{0, 2.25})) << "above both points";
  EXPECT_EQ(AffineThrough(2, 9, 4, 5), (Affine{9, 0}));
  EXPECT_EQ(AffineThrough(4, 8, 4, 8), (Affine{0, 2}));
}

}  // namespace
}  // namespace alpa::intra
