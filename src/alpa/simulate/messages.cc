#include "alpa/simulate/messages.h"

namespace alpa::simulate {

using schedule::Instruction;
using schedule::Op;

int32_t Messages::NumberOf(const Instruction& instruction) const {
  const int32_t m = pipeline_.microbatches;
  switch (instruction.op) {
    case Op::kSendActivation:
    case Op::kReceiveActivation:
      return 2 * instruction.index * m + instruction.microbatch;
    case Op::kSendCotangent:
    case Op::kReceiveCotangent:
      return (2 * instruction.index + 1) * m + instruction.microbatch;
    default:
      return edge_channels_ * m + instruction.index;
  }
}

int32_t Messages::ChannelOf(int32_t message) const {
  const int32_t m = pipeline_.microbatches;
  return message < edge_channels_ * m ? message / m : edge_channels_ + message - edge_channels_ * m;
}

Instruction Messages::SendOf(int32_t message) const {
  const int32_t channel = ChannelOf(message);
  if (channel >= edge_channels_) return {Op::kSendStep, channel - edge_channels_, 0};
  return {channel % 2 == 0 ? Op::kSendActivation : Op::kSendCotangent, channel / 2, message % pipeline_.microbatches};
}

int32_t Messages::SenderOf(int32_t channel) const {
  int32_t stage = 0;
  if (channel >= edge_channels_) {
    stage = pipeline_.step_edges[static_cast<size_t>(channel - edge_channels_)].from;
  } else {
    const schedule::Edge& edge = pipeline_.edges[static_cast<size_t>(channel / 2)];
    stage = channel % 2 == 0 ? edge.from : edge.to;
  }
  return pipeline_.stages[static_cast<size_t>(stage)].mesh;
}

int32_t Messages::ReceiverOf(int32_t channel) const {
  int32_t stage = 0;
  if (channel >= edge_channels_) {
    stage = pipeline_.step_edges[static_cast<size_t>(channel - edge_channels_)].to;
  } else {
    const schedule::Edge& edge = pipeline_.edges[static_cast<size_t>(channel / 2)];
    stage = channel % 2 == 0 ? edge.to : edge.from;
  }
  return pipeline_.stages[static_cast<size_t>(stage)].mesh;
}

int64_t Messages::BytesOf(int32_t channel) const {
  if (channel >= edge_channels_) return pipeline_.step_edges[static_cast<size_t>(channel - edge_channels_)].bytes;
  const schedule::Edge& edge = pipeline_.edges[static_cast<size_t>(channel / 2)];
  return channel % 2 == 0 ? edge.forward_bytes : edge.backward_bytes;
}

}  // namespace alpa::simulate
