#include "alpa/runtime/index_bound.h"

#include <gtest/gtest.h>

#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

using ir::OpKind;

TEST(IndexBound, IsTheIndexedExtentOfAGather) {
  StepBuilder b;
  const auto table = b.Parameter("wte", F32Shape({50, 8}));
  const auto ids = b.Batch("ids", S32Shape({4}));
  const auto column = b.Op(OpKind::kReshape, {ids}, S32Shape({4, 1}));
  ir::GatherAttr rows;
  rows.offset_dims = {1};
  rows.collapsed_slice_dims = {0};
  rows.start_index_map = {0};
  rows.slice_sizes = {1, 8};
  rows.index_vector_dim = 1;
  b.Op(OpKind::kGather, {table, column}, F32Shape({4, 8}), rows);
  EXPECT_EQ(IndexBound(b.module, 1), 50);
}

TEST(IndexBound, LooksThroughTheWrappingOfNegativeIndices) {
  StepBuilder b;
  const auto table = b.Parameter("wte", F32Shape({50}));
  const auto ids = b.Batch("ids", S32Shape({4}));
  const auto zero = b.Op(OpKind::kConstant, {}, S32Shape({4}), ir::ConstantAttr{0, true, 0});
  const auto negative = b.Op(OpKind::kCompare, {ids, zero}, {ir::DType::kPred, {4}}, ir::TextAttr{"LT"});
  const auto wrapped = b.Op(OpKind::kAdd, {ids, zero}, S32Shape({4}));
  const auto index = b.Op(OpKind::kSelect, {negative, wrapped, ids}, S32Shape({4}));
  ir::GatherAttr rows;
  rows.collapsed_slice_dims = {0};
  rows.start_index_map = {0};
  rows.slice_sizes = {1};
  rows.index_vector_dim = 1;
  b.Op(OpKind::kGather, {table, b.Op(OpKind::kReshape, {index}, S32Shape({4, 1}))}, F32Shape({4}), rows);
  EXPECT_EQ(IndexBound(b.module, 1), 50);
}

// take_along_axis in older JAX: index vectors (row, label) into [4, 30].
TEST(IndexBound, KnowsWhichPartOfAnIndexVectorItIs) {
  StepBuilder b;
  const auto logits = b.Parameter("logits", F32Shape({4, 30}));
  const auto labels = b.Batch("labels", S32Shape({4, 1}));
  const auto row = b.Op(OpKind::kIota, {}, S32Shape({4, 1}), ir::DimsAttr{{0}});
  const auto vectors = b.Op(OpKind::kConcatenate, {row, labels}, S32Shape({4, 2}), ir::DimsAttr{{1}});
  ir::GatherAttr elements;
  elements.collapsed_slice_dims = {0, 1};
  elements.start_index_map = {0, 1};
  elements.slice_sizes = {1, 1};
  elements.index_vector_dim = 1;
  b.Op(OpKind::kGather, {logits, vectors}, F32Shape({4}), elements);
  EXPECT_EQ(IndexBound(b.module, 1), 30);
}

TEST(IndexBound, IsTheExtentOfAnIotaItIsComparedWith) {
  StepBuilder b;
  const auto labels = b.Batch("labels", S32Shape({4}));
  const auto wide = b.Op(OpKind::kBroadcast, {labels}, S32Shape({4, 10}), ir::DimsAttr{{0}});
  const auto iota = b.Op(OpKind::kIota, {}, S32Shape({10}), ir::DimsAttr{{0}});
  const auto classes = b.Op(OpKind::kBroadcast, {iota}, S32Shape({4, 10}), ir::DimsAttr{{1}});
  b.Op(OpKind::kCompare, {wide, classes}, {ir::DType::kPred, {4, 10}}, ir::TextAttr{"EQ"});
  EXPECT_EQ(IndexBound(b.module, 0), 10);
}

TEST(IndexBound, IsTheSmallestOfSeveral) {
  StepBuilder b;
  const auto labels = b.Batch("labels", S32Shape({10}));
  for (const int64_t classes : {10, 7, 12}) {
    const auto iota = b.Op(OpKind::kIota, {}, S32Shape({classes}), ir::DimsAttr{{0}});
    b.Op(OpKind::kCompare, {iota, labels}, {ir::DType::kPred, {10}}, ir::TextAttr{"EQ"});
  }
  EXPECT_EQ(IndexBound(b.module, 0), 7);
}

TEST(IndexBound, CountsStartsOfDynamicSlicesAndScatters) {
  StepBuilder b;
  const auto data = b.Parameter("x", F32Shape({20, 3}));
  const auto start = b.Batch("start", S32Shape({}));
  const auto at = b.Batch("at", S32Shape({1, 1}));
  const auto zero = b.Op(OpKind::kConstant, {}, S32Shape({}), ir::ConstantAttr{0, true, 0});
  b.Op(OpKind::kDynamicSlice, {data, start, zero}, F32Shape({5, 3}), ir::DynamicSliceAttr{{5, 3}});
  ir::ScatterAttr rows;
  rows.update_window_dims = {1};
  rows.inserted_window_dims = {0};
  rows.scatter_dims_to_operand_dims = {0};
  rows.index_vector_dim = 1;
  const auto update = b.Op(OpKind::kConstant, {}, F32Shape({1, 3}), ir::ConstantAttr{0, true, 0});
  b.Op(OpKind::kScatter, {data, at, update}, F32Shape({20, 3}), rows);
  EXPECT_EQ(IndexBound(b.module, 1), 16);
  EXPECT_EQ(IndexBound(b.module, 2), 20);
}

TEST(IndexBound, IsNothingWithoutSuchUses) {
  StepBuilder b;
  const auto pixels = b.Batch("pixels", S32Shape({4}));
  b.Op(OpKind::kConvert, {pixels}, F32Shape({4}));
  const auto iota = b.Op(OpKind::kIota, {}, S32Shape({4}), ir::DimsAttr{{0}});
  b.Op(OpKind::kCompare, {pixels, iota}, {ir::DType::kPred, {4}}, ir::TextAttr{"LT"});
  EXPECT_EQ(IndexBound(b.module, 0), std::nullopt);
}

}  // namespace
}  // namespace alpa::runtime
