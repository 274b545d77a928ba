// Loops and branches: where the batch goes.
#include <gtest/gtest.h>

#include "alpa/frontend/batch_dims.h"
#include "alpa/ir/builder.h"

namespace alpa::frontend {
namespace {

using ir::DType;
using ir::GraphBuilder;
using ir::InputRole;
using ir::OpKind;
using ir::Shape;
using ir::ValueId;

const Shape kCount{DType::kS32, {}};
const Shape kBlock{DType::kF32, {8, 4}};
const Shape kRow{DType::kF32, {4}};

// i < 3, for a loop that carries values of these shapes.
ir::Module Below3(const std::vector<Shape>& carried) {
  GraphBuilder g("condition");
  const ValueId i = g.Parameter(carried[0]);
  for (size_t k = 1; k < carried.size(); ++k) g.Parameter(carried[k]);
  return g.Build({g.Compare(i, g.Scalar(3, DType::kS32), "LT")});
}

BatchAnalysis Analyze(const ir::Module& module, const std::vector<InputRole>& roles) {
  std::vector<int> dims;
  dims.reserve(roles.size());
  for (const InputRole role : roles) dims.push_back(role == InputRole::kBatch ? 0 : -1);
  return AnalyzeBatch(module, roles, BatchOptions{dims, {}}).value();
}

TEST(BatchLoops, CarriedBlocksStayBlocks) {
  GraphBuilder body("body");
  const ValueId i = body.Parameter(kCount);
  const ValueId h = body.Parameter(kBlock);
  const ir::Module turn = body.Build({body.Add(i, body.Scalar(1, DType::kS32)), body.Elementwise(OpKind::kTanh, {h})});
  GraphBuilder g;
  const ValueId x = g.Parameter(kBlock);
  const auto out =
      g.OpN(OpKind::kWhile, {g.Scalar(0, DType::kS32), x}, {kCount, kBlock}, {}, {Below3({kCount, kBlock}), turn});
  const BatchAnalysis analysis = Analyze(g.Build({out[1]}), {InputRole::kBatch});
  EXPECT_EQ(ToString(analysis.value(out[0])), "none");
  EXPECT_EQ(ToString(analysis.value(out[1])), "batched(dim 0, 8 parts)");
  EXPECT_TRUE(analysis.events.empty());
}

// Carries (i, h, sum): h starts as zeros and becomes x; sum adds up h over the examples.
TEST(BatchLoops, ZerosBecomeBlocksAndSums) {
  GraphBuilder body("body");
  const ValueId i = body.Parameter(kCount);
  const ValueId h = body.Parameter(kBlock);
  const ValueId sum = body.Parameter(kRow);
  const ValueId x = body.Parameter(kBlock);
  const ir::Module turn =
      body.Build({body.Add(i, body.Scalar(1, DType::kS32)), body.Add(h, x), body.Add(sum, body.Reduce(h, {0})), x});
  const std::vector<Shape> shapes = {kCount, kBlock, kRow, kBlock};
  for (const double start : {0.0, 1.0}) {
    GraphBuilder g;
    const ValueId batch = g.Parameter(kBlock);
    const auto out = g.OpN(OpKind::kWhile, {g.Scalar(0, DType::kS32), g.Fill(kBlock, 0), g.Fill(kRow, start), batch},
                           shapes, {}, {Below3(shapes), turn});
    const BatchAnalysis analysis = Analyze(g.Build({out[1]}), {InputRole::kBatch});
    EXPECT_EQ(analysis.value(out[1]).kind, BatchKind::kBatched);
    EXPECT_EQ(analysis.value(out[2]).kind, start == 0 ? BatchKind::kPartial : BatchKind::kReduced);
    EXPECT_TRUE(analysis.events.empty());
  }
}

TEST(BatchLoops, OpsInsideAreNamedInEvents) {
  GraphBuilder body("body");
  const ValueId i = body.Parameter(kCount);
  const ValueId h = body.Parameter(kBlock);
  body.At({"", "rnn.py", 12, ""});
  const ir::Module turn = body.Build({body.Add(i, body.Scalar(1, DType::kS32)), body.Reverse(h, {0})});
  GraphBuilder g;
  const ValueId x = g.Parameter(kBlock);
  const auto out =
      g.OpN(OpKind::kWhile, {g.Scalar(0, DType::kS32), x}, {kCount, kBlock}, {}, {Below3({kCount, kBlock}), turn});
  const ir::Module module = g.Build({out[1]});
  const BatchAnalysis analysis = Analyze(module, {InputRole::kBatch});
  EXPECT_EQ(analysis.value(out[1]).kind, BatchKind::kMixed);
  ASSERT_EQ(analysis.events.size(), 1U);
  EXPECT_EQ(analysis.events[0].op, module.value(out[1]).producer);
  EXPECT_NE(analysis.events[0].inner.find("rnn.py:12"), std::string::npos);
}

TEST(BatchLoops, TheBatchMustNotDecideOnTurns) {
  GraphBuilder condition("condition");
  const ValueId h = condition.Parameter(kBlock);
  const ValueId total = condition.Reduce(h, {0, 1});
  const ir::Module test = condition.Build({condition.Compare(total, condition.Scalar(1), "LT")});
  GraphBuilder body("body");
  const ValueId b = body.Parameter(kBlock);
  const ir::Module turn = body.Build({body.Add(b, b)});
  GraphBuilder g;
  const ValueId x = g.Parameter(kBlock);
  const ValueId out = g.Op1(OpKind::kWhile, {x}, kBlock, {}, {test, turn});
  const BatchAnalysis analysis = Analyze(g.Build({out}), {InputRole::kBatch});
  EXPECT_EQ(analysis.value(out).kind, BatchKind::kMixed);
  EXPECT_EQ(analysis.events.at(0).why, "lets the batch decide how often a loop runs");
}

TEST(BatchBranches, BranchesAreJoined) {
  GraphBuilder first("first");
  const ValueId a = first.Parameter(kBlock);
  const ir::Module sum = first.Build({a, first.Reduce(a, {0})});
  GraphBuilder second("second");
  const ValueId b = second.Parameter(kBlock);
  const ir::Module zeros = second.Build({second.Add(b, b), second.Fill(kRow, 0)});
  GraphBuilder g;
  const ValueId which = g.Parameter({DType::kPred, {}});
  const ValueId x = g.Parameter(kBlock);
  const auto out = g.OpN(OpKind::kConditional, {which, x, x}, {kBlock, kRow}, {}, {sum, zeros});
  const BatchAnalysis analysis = Analyze(g.Build({out[0]}), {InputRole::kState, InputRole::kBatch});
  EXPECT_EQ(analysis.value(out[0]).kind, BatchKind::kBatched);
  EXPECT_EQ(analysis.value(out[1]).kind, BatchKind::kPartial);
}

TEST(BatchBranches, AChoiceByASumNeedsItComplete) {
  GraphBuilder branch("branch");
  const ir::Module same = branch.Build({branch.Parameter(kBlock)});
  GraphBuilder g;
  const ValueId x = g.Parameter(kBlock);
  const ValueId which = g.Compare(g.Reduce(x, {0, 1}), g.Scalar(0), "GT");
  const ValueId out = g.Op1(OpKind::kConditional, {which, x, x}, kBlock, {}, {same, same});
  const BatchAnalysis analysis = Analyze(g.Build({out}), {InputRole::kBatch});
  EXPECT_EQ(analysis.value(out).kind, BatchKind::kBatched);
  ASSERT_EQ(analysis.events.size(), 1U);
  EXPECT_EQ(analysis.events[0].kind, BatchEvent::Kind::kNeedsComplete);
}

}  // namespace
}  // namespace alpa::frontend
