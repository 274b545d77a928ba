#include "alpa/intra/lifetimes.h"

#include <gtest/gtest.h>

#include "alpa/ir/builder.h"

namespace alpa::intra {
namespace {

using ir::DType;
using ir::InputRole;
using ir::OpKind;
using ir::OutputRole;

// w' = w - 0.1 * grad, grad = x^T tanh(x w); state w, batch x.
struct Fixture {
  ir::GraphBuilder g{"small"};
  ir::ValueId w, x, y, t, grad, rate, scaled, next;
  ir::Module module;
  ir::StepSignature signature;
  std::vector<Lifetime> lifetimes;

  explicit Fixture(bool donated = true) {
    w = g.Parameter({DType::kF32, {8, 8}}, "w");   // op 0
    x = g.Parameter({DType::kF32, {16, 8}}, "x");  // op 1
    y = g.MatMul(x, w);                            // op 2
    t = g.Elementwise(OpKind::kTanh, {y});         // op 3
    grad = g.Dot(x, t, {{}, {}, {0}, {0}});        // op 4
    rate = g.Fill({DType::kF32, {8, 8}}, 0.1);     // ops 5, 6
    scaled = g.Multiply(grad, rate);               // op 7
    next = g.Subtract(w, scaled);                  // op 8
    module = g.Build({next}, {{0, 0}});
    signature.inputs = {{InputRole::kParameter, 0, donated}, {InputRole::kBatch, -1, false}};
    signature.outputs = {{OutputRole::kUpdatedState, 0}};
    lifetimes = FindLifetimes(module, signature);
  }
  const Lifetime& of(ir::ValueId v) const { return lifetimes[static_cast<size_t>(v)]; }
};

TEST(Lifetimes, StateLivesFromBeginningToEndAndTheBatchUntilLastRead) {
  const Fixture f;
  EXPECT_EQ(f.of(f.w).live, (solver::Interval{0, 9}));
  EXPECT_EQ(f.of(f.x).live, (solver::Interval{0, 5}));
}

TEST(Lifetimes, ResultsLiveUntilLastRead) {
  const Fixture f;
  EXPECT_EQ(f.of(f.y).live, (solver::Interval{2, 4}));
  EXPECT_TRUE(f.of(f.t).materialized) << "a dot cannot take its operand in registers";
  EXPECT_EQ(f.of(f.t).live, (solver::Interval{3, 5}));
}

TEST(Lifetimes, AnElementwiseResultWithOneElementwiseReaderIsNeverWrittenButKeepsItsOperandsAlive) {
  const Fixture f;
  EXPECT_FALSE(f.of(f.scaled).materialized);
  EXPECT_EQ(f.of(f.scaled).live, (solver::Interval{}));
  EXPECT_EQ(f.of(f.grad).live, (solver::Interval{4, 9})) << "the gradient is read when the subtraction runs";
}

TEST(Lifetimes, ConstantsSpreadOverAShapeAreFree) {
  const Fixture f;
  EXPECT_TRUE(f.of(f.rate).free);
  EXPECT_FALSE(f.of(f.rate).materialized);
  EXPECT_FALSE(f.of(f.grad).free);
}

TEST(Lifetimes, NewStateIsWrittenOverTheOldOnlyWhenDonated) {
  const Fixture donated;
  EXPECT_TRUE(donated.of(donated.next).materialized);
  EXPECT_EQ(donated.of(donated.next).live, (solver::Interval{}));
  const Fixture kept(/*donated=*/false);
  EXPECT_EQ(kept.of(kept.next).live, (solver::Interval{8, 9}));
}

// A reshape is another view: what it is made of stays in memory for its readers.
TEST(Lifetimes, AViewKeepsItsOperandAlive) {
  ir::GraphBuilder g;
  const auto x = g.Parameter({DType::kF32, {4, 6}}, "x");  // op 0
  const auto e = g.Elementwise(OpKind::kExp, {x});         // op 1
  const auto v = g.Reshape(e, {24});                       // op 2
  const auto other = g.Reduce(e, {0, 1});                  // ops 3, 4
  const auto r = g.Reduce(v, {0}, OpKind::kMaximum);       // ops 5, 6
  const ir::Module module = g.Build({r, other});
  ir::StepSignature signature;
  signature.inputs = {{InputRole::kBatch, -1, false}};
  signature.outputs = {{OutputRole::kResult, -1}, {OutputRole::kResult, -1}};
  const auto lifetimes = FindLifetimes(module, signature);
  EXPECT_FALSE(lifetimes[static_cast<size_t>(v)].materialized);
  EXPECT_EQ(lifetimes[static_cast<size_t>(e)].live, (solver::Interval{1, 7}));
}

}  // namespace
}  // namespace alpa::intra
