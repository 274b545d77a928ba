#include "alpa/schedule/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "alpa/schedule/make_instructions.h"
#include "alpa/schedule/sample_pipelines.h"

namespace alpa::schedule {
namespace {

using ::testing::HasSubstr;

TEST(Program, TextParsesBack) {
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    for (int kind = 0; kind < kKindCount; ++kind) {
      const auto program = MakeInstructions(RandomPipeline(static_cast<Kind>(kind), random));
      ASSERT_TRUE(program.ok());
      const auto parsed = ParseProgram(ToString(*program));
      ASSERT_TRUE(parsed.ok()) << parsed.error().message;
      EXPECT_EQ(*parsed, *program);
    }
  }
}

TEST(Program, EveryInstructionHasATextOfItsOwn) {
  for (int i = 0; i < kOpCount; ++i) {
    const auto op = static_cast<Op>(i);
    const Instruction instruction{op, 7, OperandOf(op) == Operand::kStepEdge ? 0 : 9};
    const auto parsed = ParseProgram("mesh 0\n" + ToString(instruction));
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(parsed->meshes[0][0], instruction);
  }
}

TEST(ParseProgram, IgnoresCommentsAndBlankLines) {
  const auto program = ParseProgram("# a step\n\nmesh 0 # first\n\tforward  s2 k5  # here\nmesh 1\n");
  ASSERT_TRUE(program.ok());
  EXPECT_EQ(*program, (Program{{{{Op::kForward, 2, 5}}, {}}}));
  EXPECT_EQ(program->size(), 1);
}

TEST(ParseProgram, NamesTheLine) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"mesh 1\n", "line 1: expected \"mesh 0\""},
      {"mesh 0\nmesh 1 2\n", "line 2: expected \"mesh 1\""},
      {"\nforward s0 k0\n", "line 2: an instruction before the first mesh"},
      {"mesh 0\n  jump s0 k0\n", "line 2: there is no instruction 'jump'"},
      {"mesh 0\n  forward s0\n", "line 2: 'forward' has not the operands"},
      {"mesh 0\n  forward s0 r0\n", "line 2: 'forward' has not the operands"},
      {"mesh 0\n  forward e0 k0\n", "line 2: 'forward' has not the operands"},
      {"mesh 0\n  forward s0 k0 k0\n", "line 2: 'forward' has not the operands"},
      {"mesh 0\n  forward s-1 k0\n", "line 2: 'forward' has not the operands"},
      {"mesh 0\n  forward s0 k99999999999\n", "line 2: 'forward' has not the operands"},
      {"mesh 0\n  send-step x0 k0\n", "line 2: 'send-step' has not the operands"},
  };
  for (const auto& [text, message] : cases) {
    const auto program = ParseProgram(text);
    ASSERT_FALSE(program.ok()) << text;
    EXPECT_EQ(program.error().code, Code::kInvalidInput);
    EXPECT_THAT(program.error().message, HasSubstr(message));
  }
}

}  // namespace
}  // namespace alpa::schedule
