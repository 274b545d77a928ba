#include "alpa/schedule/buffers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "alpa/schedule/sample_pipelines.h"

namespace alpa::schedule {
namespace {

// "reads input e0 k3, writes activations s1 k3".
std::string Accesses(const Pipeline& pipeline, const Instruction& instruction) {
  std::vector<BufferAccess> accesses;
  AccessesOf(pipeline, EdgesOfStages(pipeline), instruction, &accesses);
  std::string out;
  for (const BufferAccess& access : accesses) {
    out += out.empty() ? "" : ", ";
    out += access.access == Access::kRead ? "reads " : access.access == Access::kWrite ? "writes " : "frees ";
    out += ToString(access.buffer);
  }
  return out;
}

TEST(AccessesOf, MiddleStageOfAChain) {
  const Pipeline pipeline = ChainPipeline(Kind::k1F1B, 3, 4);
  EXPECT_EQ(Accesses(pipeline, {Op::kReceiveActivation, 0, 3}), "writes input e0 k3");
  EXPECT_EQ(Accesses(pipeline, {Op::kForward, 1, 3}),
            "reads input e0 k3, writes output e1 k3, writes activations s1 k3");
  EXPECT_EQ(Accesses(pipeline, {Op::kSendActivation, 1, 3}), "reads output e1 k3, frees output e1 k3");
  EXPECT_EQ(Accesses(pipeline, {Op::kFreeInput, 0, 3}), "frees input e0 k3");
  EXPECT_EQ(Accesses(pipeline, {Op::kReceiveCotangent, 1, 3}), "writes cotangent-in e1 k3");
  EXPECT_EQ(Accesses(pipeline, {Op::kBackward, 1, 3}),
            "reads activations s1 k3, reads cotangent-in e1 k3, writes cotangent-out e0 k3");
  EXPECT_EQ(Accesses(pipeline, {Op::kSendCotangent, 0, 3}), "reads cotangent-out e0 k3, frees cotangent-out e0 k3");
  EXPECT_EQ(Accesses(pipeline, {Op::kFreeCotangent, 1, 3}), "frees cotangent-in e1 k3");
  EXPECT_EQ(Accesses(pipeline, {Op::kFreeActivations, 1, 3}), "frees activations s1 k3");
}

TEST(AccessesOf, DividedBackward) {
  const Pipeline pipeline = ChainPipeline(Kind::kZbH1, 1, 4);
  EXPECT_EQ(Accesses(pipeline, {Op::kForward, 0, 2}), "writes activations s0 k2, writes weight-inputs s0 k2");
  EXPECT_EQ(Accesses(pipeline, {Op::kBackwardInput, 0, 2}), "reads activations s0 k2, reads weight-inputs s0 k2");
  EXPECT_EQ(Accesses(pipeline, {Op::kBackwardWeight, 0, 2}), "reads weight-inputs s0 k2");
  EXPECT_EQ(Accesses(pipeline, {Op::kFreeWeightInputs, 0, 2}), "frees weight-inputs s0 k2");
}

TEST(AccessesOf, ValuesThatStayOnTheirMesh) {
  const Pipeline pipeline = ChainPipeline(Kind::kInterleaved, 1, 1, 2);
  EXPECT_EQ(Accesses(pipeline, {Op::kForward, 0, 0}), "writes input e0 k0, writes activations s0 k0");
  EXPECT_EQ(Accesses(pipeline, {Op::kBackward, 1, 0}), "reads activations s1 k0, writes cotangent-in e0 k0");
}

TEST(AccessesOf, ValuesOfAStep) {
  Pipeline pipeline = ChainPipeline(Kind::k1F1B, 2, 1);
  pipeline.step_edges = {{1, 0, 0, 8}, {0, 1, 1, 8}};
  EXPECT_EQ(Accesses(pipeline, {Op::kSendStep, 0, 0}), "");
  EXPECT_EQ(Accesses(pipeline, {Op::kReceiveStep, 0, 0}), "writes step-input x0");
  EXPECT_EQ(Accesses(pipeline, {Op::kUpdate, 0, 0}), "reads step-input x0");
  EXPECT_EQ(Accesses(pipeline, {Op::kFreeStep, 0, 0}), "frees step-input x0");
  EXPECT_EQ(Accesses(pipeline, {Op::kReceiveStep, 1, 0}), "");  // new state
  EXPECT_EQ(Accesses(pipeline, {Op::kUpdate, 1, 0}), "");
}

}  // namespace
}  // namespace alpa::schedule
