#include "alpa/frontend/unstack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alpa/frontend/evaluate_test_support.h"
#include "alpa/frontend/step_test_support.h"

namespace alpa::frontend {
namespace {

using ir::DType;
using ir::OpKind;
using ir::ValueId;
using testing::ElementsAre;

// How the gradients of the parts become one array again.
enum class Joined { kConcatenated, kPaddedAndAdded, kUpdated };

struct StackOptions {
  Joined joined = Joined::kConcatenated;
  bool clip = false;        // by the norm of the whole array
  bool read_whole = false;  // the loss depends on the whole array too
  bool skip_last = false;   // the last part is never read
};

// h = tanh(h w[k]) for k = 0, 1, 2 with w [3, 4, 4] and its momentum; the loss is the sum of squares, the gradients are
// some function of the activations (their values do not matter here).
ir::Module Stacked(const StackOptions& options) {
  const ir::Shape stack{DType::kF32, {3, 4, 4}};
  ir::GraphBuilder g("stacked");
  const ValueId w = g.Parameter(stack, "params['w']");
  const ValueId m = g.Parameter(stack, "moments['w']");
  ValueId h = g.Parameter({DType::kF32, {8, 4}}, "batch['x']");
  const int parts = options.skip_last ? 2 : 3;
  std::vector<ValueId> gradients;
  for (int k = 0; k < parts; ++k) {
    const ValueId part = g.Reshape(g.Slice(w, {k, 0, 0}, {k + 1, 4, 4}), {4, 4});
    const ValueId next = g.Elementwise(OpKind::kTanh, {g.MatMul(h, part)});
    gradients.push_back(g.Reshape(g.Dot(h, next, {{}, {}, {0}, {0}}), {1, 4, 4}));
    h = next;
  }
  if (options.skip_last) gradients.push_back(gradients.back());
  ValueId loss = g.Reduce(g.Multiply(h, h), {0, 1});
  if (options.read_whole) loss = g.Add(loss, g.Reduce(g.Dot(w, w, {{}, {}, {0, 1}, {0, 1}}), {0, 1}));
  ValueId grad = -1;
  if (options.joined == Joined::kConcatenated) grad = g.Concatenate(gradients, 0);
  if (options.joined == Joined::kUpdated) grad = g.Fill(stack, 0);
  for (int k = 0; k < 3; ++k) {
    const ValueId part = gradients[static_cast<size_t>(k)];
    if (options.joined == Joined::kUpdated) {
      const ValueId zero = g.Scalar(0, DType::kS32);
      grad = g.Op1(OpKind::kDynamicUpdateSlice, {grad, part, g.Scalar(k, DType::kS32), zero, zero}, stack);
    } else if (options.joined == Joined::kPaddedAndAdded) {
      const ValueId padded = g.Pad(part, {k, 0, 0}, {2 - k, 0, 0});
      grad = grad < 0 ? padded : g.Add(grad, padded);
    }
  }
  if (options.clip) {
    const ValueId norm = g.Elementwise(OpKind::kSqrt, {g.Reduce(g.Multiply(grad, grad), {0, 1, 2})});
    grad = g.Divide(grad, g.Broadcast(norm, stack.dims, {}));
  }
  const ValueId moment = g.Add(g.Multiply(m, g.Fill(stack, 0.9)), grad);
  const ValueId next = g.Subtract(w, g.Multiply(moment, g.Fill(stack, 0.1)));
  return g.Build({next, moment, loss}, {{0, 0}, {1, 1}});
}

Unstacked Apart(const TestStep& step) {
  auto apart = UnstackParameters(step.module, step.analysis.signature);
  EXPECT_TRUE(apart.ok());
  EXPECT_TRUE(ir::Verify(apart->module).ok());
  EXPECT_TRUE(ir::Verify(apart->signature, apart->module).ok());
  return *apart;
}

Tensor PartOf(const Tensor& whole, int part) {
  Tensor out = whole;
  out.dims[0] = 1;
  const auto size = static_cast<std::ptrdiff_t>(whole.data.size()) / whole.dims[0];
  out.data.assign(whole.data.begin() + size * part, whole.data.begin() + size * (part + 1));
  return out;
}

// The new step computes the parts of what the old one computes.
void ExpectSameNumbers(const TestStep& step, const Unstacked& apart) {
  const std::vector<Tensor> inputs = SomeInputs(step.module);
  const std::vector<Tensor> expected = EvaluateModule(step.module, inputs);
  auto pick = [](const std::vector<Tensor>& whole, const StackPart& part) {
    const Tensor& t = whole[static_cast<size_t>(part.whole)];
    return part.part < 0 ? t : PartOf(t, part.part);
  };
  std::vector<Tensor> split;
  for (const StackPart& part : apart.inputs) split.push_back(pick(inputs, part));
  const std::vector<Tensor> got = EvaluateModule(apart.module, split);
  for (size_t o = 0; o < got.size(); ++o)
    EXPECT_LT(LargestDifference(got[o], pick(expected, apart.outputs[o])), 1e-12) << o;
}

TEST(Unstack, EachPartGetsItsInputsAndOutputs) {
  const TestStep step = AnalyzedStep(Stacked({}));
  const Unstacked apart = Apart(step);
  EXPECT_EQ(apart.stacks, 2);
  EXPECT_THAT(apart.module.input_names,
              ElementsAre("params['w'][0]", "params['w'][1]", "params['w'][2]", "moments['w'][0]", "moments['w'][1]",
                          "moments['w'][2]", "batch['x']"));
  EXPECT_EQ(ToString(apart.module.shape(apart.module.inputs[0])), "f32[1,4,4]");
  EXPECT_THAT(apart.inputs, ElementsAre(StackPart{0, 0}, StackPart{0, 1}, StackPart{0, 2}, StackPart{1, 0},
                                        StackPart{1, 1}, StackPart{1, 2}, StackPart{2, -1}));
  EXPECT_EQ(apart.outputs.size(), 7U);
  EXPECT_EQ(apart.outputs[5], (StackPart{1, 2}));
  EXPECT_EQ(apart.signature.loss, 6);
  EXPECT_EQ(apart.signature.inputs[4].updated_by, 4);
  EXPECT_EQ(apart.module.aliases.size(), 6U);
  EXPECT_EQ(apart.module.aliases[5], (ir::Alias{5, 5}));
  for (const ir::Op& op : apart.module.ops) EXPECT_NE(op.kind, OpKind::kSlice) << "a part is there already";
}

TEST(Unstack, ComputesTheSameHoweverGradientsAreJoined) {
  for (const Joined joined : {Joined::kConcatenated, Joined::kPaddedAndAdded, Joined::kUpdated}) {
    for (const bool clip : {false, true}) {
      const TestStep step = AnalyzedStep(Stacked({.joined = joined, .clip = clip}));
      const Unstacked apart = Apart(step);
      EXPECT_EQ(apart.stacks, 2);
      ExpectSameNumbers(step, apart);
      for (const ir::Op& op : apart.module.ops) {
        EXPECT_NE(op.kind, OpKind::kPad);
        EXPECT_NE(op.kind, OpKind::kConcatenate);
        EXPECT_NE(op.kind, OpKind::kDynamicUpdateSlice);
      }
    }
  }
}

TEST(Unstack, LeavesWhatIsReadAsAWhole) {
  const TestStep step = AnalyzedStep(Stacked({.read_whole = true}));
  const Unstacked apart = Apart(step);
  EXPECT_EQ(apart.stacks, 0);
  EXPECT_EQ(ir::Fingerprint(apart.module), ir::Fingerprint(step.module));
  EXPECT_EQ(apart.signature, step.analysis.signature);
}

TEST(Unstack, LeavesWhatIsNotAllRead) { EXPECT_EQ(Apart(AnalyzedStep(Stacked({.skip_last = true}))).stacks, 0); }

TEST(Unstack, RefusesASignatureOfAnotherModule) {
  const TestStep step = AnalyzedStep(Stacked({}));
  const auto apart = UnstackParameters(step.module, MlpStep({}).analysis.signature);
  ASSERT_FALSE(apart.ok());
  EXPECT_EQ(apart.error().code, Code::kInvalidInput);
}

}  // namespace
}  // namespace alpa::frontend
