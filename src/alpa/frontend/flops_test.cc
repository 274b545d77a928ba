#include "alpa/frontend/flops.h"

#include <gtest/gtest.h>

#include "alpa/frontend/loops.h"
#include "alpa/ir/builder.h"

namespace alpa::frontend {
namespace {

using ir::ConvolutionAttr;
using ir::DType;
using ir::GraphBuilder;
using ir::OpKind;
using ir::ValueId;
using ir::WindowDim;

FlopCount FlopsOfOutput(const ir::Module& module) { return FlopsOf(module, module.producer(module.outputs[0])); }

TEST(Flops, DotIsTwicePerMultiplyAdd) {
  GraphBuilder g;
  const ValueId a = g.Parameter({DType::kF32, {2, 3, 5}});
  const ValueId b = g.Parameter({DType::kF32, {2, 5, 7}});
  const FlopCount count = FlopsOfOutput(g.Build({g.Dot(a, b, {{0}, {0}, {2}, {1}})}));
  EXPECT_EQ(count.dot_conv, Flops(2.0 * 2 * 3 * 7 * 5));
  EXPECT_EQ(count.other, Flops(0));
}

// NHWC x HWIO, 3x3, [1,8,8,4] -> [1,8,8,6].
ConvolutionAttr Nhwc(std::vector<WindowDim> window) {
  ConvolutionAttr attr;
  attr.lhs_batch = attr.out_batch = 0;
  attr.lhs_feature = attr.out_feature = 3;
  attr.rhs_input_feature = 2;
  attr.rhs_output_feature = 3;
  attr.lhs_spatial = attr.out_spatial = {1, 2};
  attr.rhs_spatial = {0, 1};
  attr.window = std::move(window);
  return attr;
}

TEST(Flops, ConvolutionCountsKernelInputsPerOutput) {
  GraphBuilder g;
  const ValueId x = g.Parameter({DType::kF32, {1, 8, 8, 4}});
  const ValueId k = g.Parameter({DType::kF32, {3, 3, 4, 6}});
  const WindowDim same{3, 1, 1, 1};
  const ValueId y = g.Convolution(x, k, {1, 8, 8, 6}, Nhwc({same, same}));
  EXPECT_EQ(FlopsOfOutput(g.Build({y})).dot_conv, Flops(2.0 * 8 * 8 * 6 * 3 * 3 * 4));
}

TEST(Flops, BaseDilationDividesConvolution) {
  GraphBuilder g;
  const ValueId x = g.Parameter({DType::kF32, {1, 4, 4, 4}});
  const ValueId k = g.Parameter({DType::kF32, {3, 3, 4, 6}});
  const WindowDim dilated{3, 1, 1, 2, 1, 2};
  const ValueId y = g.Convolution(x, k, {1, 8, 8, 6}, Nhwc({dilated, dilated}));
  EXPECT_EQ(FlopsOfOutput(g.Build({y})).dot_conv, Flops(2.0 * 8 * 8 * 6 * 3 * 3 * 4 / 4));
}

TEST(Flops, ElementwiseCountsElementsAndTellsTranscendentals) {
  GraphBuilder g;
  const ValueId x = g.Parameter({DType::kF32, {4, 5}});
  const FlopCount exp = FlopsOfOutput(g.Build({g.Elementwise(OpKind::kExp, {x})}));
  EXPECT_EQ(exp, (FlopCount{Flops(0), Flops(20), Flops(20)}));
  EXPECT_EQ(FlopsOfOutput(g.Build({g.Add(x, x)})), (FlopCount{Flops(0), Flops(20), Flops(0)}));
  EXPECT_EQ(FlopsOfOutput(g.Build({g.Transpose(x, {1, 0})})), FlopCount{});
}

TEST(Flops, ReduceCountsInputs) {
  GraphBuilder g;
  const ValueId x = g.Parameter({DType::kF32, {4, 5}});
  EXPECT_EQ(FlopsOfOutput(g.Build({g.Reduce(x, {1})})).other, Flops(20));
}

TEST(Flops, ReduceWindowCountsItsWindowButACumulativeSumIsAScan) {
  GraphBuilder g;
  const ValueId x = g.Parameter({DType::kF32, {4, 100}});
  const ValueId pooled = g.ReduceWindow(x, {WindowDim{}, WindowDim{2, 2}});
  EXPECT_EQ(FlopsOfOutput(g.Build({pooled})).other, Flops(4.0 * 50 * 2));
  // cumsum: a window of 100 that ends at each element.
  const ValueId cumsum = g.ReduceWindow(x, {WindowDim{}, WindowDim{100, 1, 99, 0}});
  EXPECT_EQ(FlopsOfOutput(g.Build({cumsum})).other, Flops(2.0 * 4 * 100));
  const ValueId reversed = g.ReduceWindow(x, {WindowDim{}, WindowDim{100, 1, 0, 99}});
  EXPECT_EQ(FlopsOfOutput(g.Build({reversed})).other, Flops(2.0 * 4 * 100));
}

TEST(Flops, SortIsNLogN) {
  GraphBuilder g;
  const ValueId x = g.Parameter({DType::kF32, {3, 8}});
  const ValueId y = g.Op1(OpKind::kSort, {x}, {DType::kF32, {3, 8}}, ir::DimsAttr{{1}});
  EXPECT_EQ(FlopsOfOutput(g.Build({y})).other, Flops(3 * 8 * 3));
}

TEST(Flops, FftReadsItsLength) {
  GraphBuilder g;
  const ValueId x = g.Parameter({DType::kC64, {3, 4, 4}});
  const ValueId y = g.Op1(OpKind::kFft, {x}, {DType::kC64, {3, 4, 4}}, ir::TextAttr{"fft_type=FFT, fft_length={4,4}"});
  EXPECT_EQ(FlopsOfOutput(g.Build({y})).other, Flops(5.0 * 3 * 16 * 4));
}

// for (i = start; i < limit; i += step) x = x * x, with x of four elements.
ir::Module Loop(double start, double limit, double step, bool known) {
  const ir::Shape four{DType::kF32, {4}};
  GraphBuilder condition("condition");
  const ValueId i = condition.Parameter({DType::kS32, {}});
  condition.Parameter(four);
  const ValueId bound = condition.Scalar(limit, DType::kS32);
  ir::Module test = condition.Build({condition.Compare(i, bound, "LT")});
  GraphBuilder body("body");
  const ValueId j = body.Parameter({DType::kS32, {}});
  const ValueId x = body.Parameter(four);
  const ValueId next = body.Add(j, body.Scalar(step, DType::kS32));
  ir::Module turn = body.Build({next, body.Multiply(x, x)});
  GraphBuilder g;
  const ValueId begin = known ? g.Scalar(start, DType::kS32) : g.Parameter({DType::kS32, {}});
  const ValueId data = g.Parameter(four);
  const auto out =
      g.OpN(OpKind::kWhile, {begin, data}, {{DType::kS32, {}}, four}, {}, {std::move(test), std::move(turn)});
  return g.Build({out[1]});
}

TEST(Flops, LoopCountsItsTurns) {
  // Each turn: one addition, four multiplications, one comparison.
  const ir::Module counted = Loop(2, 9, 3, true);
  EXPECT_EQ(TripCount(counted, counted.producer(counted.outputs[0])), 3);
  EXPECT_EQ(FlopsOfOutput(counted).other, Flops(3 * 6));
  const ir::Module unknown = Loop(0, 9, 3, false);
  EXPECT_FALSE(TripCount(unknown, unknown.producer(unknown.outputs[0])).has_value());
  EXPECT_EQ(FlopsOfOutput(unknown).other, Flops(6));
}

TEST(Flops, ConditionalCountsItsDearestBranch) {
  const ir::Shape four{DType::kF32, {4}};
  auto branch = [&](int times) {
    GraphBuilder b("branch");
    ValueId x = b.Parameter(four);
    for (int i = 0; i < times; ++i) x = b.Add(x, x);
    return b.Build({x});
  };
  GraphBuilder g;
  const ValueId which = g.Parameter({DType::kPred, {}});
  const ValueId x = g.Parameter(four);
  const ValueId y = g.Op1(OpKind::kConditional, {which, x, x}, four, {}, {branch(3), branch(1)});
  EXPECT_EQ(FlopsOfOutput(g.Build({y})).other, Flops(12));
}

TEST(Loops, RegionsAreToldApartInEitherOrder) {
  ir::Module module = Loop(0, 3, 1, true);
  ir::Op& loop = module.ops[static_cast<size_t>(module.value(module.outputs[0]).producer)];
  EXPECT_EQ(RegionsOf(module, loop).body->name, "body");
  std::swap(loop.regions[0], loop.regions[1]);
  EXPECT_EQ(RegionsOf(module, loop).body->name, "body");
}

}  // namespace
}  // namespace alpa::frontend
