#include "alpa/runtime/guess_init.h"

#include <gtest/gtest.h>

#include <cmath>

#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

using ir::OpKind;
using Kind = InitRule::Kind;

// loss = sum((x @ w) * gain + bias), the backward pass multiplies by `bias` too; momentum of w.
StepBuilder NormStep() {
  StepBuilder b;
  const auto bias = b.Parameter("b", F32Shape({8}));
  const auto gain = b.Parameter("g", F32Shape({8}));
  const auto w = b.Parameter("w", F32Shape({12, 8}));
  const auto momentum = b.State("mom", F32Shape({12, 8}));
  const auto x = b.Batch("x", F32Shape({4, 12}));
  const auto y = b.Op(OpKind::kDot, {x, w}, F32Shape({4, 8}));
  const auto scaled = b.Op(
      OpKind::kMultiply, {y, b.Op(OpKind::kBroadcast, {gain}, F32Shape({4, 8}), ir::DimsAttr{{1}})}, F32Shape({4, 8}));
  const auto shifted = b.Op(
      OpKind::kAdd, {scaled, b.Op(OpKind::kBroadcast, {bias}, F32Shape({4, 8}), ir::DimsAttr{{1}})}, F32Shape({4, 8}));
  const auto loss = b.Op(OpKind::kReduce, {shifted}, F32Shape({}), ir::DimsAttr{{0, 1}});
  b.Update(0, b.Op(OpKind::kMultiply, {bias, bias}, F32Shape({8})));
  b.Update(1, b.Op(OpKind::kNegate, {gain}, F32Shape({8})));
  b.Update(2, b.Op(OpKind::kAdd, {w, momentum}, F32Shape({12, 8})));
  b.Update(3, b.Op(OpKind::kAdd, {momentum, w}, F32Shape({12, 8})));
  b.Loss(loss);
  return b;
}

TEST(GuessInitRules, TellsWeightsGainsBiasesAndOtherStateApart) {
  const StepBuilder b = NormStep();
  const auto rules = GuessInitRules(b.module, b.signature, 0);
  EXPECT_EQ(rules[0], (InitRule{Kind::kConst, 0, 0})) << "added in the forward pass, multiplied only in the update";
  EXPECT_EQ(rules[1], (InitRule{Kind::kConst, 1, 0}));
  EXPECT_EQ(rules[2].kind, Kind::kUniform);
  EXPECT_FLOAT_EQ(static_cast<float>(rules[2].value), 0.5F) << "variance 1/12: uniform in [-1/2, 1/2)";
  EXPECT_EQ(rules[3], (InitRule{Kind::kConst, 0, 0}));
  EXPECT_EQ(rules[4].kind, Kind::kUniform);
  EXPECT_EQ(rules[4].value, 1);
}

TEST(GuessInitRules, DependsOnTheSeedAndTheInputAlone) {
  const StepBuilder b = NormStep();
  EXPECT_EQ(GuessInitRules(b.module, b.signature, 5), GuessInitRules(b.module, b.signature, 5));
  const auto a = GuessInitRules(b.module, b.signature, 5);
  EXPECT_NE(a[2].seed, GuessInitRules(b.module, b.signature, 6)[2].seed);
  EXPECT_NE(a[2].seed, a[4].seed);
}

TEST(GuessInitRules, BoundsIntegersByTheirUses) {
  StepBuilder b;
  const auto ids = b.Batch("ids", S32Shape({6}));
  b.Batch("flags", S32Shape({6}));
  b.Batch("mask", {ir::DType::kPred, {6}});
  const auto iota = b.Op(OpKind::kIota, {}, S32Shape({6}), ir::DimsAttr{{0}});
  b.Op(OpKind::kCompare, {ids, iota}, {ir::DType::kPred, {6}}, ir::TextAttr{"EQ"});
  const auto rules = GuessInitRules(b.module, b.signature, 0);
  for (const InitRule& rule : rules) EXPECT_EQ(rule.kind, Kind::kInt);
  EXPECT_EQ(rules[0].value, 6);
  EXPECT_EQ(rules[1].value, 2);
  EXPECT_EQ(rules[2].value, 2);
}

// w is bf16; its fp32 master copy is updated and rounded back.
TEST(GuessInitRules, GivesMasterCopiesTheRuleOfTheirParameter) {
  StepBuilder b;
  const ir::Shape bf16{ir::DType::kBF16, {3, 8}};
  const auto w = b.Parameter("w", bf16);
  const auto master = b.State("master", F32Shape({3, 8}));
  const auto updated = b.Op(OpKind::kAdd, {master, b.Op(OpKind::kConvert, {w}, F32Shape({3, 8}))}, F32Shape({3, 8}));
  b.Update(1, updated);
  b.Update(0, b.Op(OpKind::kConvert, {updated}, bf16));
  b.Loss(b.Op(OpKind::kReduce, {w}, F32Shape({}), ir::DimsAttr{{0, 1}}));
  EXPECT_EQ(MasterCopies(b.module, b.signature), (std::vector<int32_t>{-1, 0}));
  const auto rules = GuessInitRules(b.module, b.signature, 0);
  EXPECT_EQ(rules[0].kind, Kind::kUniform);
  EXPECT_EQ(rules[1], rules[0]);
}

TEST(RandomKey, IsThatOfJax) {
  const ir::Shape threefry{ir::DType::kU32, {2}};
  const ir::Shape rbg{ir::DType::kU32, {4}};
  EXPECT_EQ(RandomKey(threefry, 7), Tensor(ir::DType::kU32, {2}, {0, 7}));
  EXPECT_EQ(RandomKey(rbg, (uint64_t{3} << 32) + 7), Tensor(ir::DType::kU32, {4}, {3, 7, 3, 7}));
  StepBuilder b;
  b.State("key", threefry);
  b.Batch("key", rbg);
  b.State("count", {ir::DType::kU32, {3}});
  EXPECT_TRUE(IsRandomKey(b.module, b.signature, 0));
  EXPECT_TRUE(IsRandomKey(b.module, b.signature, 1));
  EXPECT_FALSE(IsRandomKey(b.module, b.signature, 2));
}

}  // namespace
}  // namespace alpa::runtime
