#include "alpa/frontend/reach.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alpa/frontend/input_names.h"
#include "alpa/ir/builder.h"

namespace alpa::frontend {
namespace {

using ir::DType;
using ir::GraphBuilder;
using ir::Shape;
using ir::ValueId;

const Shape kVector{DType::kF32, {4}};

TEST(InputSets, FollowEveryOperand) {
  GraphBuilder g;
  std::vector<ValueId> in(70);  // more than one word of bits
  for (ValueId& v : in) v = g.Parameter(kVector);
  const ValueId sum = g.Add(in[1], in[69]);
  const InputSets sets(g.Build({sum}));
  EXPECT_TRUE(sets.Contains(sum, 1));
  EXPECT_TRUE(sets.Contains(sum, 69));
  EXPECT_FALSE(sets.Contains(sum, 0));
  EXPECT_FALSE(sets.Contains(sum, 68));
}

TEST(CarriesOf, FindsElementwisePathsNearestFirst) {
  // Adam's weight: w - lr * m' / sqrt(v'), with m' and v' carried from m and v; the gradient comes through a reduce.
  GraphBuilder g;
  const ValueId w = g.Parameter(kVector);
  const ValueId m = g.Parameter(kVector);
  const ValueId x = g.Parameter({DType::kF32, {8, 4}});
  const ValueId gradient = g.Reduce(g.Multiply(x, x), {0});
  const ValueId next_m = g.Add(m, gradient);
  const ir::Module module = g.Build({g.Subtract(w, next_m)});
  const auto carries = CarriesOf(module, module.outputs[0]);
  ASSERT_EQ(carries.size(), 2U);
  EXPECT_EQ(carries[0].input, 0);
  EXPECT_EQ(carries[0].distance, 1);
  EXPECT_EQ(carries[1].input, 1);
  EXPECT_EQ(carries[1].distance, 2);
}

TEST(DifferentiableAncestors, StopAtPredicatesAndIndices) {
  GraphBuilder g;
  const ValueId w = g.Parameter(kVector);
  const ValueId hits = g.Convert(g.Compare(w, w, "GT"), DType::kF32);
  const ir::Module module = g.Build({g.Reduce(hits, {0})});
  EXPECT_TRUE(Ancestors(module, module.outputs[0])[0]);
  EXPECT_FALSE(DifferentiableAncestors(module, module.outputs[0])[0]);
}

TEST(InputNames, WordsOfTheArgument) {
  EXPECT_EQ(ArgumentOf("params['h'][0]['w']"), "params");
  EXPECT_EQ(ArgumentOf("opt_state.mu.w"), "opt_state");
  EXPECT_EQ(HintOf("params['x']"), NameHint::kState);
  EXPECT_EQ(HintOf("opt_state[0].mu"), NameHint::kState);
  EXPECT_EQ(HintOf("batch['params']"), NameHint::kBatch);
  EXPECT_EQ(HintOf("batch_stats['mean']"), NameHint::kState);
  EXPECT_EQ(HintOf("x1"), NameHint::kBatch);
  EXPECT_EQ(HintOf("dropout_rng"), NameHint::kKey);
  EXPECT_EQ(HintOf("foo"), NameHint::kNone);
  EXPECT_EQ(HintOf(""), NameHint::kNone);
  EXPECT_TRUE(LooksLikeKey({DType::kU32, {2}}, ""));
  EXPECT_FALSE(LooksLikeKey({DType::kU32, {8, 2}}, ""));
}

}  // namespace
}  // namespace alpa::frontend
