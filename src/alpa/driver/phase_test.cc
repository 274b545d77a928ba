#include "alpa/driver/phase.h"

#include <gtest/gtest.h>

#include "alpa/base/file.h"
#include "alpa/runtime/test_support.h"

namespace alpa::driver {
namespace {

Result<int> RunGate(const Gate& gate, Result<int> value, const Status& verdict = Ok()) {
  return gate.Run<int>(
      Phase::kPlan, [&] { return value; }, [&](const int&) { return verdict; }, "txt",
      [](const int& v) { return Result<std::string>(std::to_string(v)); });
}

TEST(Phase, NamesComeBack) {
  for (const Phase phase : kPhases) EXPECT_EQ(PhaseFromName(Name(phase)), phase);
  EXPECT_EQ(PhaseFromName("lunch"), std::nullopt);
}

TEST(Gate, PassesTheValueOn) { EXPECT_EQ(*RunGate(Gate({}), 7), 7); }

TEST(Gate, StopsAtAnErrorOfThePassOrItsVerifier) {
  const Error error{Code::kInvalidInput, "no", ""};
  EXPECT_EQ(RunGate(Gate({}), error).error(), error);
  EXPECT_EQ(RunGate(Gate({}), 7, error).error(), error);
}

TEST(Gate, DumpsUnderNumberAndName) {
  const runtime::TempFolder folder;
  GateOptions options;
  options.dump_dir = folder / "dumps";
  ASSERT_TRUE(RunGate(Gate(options), 7).ok());
  EXPECT_EQ(*ReadFile(folder / "dumps/03-plan.txt"), "7");
}

TEST(Gate, SaysWhereToStop) {
  GateOptions options;
  options.stop_after = Phase::kPlan;
  EXPECT_TRUE(Gate(options).Stops(Phase::kPlan));
  EXPECT_FALSE(Gate(options).Stops(Phase::kImport));
}

}  // namespace
}  // namespace alpa::driver
