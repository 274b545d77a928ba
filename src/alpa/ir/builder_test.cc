#include "alpa/ir/builder.h"

#include <gtest/gtest.h>

namespace alpa::ir {
namespace {

TEST(GraphBuilder, InfersShapes) {
  GraphBuilder g;
  const ValueId x = g.Parameter({DType::kF32, {16, 8}}, "batch['x']");
  const ValueId w = g.Parameter({DType::kF32, {8, 4}}, "params['w']");
  const ValueId y = g.MatMul(x, w);
  EXPECT_EQ(ToString(g.shape(y)), "f32[16,4]");
  EXPECT_EQ(ToString(g.shape(g.Reduce(y, {0}))), "f32[4]");
  EXPECT_EQ(ToString(g.shape(g.Transpose(y, {1, 0}))), "f32[4,16]");
  EXPECT_EQ(ToString(g.shape(g.Compare(y, y, "GT"))), "pred[16,4]");
  EXPECT_EQ(ToString(g.shape(g.Concatenate({y, y}, 1))), "f32[16,8]");
  EXPECT_EQ(ToString(g.shape(g.Pad(y, {0, 1}, {0, 2}))), "f32[16,7]");
  EXPECT_EQ(ToString(g.shape(g.Slice(y, {0, 1}, {16, 3}))), "f32[16,2]");
  // A pooling window of 2 with stride 2 over 8 columns.
  EXPECT_EQ(ToString(g.shape(g.ReduceWindow(x, {WindowDim{}, WindowDim{2, 2}}))), "f32[16,4]");
  // Batched: [2,3,5] x [2,5,7].
  const ValueId a = g.Constant({DType::kF32, {2, 3, 5}}, 1);
  const ValueId b = g.Constant({DType::kF32, {2, 5, 7}}, 1);
  EXPECT_EQ(ToString(g.shape(g.Dot(a, b, DotAttr{{0}, {0}, {2}, {1}}))), "f32[2,3,7]");
  const ValueId ids = g.Iota({DType::kS32, {6, 9}}, 1);
  const ValueId rows = g.TakeRows(w, ids);
  EXPECT_EQ(ToString(g.shape(rows)), "f32[6,9,4]");
  EXPECT_EQ(ToString(g.shape(g.AddRows(w, ids, rows))), "f32[8,4]");
}

TEST(GraphBuilder, BuildsAValidModuleWithLocations) {
  GraphBuilder g("two");
  const ValueId x = g.Parameter({DType::kF32, {2}}, "x");
  g.At({"jit(f)/mul", "f.py", 7, "f"});
  const Module module = g.Build({g.Multiply(x, x)}, {{0, 0}});
  EXPECT_TRUE(Verify(module).ok());
  EXPECT_EQ(module.input_names, std::vector<std::string>{"x"});
  EXPECT_EQ(Describe(module, module.producer(module.outputs[0])), "multiply 'multiply.1' at f.py:7 (f)");
  EXPECT_EQ(module.aliases.size(), 1U);
}

TEST(CombinerModule, IsOneBinaryOp) {
  GraphBuilder g;
  const ValueId x = g.Parameter({DType::kF32, {2}});
  const Module module = g.Build({g.Reduce(x, {0}, OpKind::kMaximum)});
  EXPECT_EQ(CombinerOf(module.producer(module.outputs[0])), OpKind::kMaximum);
}

}  // namespace
}  // namespace alpa::ir
