#include "alpa/runtime/input_names.h"

#include <gtest/gtest.h>

#include "alpa/runtime/state_kinds.h"
#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

using Names = std::vector<std::string>;

StepBuilder WithState(const Names& parameters, const Names& state) {
  StepBuilder b;
  for (size_t i = 0; i < parameters.size(); ++i) b.Parameter(parameters[i], F32Shape({static_cast<int64_t>(i) + 1}));
  // The state repeats the parameters' shapes.
  for (size_t i = 0; i < state.size(); ++i) {
    b.State(state[i], F32Shape({static_cast<int64_t>(i % parameters.size()) + 1}));
  }
  return b;
}

TEST(UniqueInputNames, NumbersInputsWithoutNameAndSeparatesEqualOnes) {
  StepBuilder b;
  for (const char* name : {"w", "", "w", "input_0001"}) b.Parameter(name, F32Shape({1}));
  EXPECT_EQ(UniqueInputNames(b.module), (Names{"w", "input_0001", "w#2", "input_0001#3"}));
}

TEST(FillInputNames, KeepsTheModulesOwn) {
  StepBuilder b;
  for (const char* name : {"w", "", ""}) b.Parameter(name, F32Shape({1}));
  FillInputNames({"a", "b", ""}, b.module);
  EXPECT_EQ(b.module.input_names, (Names{"w", "b", ""}));
}

TEST(NameComponents, SplitsPytreePaths) {
  EXPECT_EQ(NameComponents("param.h[0].fc1.b"), (Names{"param", "h", "0", "fc1", "b"}));
  EXPECT_EQ(NameComponents("params['h'][0]['fc1']"), (Names{"params", "h", "0", "fc1"}));
  EXPECT_EQ(NameComponents(""), Names{});
  EXPECT_EQ(LastComponent("batch.ids"), "ids");
  EXPECT_EQ(LastComponent("ids"), "ids");
}

TEST(StateKinds, AreWhatStandsInFrontOfAParametersPath) {
  const StepBuilder b = WithState({"param.fc.b", "param.fc.w"}, {"opt.mu.fc.b", "opt.mu.fc.w", "opt.nu.fc.b",
                                                                 "opt.nu.fc.w", "opt.count", "opt.bn.mean"});
  EXPECT_EQ(StateKinds(b.module, b.signature),
            (Names{"parameter", "parameter", "opt.mu", "opt.mu", "opt.nu", "opt.nu", "count", "mean"}));
}

TEST(StateKinds, AreRunsShapedLikeTheParametersWhenThereAreNoNames) {
  StepBuilder b = WithState({"", ""}, {"", "", "", ""});
  b.State("", S32Shape({}));
  b.Batch("", F32Shape({4}));
  EXPECT_EQ(StateKinds(b.module, b.signature),
            (Names{"parameter", "parameter", "slot 0", "slot 0", "slot 1", "slot 1", "state 6", ""}));
}

TEST(StateKinds, WorkWithOneParameter) {
  const StepBuilder b = WithState({"params.w"}, {"momentum.w"});
  EXPECT_EQ(StateKinds(b.module, b.signature), (Names{"parameter", "momentum"}));
}

}  // namespace
}  // namespace alpa::runtime
