#include "alpa/simulate/messages.h"

#include <gtest/gtest.h>

#include "alpa/schedule/sample_pipelines.h"

namespace alpa::simulate {
namespace {

using schedule::Instruction;
using schedule::Op;

TEST(Messages, AreNumberedByChannelAndMicrobatch) {
  schedule::Pipeline pipeline = schedule::ChainPipeline(schedule::Kind::k1F1B, 3, 4);
  pipeline.edges[1].forward_bytes = 10;
  pipeline.edges[1].backward_bytes = 20;
  pipeline.step_edges = {{2, 0, 0, 30}};
  const Messages messages(pipeline);
  EXPECT_EQ(messages.channels(), 2 + 2 + 1);
  EXPECT_EQ(messages.size(), 2 * 4 + 2 * 4 + 1);
  EXPECT_EQ(messages.NumberOf({Op::kSendActivation, 1, 3}), 11);
  EXPECT_EQ(messages.NumberOf({Op::kReceiveActivation, 1, 3}), 11);
  EXPECT_EQ(messages.NumberOf({Op::kSendCotangent, 1, 0}), 12);
  EXPECT_EQ(messages.NumberOf({Op::kReceiveCotangent, 1, 0}), 12);
  EXPECT_EQ(messages.NumberOf({Op::kReceiveStep, 0, 0}), 16);
  EXPECT_EQ(messages.SendOf(11), (Instruction{Op::kSendActivation, 1, 3}));
  EXPECT_EQ(messages.SendOf(16), (Instruction{Op::kSendStep, 0, 0}));
  for (int32_t i = 0; i < messages.size(); ++i) EXPECT_EQ(messages.NumberOf(messages.SendOf(i)), i);

  const int32_t activations = messages.ChannelOf(11), cotangents = messages.ChannelOf(12),
                step = messages.ChannelOf(16);
  EXPECT_EQ(messages.SenderOf(activations), 1);
  EXPECT_EQ(messages.ReceiverOf(activations), 2);
  EXPECT_EQ(messages.BytesOf(activations), 10);
  EXPECT_EQ(messages.SenderOf(cotangents), 2);
  EXPECT_EQ(messages.ReceiverOf(cotangents), 1);
  EXPECT_EQ(messages.BytesOf(cotangents), 20);
  EXPECT_EQ(messages.SenderOf(step), 2);
  EXPECT_EQ(messages.ReceiverOf(step), 0);
  EXPECT_EQ(messages.BytesOf(step), 30);
}

}  // namespace
}  // namespace alpa::simulate
