#include "alpa/schedule/make_instructions.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>

#include "alpa/schedule/check.h"
#include "alpa/schedule/sample_pipelines.h"

namespace alpa::schedule {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

// What a mesh computes: "F0 F1 B0 B1"; with several stages per mesh "F0.1" is chunk 1, microbatch 0.
std::string Computes(const Pipeline& pipeline, int32_t mesh) {
  const auto program = MakeInstructions(pipeline);
  if (!program.ok()) return program.error().message;
  std::string out;
  for (const Instruction& instruction : program->meshes[static_cast<size_t>(mesh)]) {
    if (!IsCompute(instruction.op)) continue;
    if (!out.empty()) out += " ";
    out += instruction.op == Op::kForward          ? "F"
           : instruction.op == Op::kBackwardWeight ? "W"
           : instruction.op == Op::kUpdate         ? "U"
                                                   : "B";
    out += std::to_string(instruction.microbatch);
    const int32_t chunk = pipeline.stages[static_cast<size_t>(instruction.index)].chunk;
    if (static_cast<int32_t>(pipeline.stages.size()) > pipeline.meshes) out += fmt::format(".{}", chunk);
  }
  return out;
}

TEST(MakeInstructions, GpipeRunsAllForwardsFirst) {
  const Pipeline pipeline = ChainPipeline(Kind::kGpipe, 2, 3);
  EXPECT_EQ(Computes(pipeline, 0), "F0 F1 F2 B0 B1 B2 U0");
  EXPECT_EQ(Computes(pipeline, 1), "F0 F1 F2 B0 B1 B2 U0");
}

TEST(MakeInstructions, OneForwardOneBackwardHoldsAsManyAsStagesFollow) {
  const Pipeline pipeline = ChainPipeline(Kind::k1F1B, 3, 4);
  EXPECT_EQ(Computes(pipeline, 0), "F0 F1 F2 B0 F3 B1 B2 B3 U0");
  EXPECT_EQ(Computes(pipeline, 1), "F0 F1 B0 F2 B1 F3 B2 B3 U0");
  EXPECT_EQ(Computes(pipeline, 2), "F0 B0 F1 B1 F2 B2 F3 B3 U0");
}

// Encoder 0 -> 1 and encoder 2, joined by 3: the short branch runs ahead less.
TEST(MakeInstructions, ShortBranchHoldsFewer) {
  Pipeline pipeline = ChainPipeline(Kind::k1F1B, 4, 4);
  pipeline.edges = {{0, 1}, {1, 3}, {2, 3}};
  EXPECT_EQ(Computes(pipeline, 0), "F0 F1 F2 B0 F3 B1 B2 B3 U0");
  EXPECT_EQ(Computes(pipeline, 2), "F0 F1 B0 F2 B1 F3 B2 B3 U0");
}

TEST(MakeInstructions, InterleavedTakesMicrobatchesInGroups) {
  const Pipeline pipeline = ChainPipeline(Kind::kInterleaved, 2, 4, 2);
  EXPECT_EQ(Computes(pipeline, 0),
            "F0.0 F1.0 F0.1 F1.1 F2.0 B0.1 F3.0 B1.1 F2.1 B0.0 F3.1 B1.0 B2.1 B3.1 B2.0 B3.0 U0.0 U0.1");
  EXPECT_EQ(Computes(pipeline, 1),
            "F0.0 F1.0 F0.1 B0.1 F1.1 B1.1 F2.0 B0.0 F3.0 B1.0 F2.1 B2.1 F3.1 B3.1 B2.0 B3.0 U0.0 U0.1");
}

// As in Figure 2 of the zero-bubble paper (Qi et al., ICLR'24).
TEST(MakeInstructions, ZbH1FillsBubblesWithWeightGradients) {
  const Pipeline pipeline = ChainPipeline(Kind::kZbH1, 4, 8);
  EXPECT_EQ(Computes(pipeline, 0), "F0 F1 F2 F3 B0 W0 F4 B1 W1 F5 B2 W2 F6 B3 W3 F7 B4 W4 B5 W5 B6 W6 B7 W7 U0");
  EXPECT_EQ(Computes(pipeline, 3), "F0 B0 F1 B1 F2 B2 F3 B3 W0 F4 B4 W1 F5 B5 W2 F6 B6 W3 F7 B7 W4 W5 W6 W7 U0");
}

TEST(MakeInstructions, InferenceRunsForwardsOnly) {
  EXPECT_EQ(Computes(ChainPipeline(Kind::kInference, 2, 3), 1), "F0 F1 F2");
}

TEST(MakeInstructions, StepsWithoutGradientsRunByEverySchedule) {
  for (const Kind kind : {Kind::kGpipe, Kind::k1F1B, Kind::kInterleaved, Kind::kZbH1}) {
    for (const int32_t meshes : {1, 2, 3}) {
      for (const int32_t chunks : {1, 2, 3}) {
        if (chunks > 1 && kind != Kind::kInterleaved) continue;
        for (const int32_t rounds : {1, 4}) {
          Pipeline pipeline = ChainPipeline(kind, meshes, rounds * meshes, chunks);
          for (Edge& edge : pipeline.edges) edge.cotangent = false;
          const auto program = MakeInstructions(pipeline);
          ASSERT_TRUE(program.ok()) << program.error().message;
          const Status sound = Check(*program, pipeline);
          EXPECT_TRUE(sound.ok()) << ToString(pipeline) << (sound.ok() ? "" : sound.error().message);
        }
      }
    }
  }
}

TEST(MakeInstructions, SendsReceivesAndFreesAroundComputing) {
  Pipeline pipeline = ChainPipeline(Kind::k1F1B, 3, 1);
  pipeline.edges.push_back({0, 2, 8, 0, false});  // a mask
  const auto program = MakeInstructions(pipeline);
  ASSERT_TRUE(program.ok());
  EXPECT_EQ(ToString(*program),
            "mesh 0\n"
            "  forward s0 k0\n"
            "  send-activation e0 k0\n"
            "  send-activation e2 k0\n"
            "  receive-cotangent e0 k0\n"
            "  backward s0 k0\n"
            "  free-cotangent e0 k0\n"
            "  free-activations s0 k0\n"
            "  update s0 r0\n"
            "mesh 1\n"
            "  receive-activation e0 k0\n"
            "  forward s1 k0\n"
            "  send-activation e1 k0\n"
            "  free-input e0 k0\n"
            "  receive-cotangent e1 k0\n"
            "  backward s1 k0\n"
            "  send-cotangent e0 k0\n"
            "  free-cotangent e1 k0\n"
            "  free-activations s1 k0\n"
            "  update s1 r0\n"
            "mesh 2\n"
            "  receive-activation e1 k0\n"
            "  receive-activation e2 k0\n"
            "  forward s2 k0\n"
            "  free-input e1 k0\n"
            "  free-input e2 k0\n"
            "  backward s2 k0\n"
            "  send-cotangent e1 k0\n"
            "  free-activations s2 k0\n"
            "  update s2 r0\n");
}

// Tied parameters, owned by stage 0, and a global norm that stage 0 sums up.
TEST(MakeInstructions, StepEdgesLieBetweenUpdateRounds) {
  Pipeline pipeline = ChainPipeline(Kind::k1F1B, 2, 1);
  pipeline.update_rounds = 3;
  pipeline.step_edges = {{1, 0, 0, 64}, {1, 0, 1, 4}, {0, 1, 2, 4}, {0, 1, 3, 64}};
  const auto program = MakeInstructions(pipeline);
  ASSERT_TRUE(program.ok());
  const std::string text = ToString(*program);
  EXPECT_THAT(text, HasSubstr("  free-activations s0 k0\n"
                              "  receive-step x0\n"
                              "  update s0 r0\n"
                              "  free-step x0\n"
                              "  receive-step x1\n"
                              "  update s0 r1\n"
                              "  free-step x1\n"
                              "  send-step x2\n"
                              "  update s0 r2\n"
                              "  send-step x3\n"
                              "mesh 1\n"));
  EXPECT_THAT(text, EndsWith("  free-activations s1 k0\n"
                             "  send-step x0\n"
                             "  update s1 r0\n"
                             "  send-step x1\n"
                             "  update s1 r1\n"
                             "  receive-step x2\n"
                             "  update s1 r2\n"
                             "  free-step x2\n"
                             "  receive-step x3\n"));
}

TEST(MakeInstructions, ValuesStayBetweenStagesOfOneMesh) {
  const auto program = MakeInstructions(ChainPipeline(Kind::kInterleaved, 1, 1, 2));
  ASSERT_TRUE(program.ok());
  EXPECT_EQ(ToString(*program),
            "mesh 0\n"
            "  forward s0 k0\n"
            "  forward s1 k0\n"
            "  free-input e0 k0\n"
            "  backward s1 k0\n"
            "  free-activations s1 k0\n"
            "  backward s0 k0\n"
            "  free-cotangent e0 k0\n"
            "  free-activations s0 k0\n"
            "  update s0 r0\n"
            "  update s1 r0\n");
}

TEST(MakeInstructions, PassesCheckOnRandomPipelines) {
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    for (int kind = 0; kind < kKindCount; ++kind) {
      const Pipeline pipeline = RandomPipeline(static_cast<Kind>(kind), random);
      const auto program = MakeInstructions(pipeline);
      ASSERT_TRUE(program.ok()) << program.error().message << "\n" << ToString(pipeline);
      const Status status = Check(*program, pipeline);
      ASSERT_TRUE(status.ok()) << status.error().message << "\n" << ToString(pipeline) << ToString(*program);
    }
  }
}

TEST(MakeInstructions, PassesCheckOnAllSmallChains) {
  for (int kind = 0; kind < kKindCount; ++kind) {
    for (int32_t p = 1; p <= 8; ++p) {
      for (int32_t m = 1; m <= 24; ++m) {
        for (int32_t v = 1; v <= (static_cast<Kind>(kind) == Kind::kInterleaved ? 4 : 1); ++v) {
          const Pipeline pipeline = ChainPipeline(static_cast<Kind>(kind), p, m, v);
          const auto program = MakeInstructions(pipeline);
          if (static_cast<Kind>(kind) == Kind::kInterleaved && m % p != 0) {
            ASSERT_FALSE(program.ok());
            EXPECT_EQ(program.error().code, Code::kInvalidArgument);
            continue;
          }
          ASSERT_TRUE(program.ok()) << program.error().message;
          const Status status = Check(*program, pipeline);
          ASSERT_TRUE(status.ok()) << Name(pipeline.kind) << " p=" << p << " m=" << m << " v=" << v << ": "
                                   << status.error().message;
        }
      }
    }
  }
}

// Well under a second each for building and checking, and 12 bytes an instruction.
TEST(MakeInstructions, ManyMeshesAndMicrobatches) {
  EXPECT_EQ(sizeof(Instruction), 12U);
  for (int kind = 0; kind < kKindCount; ++kind) {
    const Pipeline pipeline = ChainPipeline(static_cast<Kind>(kind), 64, 1024);
    const auto start = std::chrono::steady_clock::now();
    const auto program = MakeInstructions(pipeline);
    const auto made = std::chrono::steady_clock::now();
    ASSERT_TRUE(program.ok());
    const Status status = Check(*program, pipeline);
    const auto checked = std::chrono::steady_clock::now();
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_LE(program->size(), int64_t{64} * 1024 * 11);
    const double make = std::chrono::duration<double>(made - start).count();
    const double check = std::chrono::duration<double>(checked - made).count();
    fmt::print("{:12} 64 meshes x 1024 microbatches: {} instructions made in {:.3f} s, checked in {:.3f} s\n",
               Name(pipeline.kind), program->size(), make, check);
    EXPECT_LT(make + check, 10);  // a debug build on a busy machine passes too
  }
}

}  // namespace
}  // namespace alpa::schedule
