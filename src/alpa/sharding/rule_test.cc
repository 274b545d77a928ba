// The rules of each family, written out. What the letters mean is checked against XLA in tests/sharding.
#include "alpa/sharding/rule.h"

#include <gtest/gtest.h>

#include "alpa/ir/builder.h"

namespace alpa::sharding {
namespace {

using ir::DType;
using ir::GraphBuilder;
using ir::Module;
using ir::OpKind;
using ir::Shape;
using ir::ValueId;
using ir::WindowDim;

Shape F32(std::vector<int64_t> dims) { return {DType::kF32, std::move(dims)}; }
Shape S32(std::vector<int64_t> dims) { return {DType::kS32, std::move(dims)}; }

// A graph in the making; Of(v) is the rule of the op behind value v, which must verify.
class Graph : public GraphBuilder {
 public:
  ValueId In(std::vector<int64_t> dims) { return Parameter(F32(std::move(dims))); }
  ValueId Ids(std::vector<int64_t> dims) { return Parameter(S32(std::move(dims))); }

  std::string Of(ValueId v) const {
    const Module module = Build({v});
    const ir::Op& op = module.producer(v);
    const Rule rule = RuleOf(module, op);
    const Status status = Verify(rule, module, op);
    EXPECT_TRUE(status.ok()) << status.error().message;
    return ToString(rule);
  }
};

// ---------------------------------------------------------------- leaves, elementwise

TEST(Rule, LeavesLieInAnySpec) {
  Graph g;
  EXPECT_EQ(g.Of(g.In({4, 6})), "-> a b");
  EXPECT_EQ(g.Of(g.Iota(S32({4, 6}), 1)), "-> a b");
  EXPECT_EQ(g.Of(g.Constant(F32({4, 6}), 1)), "-> a b");
  EXPECT_EQ(g.Of(g.Literal(F32({4, 6}), 99)), "-> a b");
  EXPECT_EQ(g.Of(g.Scalar(1)), "-> ()");
}

TEST(Rule, OfElementwiseOpsSharesAllDimensions) {
  Graph g;
  const ValueId x = g.In({4, 6});
  EXPECT_EQ(g.Of(g.Add(x, x)), "a b, a b -> a b");
  EXPECT_EQ(g.Of(g.Elementwise(OpKind::kExp, {x})), "a b -> a b");
  EXPECT_EQ(g.Of(g.Compare(x, x, "LT")), "a b, a b -> a b");
  EXPECT_EQ(g.Of(g.Convert(x, DType::kBF16)), "a b -> a b");
}

TEST(Rule, OfElementwiseOpsTakesScalarsAsTheyAre) {
  Graph g;
  const ValueId x = g.In({4, 6});
  const ValueId flag = g.Parameter({DType::kPred, {}});
  EXPECT_EQ(g.Of(g.Elementwise(OpKind::kClamp, {g.Scalar(0), x, g.Scalar(1)})), "(), a b, () -> a b");
  EXPECT_EQ(g.Of(g.Op1(OpKind::kSelect, {flag, x, x}, F32({4, 6}))), "(), a b, a b -> a b");
}

TEST(Rule, OfBitcastsBetweenSizesLeavesTheBytesTogether) {
  Graph g;
  const ValueId words = g.Parameter({DType::kU32, {4}});
  EXPECT_EQ(g.Of(g.Op1(OpKind::kBitcastConvert, {words}, {DType::kU8, {4, 4}})), "a -> a .");
  const ValueId bytes = g.Parameter({DType::kU8, {6, 4}});
  EXPECT_EQ(g.Of(g.Op1(OpKind::kBitcastConvert, {bytes}, {DType::kU32, {6}})), "a . -> a");
  EXPECT_EQ(g.Of(g.Op1(OpKind::kBitcastConvert, {words}, {DType::kF32, {4}})), "a -> a");
}

TEST(Rule, OfABarrierSplitsAlikeWhatLooksAlike) {
  Graph g;
  const ValueId x = g.In({8, 6});
  const ValueId y = g.In({8, 4});
  const ValueId w = g.In({6, 4});
  const auto r = g.OpN(OpKind::kOptimizationBarrier, {x, y, w}, {F32({8, 6}), F32({8, 4}), F32({6, 4})});
  EXPECT_EQ(g.Of(r[0]), "a b, a c, d c -> a b, a c, d c");
}

// ---------------------------------------------------------------- movement

TEST(Rule, OfBroadcastAddsFactorsOfTheResultAlone) {
  Graph g;
  EXPECT_EQ(g.Of(g.Broadcast(g.In({6}), {4, 6, 8}, {1})), "b -> a b c");
  EXPECT_EQ(g.Of(g.Fill(F32({4, 6}), 0)), "() -> a b");
}

TEST(Rule, OfTransposeCarriesDimensionsAlong) {
  Graph g;
  EXPECT_EQ(g.Of(g.Transpose(g.In({2, 4, 6}), {2, 0, 1})), "a b c -> c a b");
}

TEST(Rule, OfSliceKeepsWholeDimensionsAndStridesThatLineUp) {
  Graph g;
  const ValueId x = g.In({8, 6});
  EXPECT_EQ(g.Of(g.Slice(x, {0, 0}, {8, 5})), "a . -> a .");
  const ir::SliceAttr odd{{1, 0}, {8, 6}, {2, 1}};
  EXPECT_EQ(g.Of(g.Op1(OpKind::kSlice, {x}, F32({4, 6}), odd)), "(a 2) c -> a c");
  const ir::SliceAttr late{{2, 0}, {8, 6}, {2, 1}};  // element 0 comes from the second block
  EXPECT_EQ(g.Of(g.Op1(OpKind::kSlice, {x}, F32({3, 6}), late)), ". a -> . a");
}

TEST(Rule, OfPadKeepsWholeDimensionsAndBlocksThatLineUp) {
  Graph g;
  const ValueId x = g.In({4, 6});
  EXPECT_EQ(g.Of(g.Pad(x, {0, 0}, {0, 1})), "a ., () -> a .");
  const ir::PadAttr blocks{{1, 0}, {1, 0}, {2, 0}};
  EXPECT_EQ(g.Of(g.Op1(OpKind::kPad, {x, g.Scalar(0)}, F32({12, 6}), blocks)), "a c, () -> (a 3) c");
  const ir::PadAttr no_blocks{{1, 0}, {1, 0}, {1, 0}};
  EXPECT_EQ(g.Of(g.Op1(OpKind::kPad, {x, g.Scalar(0)}, F32({9, 6}), no_blocks)), ". a, () -> . a");
}

TEST(Rule, OfConcatenateAndReverseKeepsTheOtherDimensions) {
  Graph g;
  EXPECT_EQ(g.Of(g.Concatenate({g.In({4, 6}), g.In({4, 2})}, 1)), "a ., a . -> a .");
  EXPECT_EQ(g.Of(g.Reverse(g.In({4, 6}), {0})), ". a -> . a");
}

TEST(Rule, OfDynamicSlicesKeepsWholeDimensions) {
  Graph g;
  const ValueId x = g.In({8, 6});
  const ValueId i = g.Ids({});
  EXPECT_EQ(g.Of(g.Op1(OpKind::kDynamicSlice, {x, i, i}, F32({2, 6}), ir::DynamicSliceAttr{{2, 6}})),
            ". a, (), () -> . a");
  EXPECT_EQ(g.Of(g.Op1(OpKind::kDynamicUpdateSlice, {x, g.In({2, 6}), i, i}, F32({8, 6}))), ". a, . a, (), () -> . a");
  // One row: the device that holds it overwrites it.
  EXPECT_EQ(g.Of(g.Op1(OpKind::kDynamicUpdateSlice, {x, g.In({1, 6}), i, i}, F32({8, 6}))), "a b, . b, (), () -> a b");
}

// ---------------------------------------------------------------- reshape

TEST(Rule, OfReshapeIsTheCommonRefinement) {
  const std::tuple<std::vector<int64_t>, std::vector<int64_t>, std::string> table[] = {
      {{16, 8}, {128}, "a b -> (a b)"},                  // merge
      {{128}, {16, 8}, "(a b) -> a b"},                  // split
      {{4, 6, 8}, {4, 48}, "a b c -> a (b c)"},          // merge heads
      {{8, 12}, {8, 3, 4}, "a (b c) -> a b c"},          // split heads
      {{16, 8}, {4, 32}, "(a b) c -> a (b c)"},          // both
      {{4, 6}, {4, 1, 6}, "a b -> a . b"},               // extents of 1 say nothing
      {{4, 1, 6, 1}, {24}, "a . b . -> (a b)"},          //
      {{1, 1}, {1}, ". . -> ."},                         //
      {{12, 4}, {8, 6}, "(a 3) . -> (a 2) ."},           // the first 4 parts agree
      {{2, 3}, {3, 2}, ". . -> . ."},                    // no part agrees
      {{2, 3, 5}, {3, 2, 5}, ". . a -> . . a"},          // ... but the rest does
      {{6, 5, 4}, {2, 15, 4}, "(a b) c d -> a (b c) d"}  //
  };
  for (const auto& [from, to, text] : table) {
    Graph g;
    EXPECT_EQ(g.Of(g.Reshape(g.In(from), to)), text);
  }
}

// ---------------------------------------------------------------- contraction, reduction

TEST(Rule, OfDotHasBatchFreeAndContractedFactors) {
  Graph g;
  EXPECT_EQ(g.Of(g.MatMul(g.In({4, 8}), g.In({8, 6}))), "a b, b c -> a c; b sum");
  // Attention scores: batch 0 and 2 (heads), contraction over 3.
  const ValueId q = g.In({2, 16, 4, 8});
  const ValueId k = g.In({2, 16, 4, 8});
  EXPECT_EQ(g.Of(g.Dot(q, k, {{0, 2}, {0, 2}, {3}, {3}})), "a b c d, a e c d -> a c b e; d sum");
  // The gradient of a weight: everything but features is contracted.
  const ValueId x = g.In({2, 16, 8});
  const ValueId dy = g.In({2, 16, 4});
  EXPECT_EQ(g.Of(g.Dot(x, dy, {{}, {}, {0, 1}, {0, 1}})), "a b c, a b d -> c d; a sum, b sum");
  // Experts are a batch dimension.
  const ValueId tokens = g.In({4, 16, 8});
  EXPECT_EQ(g.Of(g.Dot(tokens, g.In({4, 8, 6}), {{0}, {0}, {2}, {1}})), "a b c, a c d -> a b d; c sum");
}

TEST(Rule, OfReduceContractsWithItsCombiner) {
  Graph g;
  const ValueId x = g.In({4, 6});
  EXPECT_EQ(g.Of(g.Reduce(x, {1})), "a b, () -> a; b sum");
  EXPECT_EQ(g.Of(g.Reduce(x, {0, 1}, OpKind::kMultiply, 1)), "a b, () -> (); a product, b product");
  EXPECT_EQ(g.Of(g.Reduce(x, {0}, OpKind::kMaximum, -7)), "a b, () -> b; a max");
  EXPECT_EQ(g.Of(g.Reduce(x, {0}, OpKind::kMinimum, 3)), "a b, () -> b; a min");
  const ValueId flags = g.Parameter({DType::kPred, {4, 6}});
  EXPECT_EQ(g.Of(g.Reduce(flags, {0}, OpKind::kAnd, 1)), "a b, () -> b; a and");
  EXPECT_EQ(g.Of(g.Reduce(flags, {0}, OpKind::kOr, 0)), "a b, () -> b; a or");
  EXPECT_EQ(g.Of(g.Reduce(flags, {0}, OpKind::kAdd, 0)), "a b, () -> b; a or");
  const ValueId bits = g.Ids({4, 6});
  EXPECT_EQ(g.Of(g.Reduce(bits, {0}, OpKind::kAnd, -1)), "a b, () -> b; a other");
}

// A sum that starts from 5 would count it once per device.
TEST(Rule, OfReduceIsNotPartialWhenItsStartWouldCountTwice) {
  Graph g;
  const ValueId x = g.In({4, 6});
  EXPECT_EQ(g.Of(g.Reduce(x, {1}, OpKind::kAdd, 5)), "a b, () -> a; b other");
  EXPECT_EQ(g.Of(g.Reduce(x, {1}, OpKind::kMultiply, 0)), "a b, () -> a; b other");
  const auto sum = [&](ValueId start) {
    return g.Op1(OpKind::kReduce, {x, start}, F32({4}), ir::DimsAttr{{1}},
                 {ir::CombinerModule(OpKind::kAdd, DType::kF32)});
  };
  EXPECT_EQ(g.Of(sum(g.In({}))), "a b, () -> a; b other");
  EXPECT_EQ(g.Of(sum(g.Convert(g.Scalar(0, DType::kBF16), DType::kF32))), "a b, () -> a; b sum");
}

TEST(Rule, OfReduceOfSeveralArraysKeepsTheReducedDimensionWhole) {
  Graph g;
  const ValueId x = g.In({4, 6});
  const ValueId at = g.Iota(S32({4, 6}), 1);
  Graph argmax;
  std::vector<ValueId> p = {argmax.In({}), argmax.Ids({}), argmax.In({}), argmax.Ids({})};
  const Module region = argmax.Build({p[0], p[1]});
  const auto r = g.OpN(OpKind::kReduce, {x, at, g.Scalar(0), g.Scalar(0, DType::kS32)}, {F32({4}), S32({4})},
                       ir::DimsAttr{{1}}, {region});
  EXPECT_EQ(g.Of(r[1]), "a b, a b, (), () -> a, a; b other");
}

// ---------------------------------------------------------------- windows

ir::ConvolutionAttr Nhwc(std::vector<WindowDim> window) {
  ir::ConvolutionAttr a;
  a.lhs_batch = 0, a.lhs_spatial = {1, 2}, a.lhs_feature = 3;
  a.rhs_spatial = {0, 1}, a.rhs_input_feature = 2, a.rhs_output_feature = 3;
  a.out_batch = 0, a.out_spatial = {1, 2}, a.out_feature = 3;
  a.window = std::move(window);
  return a;
}

TEST(Rule, OfConvolutionWithoutWindowIsADot) {
  Graph g;
  const ValueId x = g.In({2, 8, 8, 4});
  const WindowDim one;
  EXPECT_EQ(g.Of(g.Convolution(x, g.In({1, 1, 4, 6}), {2, 8, 8, 6}, Nhwc({one, one}))),
            "a d e b, . . b c -> a d e c; b sum");
  // With stride 2 each output lies in a block of 2 inputs.
  const WindowDim two{.size = 1, .stride = 2, .pad_high = 0};
  EXPECT_EQ(g.Of(g.Convolution(x, g.In({1, 1, 4, 6}), {2, 4, 4, 6}, Nhwc({two, two}))),
            "a (d 2) (f 2) b, . . b c -> a d f c; b sum, c or d, c or f");
}

TEST(Rule, OfConvolutionReadsAHaloOfItsNeighbours) {
  Graph g;
  const ValueId x = g.In({2, 8, 8, 4});
  const ValueId w = g.In({3, 3, 4, 6});
  const WindowDim same{.size = 3, .pad_low = 1, .pad_high = 1};
  EXPECT_EQ(g.Of(g.Convolution(x, w, {2, 8, 8, 6}, Nhwc({same, same}))),
            "a d e b, . . b c -> a d e c; b sum, d halo 1+1, e halo 1+1, c or d, c or e");
  const WindowDim strided{.size = 3, .stride = 2, .pad_high = 1};
  EXPECT_EQ(g.Of(g.Convolution(x, w, {2, 4, 8, 6}, Nhwc({strided, same}))),
            "a (d 2) f b, . . b c -> a d f c; b sum, d halo 0+1, f halo 1+1, c or d, c or f");
  // Without padding the parts do not line up.
  const WindowDim valid{.size = 3};
  EXPECT_EQ(g.Of(g.Convolution(x, w, {2, 6, 8, 6}, Nhwc({valid, same}))),
            "a . d b, . . b c -> a . d c; b sum, d halo 1+1, c or d");
}

// The gradient with respect to the input of a convolution with stride 2.
TEST(Rule, OfConvolutionOverADilatedInput) {
  Graph g;
  const ValueId dy = g.In({2, 4, 4, 6});
  const WindowDim dilated{.size = 3, .pad_low = 2, .pad_high = 1, .base_dilation = 2, .reversed = true};
  EXPECT_EQ(g.Of(g.Convolution(dy, g.In({3, 3, 6, 4}), {2, 8, 8, 4}, Nhwc({dilated, dilated}))),
            "a d f b, . . b c -> a (d 2) (f 2) c; b sum, d halo 1+0, f halo 1+0, c or d, c or f");
}

// The gradient of a kernel: features of the input are the batch, examples are features, the window is the image.
TEST(Rule, OfConvolutionWithAWindowAsLongAsTheImageContractsIt) {
  ir::ConvolutionAttr a = Nhwc({});
  a.lhs_batch = 3, a.lhs_feature = 0;
  a.rhs_input_feature = 0, a.rhs_spatial = {1, 2}, a.rhs_output_feature = 3;
  a.out_batch = 2, a.out_spatial = {0, 1}, a.out_feature = 3;
  Graph g;
  const ValueId x = g.In({2, 8, 8, 4});
  const WindowDim same{.size = 8, .pad_low = 1, .pad_high = 1};
  a.window = {same, same};
  EXPECT_EQ(g.Of(g.Convolution(x, g.In({2, 8, 8, 6}), {3, 3, 4, 6}, a)),
            "b d e a, b d e c -> . . a c; b sum, d sum halo 1+1 whole mesh, e sum halo 1+1 whole mesh, a or d, c or d, "
            "a or e, c or e");
  const WindowDim strided{.size = 4, .pad_high = 1, .window_dilation = 2};
  a.window = {strided, strided};
  EXPECT_EQ(g.Of(g.Convolution(x, g.In({2, 4, 4, 6}), {3, 3, 4, 6}, a)),
            "b (d 2) (f 2) a, b d f c -> . . a c; b sum, d sum halo 0+1 whole mesh, f sum halo 0+1 whole mesh, a or d, "
            "c or d, a or f, c or f");
  const WindowDim one{.size = 8};
  a.window = {one, one};
  EXPECT_EQ(g.Of(g.Convolution(x, g.In({2, 8, 8, 6}), {1, 1, 4, 6}, a)),
            "b d e a, b d e c -> . . a c; b sum, d sum, e sum");
}

TEST(Rule, OfConvolutionTiesGroupsTogether) {
  Graph g;
  const ValueId x = g.In({6, 8, 8, 12});
  const WindowDim one;
  ir::ConvolutionAttr a = Nhwc({one, one});
  a.feature_groups = 3;  // XLA would gather
  EXPECT_EQ(g.Of(g.Convolution(x, g.In({1, 1, 4, 6}), {6, 8, 8, 6}, a)), ". . . ., . . . . -> . . . .");
  a.feature_groups = 12;  // depthwise
  EXPECT_EQ(g.Of(g.Convolution(x, g.In({1, 1, 1, 12}), {6, 8, 8, 12}, a)),
            "a e f (d b), . . b (d c) -> a e f (d c); b sum");
  a.feature_groups = 1;
  a.batch_groups = 3;
  EXPECT_EQ(g.Of(g.Convolution(x, g.In({1, 1, 12, 6}), {2, 8, 8, 6}, a)),
            "(d a) e f b, . . b (d c) -> a e f (d c); b sum whole mesh, b or e, b or f");
}

TEST(Rule, OfReduceWindowPassesTilesAndReadsHalos) {
  Graph g;
  const ValueId x = g.In({2, 8, 8});
  const WindowDim one;
  EXPECT_EQ(g.Of(g.ReduceWindow(x, {one, {.size = 2, .stride = 2}, {.size = 3, .stride = 2, .pad_high = 1}},
                                OpKind::kMaximum, -9)),
            "a (b 2) (d 2), () -> a b d; d halo 0+1");
  EXPECT_EQ(g.Of(g.ReduceWindow(x, {one, {.size = 8}, {.size = 3, .pad_low = 1, .pad_high = 1}})),
            "a . b, () -> a . b; b halo 1+1");
  // A cumulative sum reads all that came before.
  EXPECT_EQ(g.Of(g.ReduceWindow(x, {one, {.size = 8, .pad_low = 7}, one})), "a . b, () -> a . b");
}

TEST(Rule, OfSelectAndScatterSplitsWindowsThatTile) {
  Graph g;
  const ValueId x = g.In({2, 8, 9});
  const ValueId source = g.In({2, 4, 4});
  const WindowDim one;
  const ir::WindowAttr attr{{one, {.size = 2, .stride = 2}, {.size = 3, .stride = 2}}};
  EXPECT_EQ(
      g.Of(g.Op1(OpKind::kSelectAndScatter, {x, source, g.Scalar(0)}, F32({2, 8, 9}), attr,
                 {ir::CombinerModule(OpKind::kMaximum, DType::kF32), ir::CombinerModule(OpKind::kAdd, DType::kF32)})),
      "a (b 2) ., a b ., () -> a (b 2) .");
}

// ---------------------------------------------------------------- gather, scatter

TEST(Rule, OfEmbeddingLookupSumsOverTheVocabulary) {
  Graph g;
  EXPECT_EQ(g.Of(g.TakeRows(g.In({32, 8}), g.Ids({2, 4}))), "a b, c d -> c d b; a sum");
}

// take_along_axis: the loss of a language model picks one logit per token.
TEST(Rule, OfGatherPairsBatchingDimensions) {
  Graph g;
  ir::GatherAttr a;
  a.collapsed_slice_dims = {2}, a.start_index_map = {2}, a.index_vector_dim = 3;
  a.operand_batching_dims = {0, 1}, a.start_indices_batching_dims = {0, 1};
  a.slice_sizes = {1, 1, 1};
  EXPECT_EQ(g.Of(g.Op1(OpKind::kGather, {g.In({2, 4, 32}), g.Ids({2, 4, 1, 1})}, F32({2, 4, 1}), a)),
            "a b c, a b d . -> a b d; c sum");
}

// dynamic_slice over a batch: windows of 3 from a dimension of 8.
TEST(Rule, OfGatherKeepsWindowsWhole) {
  Graph g;
  ir::GatherAttr a;
  a.offset_dims = {1, 2}, a.start_index_map = {0}, a.index_vector_dim = 1, a.slice_sizes = {3, 6};
  EXPECT_EQ(g.Of(g.Op1(OpKind::kGather, {g.In({8, 6}), g.Ids({5, 1})}, F32({5, 3, 6}), a)), ". a, b . -> b . a");
}

TEST(Rule, OfScatterAddIsPartialOverItsUpdates) {
  Graph g;
  EXPECT_EQ(g.Of(g.AddRows(g.In({32, 8}), g.Ids({2, 4}), g.In({2, 4, 8}))), "a b, c d, c d b -> a b; c sum, d sum");
}

TEST(Rule, OfScatterThatOverwritesKeepsItsUpdatesWhole) {
  Graph g;
  ir::ScatterAttr a;
  a.update_window_dims = {1}, a.inserted_window_dims = {0}, a.scatter_dims_to_operand_dims = {0};
  a.index_vector_dim = 1;
  Graph region;
  region.In({});
  const ValueId second = region.In({});
  EXPECT_EQ(g.Of(g.Op1(OpKind::kScatter, {g.In({32, 8}), g.Ids({4}), g.In({4, 8})}, F32({32, 8}), a,
                       {region.Build({second})})),
            "a b, c, c b -> a b; c other");
}

// ---------------------------------------------------------------- others

TEST(Rule, OfOpsOnTheLastDimensionsPassesTheLeadingOnes) {
  Graph g;
  const ValueId x = g.In({4, 6, 6});
  EXPECT_EQ(g.Of(g.Op1(OpKind::kCholesky, {x}, F32({4, 6, 6}))), "a . . -> a . .");
  EXPECT_EQ(g.Of(g.Op1(OpKind::kTriangularSolve, {x, g.In({4, 6, 2})}, F32({4, 6, 2}))), "a . ., a . . -> a . .");
  const auto call =
      g.OpN(OpKind::kCustomCall, {x}, {F32({4, 6, 2}), S32({4, 6, 2})}, ir::CustomCallAttr{"TopK", false, ""});
  EXPECT_EQ(g.Of(call[1]), "a b . -> a b ., a b .");
  const auto sorted = g.OpN(OpKind::kSort, {x, x}, {F32({4, 6, 6}), F32({4, 6, 6})}, ir::DimsAttr{{1}});
  EXPECT_EQ(g.Of(sorted[0]), "a . b, a . b -> a . b, a . b");
}

TEST(Rule, OfWhatNobodySplitsIsWhole) {
  Graph g;
  const ValueId x = g.In({4, 6});
  for (const OpKind kind :
       {OpKind::kRng, OpKind::kRngBitGenerator, OpKind::kWhile, OpKind::kConditional, OpKind::kCall, OpKind::kRaggedDot,
        OpKind::kAllGather, OpKind::kFft, OpKind::kTopK, OpKind::kBatchNormTraining}) {
    EXPECT_EQ(g.Of(g.Op1(kind, {x}, F32({4, 6}))), ". . -> . .") << Name(kind);
  }
  EXPECT_EQ(g.Of(g.Op1(OpKind::kCustomCall, {x}, F32({4, 6}), ir::CustomCallAttr{"mystery", false, ""})), ". . -> . .");
  EXPECT_EQ(g.Of(g.Op1(OpKind::kCustomCall, {x}, F32({4, 6}), ir::CustomCallAttr{"Sharding", false, ""})),
            "a b -> a b");
}

// ---------------------------------------------------------------- Verify

TEST(Rule, VerifyNamesEachViolation) {
  Graph g;
  const ValueId x = g.In({4, 6});
  const ValueId y = g.Reduce(x, {1});
  const Module module = g.Build({y});
  const ir::Op& op = module.producer(y);
  const Rule good = RuleOf(module, op);
  ASSERT_TRUE(Verify(good, module, op).ok());
  auto message = [&](auto change) {
    Rule rule = good;
    change(rule);
    const Status status = Verify(rule, module, op);
    EXPECT_FALSE(status.ok());
    if (status.ok()) return std::string();
    EXPECT_EQ(status.error().code, Code::kInvalidInput);
    return status.error().message.substr(status.error().message.rfind(": ") + 2);
  };
  EXPECT_EQ(message([](Rule& r) { r.operands.pop_back(); }), "1 operands and 1 results");
  EXPECT_EQ(message([](Rule& r) { r.operands[0].pop_back(); }), "1 dimensions for f32[4,6]");
  EXPECT_EQ(message([](Rule& r) { r.operands[0][0] = {0, 0}; }), "factor a occurs twice in one array");
  EXPECT_EQ(message([](Rule& r) { r.factors[0].size = 2; }), "factors of dimension 0 of f32[4,6] multiply to 2");
  EXPECT_EQ(message([](Rule& r) { r.results[0][0].clear(); }), "free factor a is in no result, or has a halo");
  EXPECT_EQ(message([](Rule& r) { r.factors[0].kind = FactorKind::kContracted; }),
            "contracted factor a is in a result, or in no operand");
  EXPECT_EQ(message([](Rule& r) { r.factors[0].kind = FactorKind::kWindow; }),
            "window factor a is not read, written, with a halo");
  EXPECT_EQ(message([](Rule& r) { r.factors[0].halo_low = -1; }), "the halo of factor a is negative");
  EXPECT_EQ(message([](Rule& r) { r.factors.push_back({.kind = FactorKind::kWhole}); }), "factor c is nowhere");
  EXPECT_EQ(message([](Rule& r) { r.apart = {{0, 1}, {0, 2}}; }), "a pair of factors that do not exist");
  EXPECT_EQ(message([](Rule& r) {
              r.factors.push_back({.size = 4, .kind = FactorKind::kContracted, .combiner = Combiner::kMax});
              r.operands[0][0] = {2};
              r.results[0][0].clear();
              r.factors[0].kind = FactorKind::kWhole;
            }),
            "factor a is nowhere");
}

}  // namespace
}  // namespace alpa::sharding
