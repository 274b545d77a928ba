#include "alpa/ir/step.h"

#include <gtest/gtest.h>

#include <functional>

#include "alpa/ir/builder.h"

namespace alpa::ir {
namespace {

// w' = w + x, loss = sum(x): one parameter, one batch input; updated state and a result.
Module SmallStep() {
  GraphBuilder g;
  const ValueId w = g.Parameter({DType::kF32, {4}}, "w");
  const ValueId x = g.Parameter({DType::kF32, {4}}, "x");
  const ValueId next = g.Add(w, x);
  return g.Build({next, g.Reduce(x, {0})});
}

StepSignature SmallSignature() {
  StepSignature s;
  s.inputs = {{InputRole::kParameter, 0, true}, {InputRole::kBatch, -1, false}};
  s.outputs = {{OutputRole::kUpdatedState, 0}, {OutputRole::kResult, -1}};
  s.loss = 1;
  return s;
}

TEST(StepSignature, NamesRoles) {
  EXPECT_EQ(Name(InputRole::kParameter), "parameter");
  EXPECT_EQ(Name(InputRole::kState), "state");
  EXPECT_EQ(Name(InputRole::kBatch), "batch");
  EXPECT_EQ(Name(OutputRole::kUpdatedState), "state");
  EXPECT_EQ(Name(OutputRole::kResult), "result");
}

TEST(StepSignature, VerifiesAGoodOne) {
  EXPECT_TRUE(Verify(SmallSignature(), SmallStep()).ok());
  StepSignature without_loss = SmallSignature();
  without_loss.loss = -1;
  EXPECT_TRUE(Verify(without_loss, SmallStep()).ok());
}

TEST(StepSignature, VerifyNamesEachViolation) {
  const std::pair<std::function<void(StepSignature&)>, std::string> cases[] = {
      {[](auto& s) { s.inputs.pop_back(); }, "number of inputs or outputs differs from the module's"},
      {[](auto& s) { s.outputs.push_back({}); }, "number of inputs or outputs differs from the module's"},
      {[](auto& s) { s.inputs[1].updated_by = 1; }, "batch input 1 is updated by output 1"},
      {[](auto& s) { s.inputs[0].updated_by = -1; }, "state input 0 is never updated"},
      {[](auto& s) { s.inputs[0].updated_by = 2; }, "state input 0 is never updated"},
      {[](auto& s) { s.inputs[0].updated_by = 1; }, "input 0 and output 1 do not point at each other"},
      {[](auto& s) { s.outputs[0].updates = 1; }, "input 0 and output 0 do not point at each other"},
      {[](auto& s) {
         s.outputs[1] = {OutputRole::kUpdatedState, 0};
         s.inputs[0].updated_by = 1;
       },
       "input 0 and output 1 differ in shape"},
      {[](auto& s) {
         s.outputs[1] = {OutputRole::kUpdatedState, 0};
       },
       "output 1 updates no input"},
      {[](auto& s) {
         s.outputs[1] = {OutputRole::kUpdatedState, -1};
       },
       "output 1 updates no input"},
      {[](auto& s) {
         s.outputs[1] = {OutputRole::kUpdatedState, 2};
       },
       "output 1 updates no input"},
      {[](auto& s) { s.loss = 2; }, "the loss is not an output"},
      {[](auto& s) { s.loss = -2; }, "the loss is not an output"},
  };
  for (const auto& [breaks, what] : cases) {
    StepSignature s = SmallSignature();
    breaks(s);
    const Status status = Verify(s, SmallStep());
    ASSERT_FALSE(status.ok()) << what;
    EXPECT_EQ(status.error().code, Code::kInvalidInput);
    EXPECT_EQ(status.error().message, "step signature: " + what);
  }
}

}  // namespace
}  // namespace alpa::ir
