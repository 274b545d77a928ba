// Each family of ops: where the batch goes. `x` is the batch input f32[8,4] (8 examples), `w` is state.
#include "alpa/frontend/batch_dims.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alpa/ir/builder.h"

namespace alpa::frontend {
namespace {

using ir::DType;
using ir::GraphBuilder;
using ir::InputRole;
using ir::OpKind;
using ir::Shape;
using ir::ValueId;
using ir::WindowDim;
using ::testing::ElementsAre;

Shape F32(std::vector<int64_t> dims) { return {DType::kF32, std::move(dims)}; }

class BatchRules : public ::testing::Test {
 protected:
  ValueId Batch(std::vector<int64_t> dims, DType type = DType::kF32) { return Input({type, std::move(dims)}, true); }
  ValueId State(std::vector<int64_t> dims) { return Input(F32(std::move(dims)), false); }

  // Analyses the graph with dimension 0 of each batch input as the batch; the result is `v`'s info.
  BatchInfo Of(ValueId v) {
    const ir::Module module = g.Build({v});
    std::vector<int> dims;
    for (const InputRole role : roles_) dims.push_back(role == InputRole::kBatch ? 0 : -1);
    auto analysis = AnalyzeBatch(module, roles_, BatchOptions{dims, {}});
    EXPECT_TRUE(analysis.ok());
    events = std::move(analysis->events);
    return analysis->value(v);
  }
  // "batched 1/8": dimension 1 in 8 parts; "partial", "reduced", "mixed", "none".
  std::string Short(ValueId v) {
    const BatchInfo info = Of(v);
    std::string out(Name(info.kind));
    if (info.kind == BatchKind::kBatched) out += " " + std::to_string(info.dim) + "/" + std::to_string(info.parts);
    return out;
  }
  std::vector<BatchEvent::Kind> Kinds() const {
    std::vector<BatchEvent::Kind> kinds;
    for (const BatchEvent& event : events) kinds.push_back(event.kind);
    return kinds;
  }

  GraphBuilder g;
  std::vector<BatchEvent> events;

 private:
  ValueId Input(Shape shape, bool batch) {
    roles_.push_back(batch ? InputRole::kBatch : InputRole::kState);
    return g.Parameter(std::move(shape));
  }
  std::vector<InputRole> roles_;
};

TEST_F(BatchRules, InputsAndLeaves) {
  EXPECT_EQ(Short(Batch({8, 4})), "batched 0/8");
  EXPECT_EQ(Short(State({8, 4})), "none");
  EXPECT_EQ(Short(g.Fill(F32({8, 4}), 1)), "none");
  EXPECT_EQ(Short(g.Iota(F32({8, 4}), 0)), "none");
}

TEST_F(BatchRules, ElementwiseKeepsBlocks) {
  const ValueId x = Batch({8, 4});
  EXPECT_EQ(Short(g.Elementwise(OpKind::kTanh, {x})), "batched 0/8");
  EXPECT_EQ(Short(g.Multiply(x, g.Fill(F32({8, 4}), 2))), "batched 0/8");
  EXPECT_EQ(Short(g.Compare(x, x, "GT")), "batched 0/8");
  EXPECT_TRUE(events.empty());
}

TEST_F(BatchRules, ElementwiseOnDifferentDimensionsPairsExamples) {
  const ValueId y = Batch({8});
  const ValueId rows = g.Broadcast(y, {8, 8}, {0});
  const ValueId columns = g.Broadcast(y, {8, 8}, {1});
  EXPECT_EQ(Short(g.Subtract(rows, columns)), "mixed");
  EXPECT_THAT(Kinds(), ElementsAre(BatchEvent::Kind::kMixed));
}

TEST_F(BatchRules, SumsArePassedThroughLinearOps) {
  const ValueId sum = g.Reduce(Batch({8, 4}), {0});
  const ValueId w = State({4});
  EXPECT_EQ(Short(sum), "partial");
  EXPECT_EQ(Short(g.Multiply(sum, w)), "partial");
  EXPECT_EQ(Short(g.Divide(sum, w)), "partial");
  EXPECT_EQ(Short(g.Add(sum, sum)), "partial");
  EXPECT_EQ(Short(g.Subtract(sum, g.Fill(F32({4}), 0))), "partial");
  EXPECT_EQ(Short(g.Elementwise(OpKind::kNegate, {sum})), "partial");
  EXPECT_EQ(Short(g.Convert(sum, DType::kBF16)), "partial");
  EXPECT_EQ(Short(g.Reshape(sum, {2, 2})), "partial");
  EXPECT_EQ(Short(g.Broadcast(sum, {3, 4}, {1})), "partial");
  EXPECT_EQ(Short(g.Reduce(sum, {0})), "partial");
  EXPECT_EQ(Short(g.Slice(sum, {1}, {3})), "partial");
  EXPECT_EQ(Short(g.Pad(sum, {1}, {1})), "partial");
  EXPECT_EQ(Short(g.Reverse(sum, {0})), "partial");
  EXPECT_EQ(Short(g.Dot(sum, w, {{}, {}, {0}, {0}})), "partial");
  const ValueId mask = g.Compare(w, w, "GT");
  EXPECT_EQ(Short(g.Elementwise(OpKind::kSelect, {mask, sum, g.Fill(F32({4}), 0)})), "partial");
  EXPECT_TRUE(events.empty());
}

TEST_F(BatchRules, SumsAreCompleteBehindOtherOps) {
  const ValueId sum = g.Reduce(Batch({8, 4}), {0});
  const ValueId w = State({4});
  EXPECT_EQ(Short(g.Add(sum, w)), "reduced");  // w would count once per block
  EXPECT_EQ(Short(g.Multiply(sum, sum)), "reduced");
  EXPECT_EQ(Short(g.Divide(w, sum)), "reduced");
  EXPECT_EQ(Short(g.Elementwise(OpKind::kExp, {sum})), "reduced");
  EXPECT_EQ(Short(g.Convert(sum, DType::kS32)), "reduced");
  EXPECT_EQ(Short(g.Reduce(sum, {0}, OpKind::kMaximum)), "reduced");
  const ValueId mask = g.Compare(w, w, "GT");
  EXPECT_EQ(Short(g.Elementwise(OpKind::kSelect, {mask, sum, w})), "reduced");
  EXPECT_TRUE(events.empty());
}

TEST_F(BatchRules, BlocksThatReadACompleteSumNeedItFirst) {
  const ValueId x = Batch({8, 4});
  const ValueId mean = g.Broadcast(g.Reduce(x, {0}), {8, 4}, {1});
  const ValueId centred = g.Subtract(x, mean);
  EXPECT_EQ(Short(centred), "batched 0/8");
  ASSERT_THAT(Kinds(), ElementsAre(BatchEvent::Kind::kNeedsComplete));
  EXPECT_FALSE(events[0].uses_state);  // follows from the batch alone
  EXPECT_EQ(Of(centred).level, 0);

  const ValueId weighted = g.Multiply(x, g.Broadcast(State({4}), {8, 4}, {1}));
  const ValueId weighted_mean = g.Broadcast(g.Reduce(weighted, {0}), {8, 4}, {1});
  EXPECT_EQ(Of(g.Subtract(x, weighted_mean)).level, 1);
  EXPECT_TRUE(events.back().uses_state);
}

TEST_F(BatchRules, ReduceSumsFoldsOrKeeps) {
  const ValueId x = Batch({8, 4});
  EXPECT_EQ(Short(g.Reduce(x, {1})), "batched 0/8");
  EXPECT_EQ(Short(g.Reduce(g.Transpose(x, {1, 0}), {0})), "batched 0/8");
  EXPECT_EQ(Short(g.Reduce(x, {0, 1})), "partial");
  EXPECT_TRUE(events.empty());
  EXPECT_EQ(Short(g.Reduce(x, {0}, OpKind::kMaximum)), "reduced");
  EXPECT_THAT(Kinds(), ElementsAre(BatchEvent::Kind::kFolded));
}

TEST_F(BatchRules, ReduceThatStartsElsewhereThanAtZeroDependsOnPosition) {
  EXPECT_EQ(Short(g.Reduce(Batch({8, 4}), {0}, OpKind::kAdd, 5)), "partial");
  EXPECT_THAT(Kinds(), ElementsAre(BatchEvent::Kind::kPosition));
}

TEST_F(BatchRules, Dot) {
  const ValueId x = Batch({8, 4});
  const ValueId w = State({4, 6});
  const ValueId y = g.MatMul(x, w);
  EXPECT_EQ(Short(y), "batched 0/8");
  EXPECT_EQ(Short(g.Dot(w, x, {{}, {}, {0}, {1}})), "batched 1/8");
  EXPECT_EQ(Short(g.Dot(x, y, {{}, {}, {0}, {0}})), "partial");      // gradient of w
  EXPECT_EQ(Short(g.Dot(x, y, {{0}, {0}, {}, {}})), "batched 0/8");  // per example
  EXPECT_TRUE(events.empty());
  EXPECT_EQ(Short(g.Dot(x, x, {{}, {}, {1}, {1}})), "mixed");  // all pairs: in-batch negatives
}

TEST_F(BatchRules, DotOfPartialSums) {
  const ValueId sum = g.Reduce(Batch({8, 4, 4}), {0});
  const ValueId w = State({4, 6});
  EXPECT_EQ(Short(g.MatMul(sum, w)), "partial");
  EXPECT_EQ(Short(g.MatMul(sum, sum)), "reduced");
  EXPECT_EQ(Short(g.MatMul(Batch({8, 4}), sum)), "batched 0/8");
  EXPECT_THAT(Kinds(), ElementsAre(BatchEvent::Kind::kNeedsComplete));
}

// NHWC x HWIO -> NHWC with a window of three.
ir::ConvolutionAttr Forward() {
  ir::ConvolutionAttr attr;
  attr.lhs_feature = attr.out_feature = 3;
  attr.rhs_input_feature = 2;
  attr.rhs_output_feature = 3;
  attr.lhs_spatial = attr.out_spatial = {1, 2};
  attr.rhs_spatial = {0, 1};
  attr.window = {WindowDim{3, 1, 1, 1}, WindowDim{3, 1, 1, 1}};
  return attr;
}

TEST_F(BatchRules, Convolution) {
  const ValueId x = Batch({8, 5, 5, 4});
  const ValueId k = State({3, 3, 4, 6});
  const ValueId y = g.Convolution(x, k, {8, 5, 5, 6}, Forward());
  EXPECT_EQ(Short(y), "batched 0/8");
  // Gradient of the kernel: the examples take the part of the input feature ([f,0,1,b] x [i,0,1,o] -> [0,1,b,f]).
  ir::ConvolutionAttr gradient;
  gradient.lhs_batch = 3;
  gradient.lhs_feature = 0;
  gradient.rhs_input_feature = 0;
  gradient.rhs_output_feature = 3;
  gradient.lhs_spatial = gradient.rhs_spatial = {1, 2};
  gradient.out_spatial = {0, 1};
  gradient.out_batch = 2;
  gradient.out_feature = 3;
  gradient.window = {WindowDim{5, 1, 1, 1}, WindowDim{5, 1, 1, 1}};
  EXPECT_EQ(Short(g.Convolution(x, y, {3, 3, 4, 6}, gradient)), "partial");
  EXPECT_TRUE(events.empty());
  // Over the batch: the examples lie where the window slides.
  ir::ConvolutionAttr along = Forward();
  along.lhs_batch = 1;
  along.lhs_spatial = {0, 2};
  EXPECT_EQ(Short(g.Convolution(x, k, {5, 8, 5, 6}, along)), "mixed");
}

TEST_F(BatchRules, GroupedConvolutionKeepsGroupsApart) {
  // One kernel per example, as jax.vmap makes it: 8 groups of 4 features.
  const ValueId features = g.Reshape(g.Transpose(Batch({8, 5, 5, 4}), {1, 2, 0, 3}), {1, 5, 5, 32});
  const ValueId kernels = g.Reshape(g.Transpose(Batch({8, 3, 3, 4, 6}), {1, 2, 3, 0, 4}), {3, 3, 4, 48});
  ir::ConvolutionAttr attr = Forward();
  attr.feature_groups = 8;
  EXPECT_EQ(Short(g.Convolution(features, kernels, {1, 5, 5, 48}, attr)), "batched 3/8");
  attr.feature_groups = 2;  // four examples in each group
  EXPECT_EQ(Short(g.Convolution(features, kernels, {1, 5, 5, 48}, attr)), "batched 3/2");
}

TEST_F(BatchRules, ReshapeAndTranspose) {
  const ValueId x = Batch({8, 4, 6});
  EXPECT_EQ(Short(g.Reshape(x, {32, 6})), "batched 0/8");
  EXPECT_EQ(Short(g.Transpose(x, {2, 0, 1})), "batched 1/8");
  EXPECT_TRUE(events.empty());
  EXPECT_EQ(Short(g.Reshape(x, {4, 8, 6})), "batched 0/4");
  EXPECT_THAT(Kinds(), ElementsAre(BatchEvent::Kind::kRegrouped));
  EXPECT_EQ(Short(g.Reshape(g.Transpose(x, {1, 0, 2}), {32, 6})), "mixed");
}

TEST_F(BatchRules, WindowsOverOtherDimensionsOnly) {
  const ValueId x = Batch({8, 4});
  const WindowDim one;
  EXPECT_EQ(Short(g.ReduceWindow(x, {one, WindowDim{4, 1, 3, 0}})), "batched 0/8");  // cumsum along the features
  EXPECT_EQ(Short(g.ReduceWindow(x, {WindowDim{8}, one})), "partial");               // all at once: a sum
  EXPECT_TRUE(events.empty());
  EXPECT_EQ(Short(g.ReduceWindow(x, {WindowDim{8, 1, 7, 0}, one})), "mixed");  // cumsum along the batch
}

TEST_F(BatchRules, SelectAndScatterKeepsBlocks) {
  const ValueId x = Batch({8, 4});
  const ValueId pooled = g.ReduceWindow(x, {WindowDim{}, WindowDim{2, 2}}, OpKind::kMaximum);
  GraphBuilder select("ge");
  const ValueId a = select.Parameter(F32({}));
  const ValueId b = select.Parameter(F32({}));
  const ir::Module ge = select.Build({select.Compare(a, b, "GE")});
  const ir::Module add = ir::CombinerModule(OpKind::kAdd, DType::kF32);
  const ir::WindowAttr window{{WindowDim{}, WindowDim{2, 2}}};
  EXPECT_EQ(Short(g.Op1(OpKind::kSelectAndScatter, {x, pooled, g.Scalar(0)}, F32({8, 4}), window, {ge, add})),
            "batched 0/8");
}

TEST_F(BatchRules, GatherOfRowsByExample) {
  const ValueId ids = Batch({8, 3}, DType::kS32);
  const ValueId table = State({10, 4});
  const ValueId rows = g.TakeRows(table, ids);
  EXPECT_EQ(Short(rows), "batched 0/8");
  EXPECT_EQ(Short(g.AddRows(g.Fill(F32({10, 4}), 0), ids, rows)), "partial");  // gradient of the table
  EXPECT_TRUE(events.empty());
  EXPECT_EQ(Short(g.AddRows(table, ids, rows)), "partial");  // starts from the table: the first block only
  EXPECT_THAT(Kinds(), ElementsAre(BatchEvent::Kind::kPosition));
  EXPECT_EQ(Short(g.TakeRows(Batch({8, 4}), g.Iota({DType::kS32, {5}}, 0))), "mixed");  // picks examples
}

TEST_F(BatchRules, GatherAlongOwnRowKeepsBlocks) {
  // logits[arange(8), label] as JAX writes it: indices are pairs (position, label).
  const ValueId logits = Batch({8, 10});
  const ValueId labels = g.Reshape(Batch({8}, DType::kS32), {8, 1});
  const ValueId positions = g.Iota({DType::kS32, {8, 1}}, 0);
  const ValueId pairs = g.Concatenate({positions, labels}, 1);
  ir::GatherAttr gather;
  gather.collapsed_slice_dims = gather.start_index_map = {0, 1};
  gather.index_vector_dim = 1;
  gather.slice_sizes = {1, 1};
  const ValueId picked = g.Op1(OpKind::kGather, {logits, pairs}, F32({8}), gather);
  EXPECT_EQ(Short(picked), "batched 0/8");
  ir::ScatterAttr scatter;
  scatter.inserted_window_dims = scatter.scatter_dims_to_operand_dims = {0, 1};
  scatter.index_vector_dim = 1;
  const ValueId zeros = g.Fill(F32({8, 10}), 0);
  const ir::Module add = ir::CombinerModule(OpKind::kAdd, DType::kF32);
  EXPECT_EQ(Short(g.Op1(OpKind::kScatter, {zeros, pairs, picked}, F32({8, 10}), scatter, {add})), "batched 0/8");
  EXPECT_TRUE(events.empty());
}

TEST_F(BatchRules, GatherWithBatchingDimensions) {
  const ValueId logits = Batch({8, 3, 10});
  const ValueId labels = Batch({8, 3, 1}, DType::kS32);
  ir::GatherAttr attr;  // take_along_axis(logits, labels, -1)
  attr.collapsed_slice_dims = attr.start_index_map = {2};
  attr.operand_batching_dims = attr.start_indices_batching_dims = {0, 1};
  attr.index_vector_dim = 2;
  attr.slice_sizes = {1, 1, 1};
  EXPECT_EQ(Short(g.Op1(OpKind::kGather, {logits, labels}, F32({8, 3}), attr)), "batched 0/8");
}

TEST_F(BatchRules, ScatterThatOverwritesByExampleMixes) {
  const ValueId ids = Batch({8}, DType::kS32);
  GraphBuilder second("second");
  second.Parameter(F32({}));
  const ir::Module replace = second.Build({second.Parameter(F32({}))});
  ir::ScatterAttr attr;
  attr.inserted_window_dims = attr.scatter_dims_to_operand_dims = {0};
  attr.index_vector_dim = 1;
  const ValueId memory = State({100});
  EXPECT_EQ(Short(g.Op1(OpKind::kScatter, {memory, ids, Batch({8})}, F32({100}), attr, {replace})), "mixed");
}

TEST_F(BatchRules, DataMovementThatLeavesTheBatchAlone) {
  const ValueId x = Batch({8, 4});
  EXPECT_EQ(Short(g.Slice(x, {0, 1}, {8, 3})), "batched 0/8");
  EXPECT_EQ(Short(g.Pad(x, {0, 1}, {0, 1})), "batched 0/8");
  EXPECT_EQ(Short(g.Concatenate({x, x}, 1)), "batched 0/8");
  EXPECT_EQ(Short(g.Reverse(x, {1})), "batched 0/8");
  EXPECT_EQ(Short(g.Broadcast(x, {3, 8, 4}, {1, 2})), "batched 1/8");
  const ValueId at = g.Scalar(1, DType::kS32);
  EXPECT_EQ(Short(g.Op1(OpKind::kDynamicSlice, {x, at, at}, F32({8, 1}), ir::DynamicSliceAttr{{8, 1}})), "batched 0/8");
  const ValueId column = g.Slice(x, {0, 0}, {8, 1});
  const ValueId zeros = g.Fill(F32({8, 4}), 0);
  EXPECT_EQ(Short(g.Op1(OpKind::kDynamicUpdateSlice, {zeros, column, at, at}, F32({8, 4}))), "batched 0/8");
  EXPECT_EQ(Short(g.Op1(OpKind::kSort, {x}, F32({8, 4}), ir::DimsAttr{{1}})), "batched 0/8");
  EXPECT_TRUE(events.empty());
}

TEST_F(BatchRules, DataMovementAlongTheBatchMixes) {
  const ValueId x = Batch({8, 4});
  EXPECT_EQ(Short(g.Slice(x, {0, 0}, {4, 4})), "mixed");
  EXPECT_EQ(events[0].why, "takes only some of the examples");
  EXPECT_EQ(Short(g.Pad(x, {1, 0}, {0, 0})), "mixed");
  EXPECT_EQ(Short(g.Concatenate({x, x}, 0)), "mixed");
  EXPECT_EQ(Short(g.Reverse(x, {0})), "mixed");
  EXPECT_EQ(Short(g.Op1(OpKind::kSort, {x}, F32({8, 4}), ir::DimsAttr{{0}})), "mixed");
  const ValueId at = g.Scalar(1, DType::kS32);
  EXPECT_EQ(Short(g.Op1(OpKind::kDynamicSlice, {x, at, at}, F32({1, 4}), ir::DynamicSliceAttr{{1, 4}})), "mixed");
}

TEST_F(BatchRules, LinearAlgebraAndTransformsPerExample) {
  const ValueId x = Batch({8, 4, 4});
  EXPECT_EQ(Short(g.Op1(OpKind::kCholesky, {x}, F32({8, 4, 4}))), "batched 0/8");
  EXPECT_EQ(Short(g.Op1(OpKind::kTriangularSolve, {x, x}, F32({8, 4, 4}))), "batched 0/8");
  const ir::TextAttr fft1{"fft_type=FFT, fft_length={4}"};
  const ir::TextAttr fft3{"fft_type=FFT, fft_length={8,4,4}"};
  EXPECT_EQ(Short(g.Op1(OpKind::kFft, {x}, F32({8, 4, 4}), fft1)), "batched 0/8");
  EXPECT_EQ(Short(g.Op1(OpKind::kFft, {x}, F32({8, 4, 4}), fft3)), "mixed");
}

TEST_F(BatchRules, CustomCalls) {
  const ValueId x = Batch({8, 4});
  EXPECT_EQ(Short(g.Op1(OpKind::kCustomCall, {x}, F32({8, 4}), ir::CustomCallAttr{"Sharding", false, ""})),
            "batched 0/8");
  EXPECT_EQ(Short(g.Op1(OpKind::kCustomCall, {x}, F32({8, 4}), ir::CustomCallAttr{"my_kernel", false, ""})), "mixed");
  EXPECT_EQ(events[0].why, "does something to the batch that alpa cannot see (my_kernel)");
  EXPECT_EQ(Short(g.Op1(OpKind::kCustomCall, {State({3})}, F32({3}), ir::CustomCallAttr{"my_kernel", false, ""})),
            "none");
}

TEST_F(BatchRules, PositionIsTrackedThroughBroadcastsAndReshapes) {
  const ValueId x = Batch({8, 4});
  // Position embedding: differs along the sequence, the same for all examples; also as one list of 32.
  const ValueId row = g.Broadcast(State({4}), {8, 4}, {1});
  EXPECT_EQ(Short(g.Add(g.Reshape(x, {32}), g.Reshape(row, {32}))), "batched 0/8");
  EXPECT_TRUE(events.empty());
  EXPECT_EQ(Short(g.Multiply(x, g.Iota(F32({8, 4}), 0))), "batched 0/8");
  EXPECT_THAT(Kinds(), ElementsAre(BatchEvent::Kind::kPosition));
  EXPECT_FALSE(events[0].random);
  const ValueId bits = g.Op1(OpKind::kRng, {g.Scalar(0), g.Scalar(1)}, F32({8, 4}));
  EXPECT_EQ(Short(g.Multiply(x, bits)), "batched 0/8");
  EXPECT_TRUE(events[1].random);
}

TEST_F(BatchRules, OptimizationBarrierPassesEachOperandThrough) {
  const ValueId x = Batch({8, 4});
  const ValueId w = State({4});
  const auto out = g.OpN(OpKind::kOptimizationBarrier, {x, w}, {F32({8, 4}), F32({4})});
  EXPECT_EQ(Short(out[0]), "batched 0/8");
  EXPECT_EQ(Short(out[1]), "none");
}

TEST_F(BatchRules, MixedStaysMixedAndIsReportedOnce) {
  const ValueId mixed = g.Reverse(Batch({8, 4}), {0});
  EXPECT_EQ(Short(g.Reduce(g.Elementwise(OpKind::kTanh, {mixed}), {0})), "mixed");
  EXPECT_EQ(events.size(), 1U);
}

TEST_F(BatchRules, EmptyBatchDoesNotDivideByZero) { EXPECT_EQ(Short(g.Reduce(Batch({0, 4}), {1})), "batched 0/1"); }

// --- inputs -----------------------------------------------------------------------------------------------------

std::vector<int> Infer(const std::vector<Shape>& shapes, const std::vector<std::string>& names = {}) {
  GraphBuilder g;
  std::vector<InputRole> roles = {InputRole::kState};
  const ValueId w = g.Parameter(F32({4}), "w");
  for (size_t i = 0; i < shapes.size(); ++i) {
    g.Parameter(shapes[i], names.empty() ? "" : names[i]);
    roles.push_back(InputRole::kBatch);
  }
  std::vector<int> dims = InferBatchDims(g.Build({w}), roles);
  EXPECT_EQ(dims[0], -1);
  dims.erase(dims.begin());
  return dims;
}

TEST(InferBatchDims, SharedExtentOfDimensionZero) {
  EXPECT_THAT(Infer({F32({16, 32}), {DType::kS32, {16}}}), ElementsAre(0, 0));
  EXPECT_THAT(Infer({{DType::kS32, {16, 32}}, {DType::kS32, {16, 32}}}), ElementsAre(0, 0));
}

TEST(InferBatchDims, ScalarsAndKeysHaveNone) {
  EXPECT_THAT(Infer({F32({16, 32}), F32({}), {DType::kU32, {2}}}), ElementsAre(0, -1, -1));
  EXPECT_THAT(Infer({F32({16, 32}), {DType::kS64, {16}}}, {"x", "rng"}), ElementsAre(0, -1));
}

TEST(InferBatchDims, DimensionOneWhereDimensionZeroDisagrees) {
  EXPECT_THAT(Infer({F32({5, 16, 8}), F32({7, 16})}), ElementsAre(1, 1));
  EXPECT_THAT(Infer({F32({5, 16, 8}), {DType::kS32, {16}}}), ElementsAre(1, 0));
}

TEST(InferBatchDims, PrefersTheReadingThatDoesNotMixExamples) {
  // Time major: a running sum over dimension 0, so the batch must be dimension 1.
  GraphBuilder g;
  const ValueId w = g.Parameter(F32({4}));
  const ValueId x = g.Parameter(F32({5, 16}));
  const ValueId y = g.Parameter(F32({5, 16}));
  const ValueId sums = g.ReduceWindow(x, {WindowDim{5, 1, 4, 0}, WindowDim{}});
  const ir::Module module = g.Build({w, g.Reduce(g.Multiply(sums, y), {0, 1})});
  EXPECT_THAT(InferBatchDims(module, {InputRole::kState, InputRole::kBatch, InputRole::kBatch}), ElementsAre(-1, 1, 1));
}

TEST(InferBatchDims, FrozenWeightsCarryNoBatch) {
  EXPECT_THAT(Infer({F32({16, 16}), F32({16, 8})}, {"frozen_params['w']", "batch['x']"}), ElementsAre(-1, 0));
}

TEST(AnalyzeBatch, BatchDimOptionFollowsTheExtent) {
  GraphBuilder g;
  g.Parameter(F32({6, 16, 8}));
  const ValueId y = g.Parameter(F32({16}));
  const ir::Module module = g.Build({y});
  const std::vector<InputRole> roles(2, InputRole::kBatch);
  const auto analysis = AnalyzeBatch(module, roles, BatchOptions{{}, 1});
  ASSERT_TRUE(analysis.ok());
  EXPECT_THAT(analysis->input_dims, ElementsAre(1, 0));
  EXPECT_EQ(analysis->batch_size, 16);
  const auto none = AnalyzeBatch(module, roles, BatchOptions{{}, 3});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, Code::kInvalidArgument);
}

TEST(AnalyzeBatch, RejectsDimensionsThatDoNotFit) {
  GraphBuilder g;
  g.Parameter(F32({16, 8}), "x");
  const ValueId y = g.Parameter(F32({12}), "y");
  const ir::Module module = g.Build({y});
  const std::vector<InputRole> roles(2, InputRole::kBatch);
  const std::vector<std::vector<int>> wrong = {{0, 0}, {2, 0}, {0}};
  for (const auto& dims : wrong) {
    const auto analysis = AnalyzeBatch(module, roles, BatchOptions{dims, {}});
    ASSERT_FALSE(analysis.ok());
    EXPECT_EQ(analysis.error().code, Code::kInvalidArgument);
  }
  EXPECT_THAT(AnalyzeBatch(module, roles, BatchOptions{{0, 0}, {}}).error().message,
              ::testing::HasSubstr("input 1 'y' f32[12] has 12 examples along dimension 0, input 0 has 16"));
}

}  // namespace
}  // namespace alpa::frontend
