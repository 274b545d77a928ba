// Numbers for everything that passes between meshes in a step.
#pragma once

#include <cstdint>

#include "alpa/schedule/pipeline.h"
#include "alpa/schedule/program.h"

namespace alpa::simulate {

// A channel is one direction of an edge, or a step edge; a message is what passes over it for one microbatch, or once.
// Channel 2e: activations of edge e; 2e + 1: its cotangents; then step edges. The pipeline must outlive this.
class Messages {
 public:
  explicit Messages(const schedule::Pipeline& pipeline)
      : pipeline_(pipeline), edge_channels_(2 * static_cast<int32_t>(pipeline.edges.size())) {}

  int32_t channels() const { return edge_channels_ + static_cast<int32_t>(pipeline_.step_edges.size()); }
  int32_t size() const {
    return edge_channels_ * pipeline_.microbatches + static_cast<int32_t>(pipeline_.step_edges.size());
  }

  // The message of a send or receive.
  int32_t NumberOf(const schedule::Instruction& instruction) const;
  int32_t ChannelOf(int32_t message) const;
  // The send of a message.
  schedule::Instruction SendOf(int32_t message) const;

  // Meshes at both ends of a channel, and the bytes of a message.
  int32_t SenderOf(int32_t channel) const;
  int32_t ReceiverOf(int32_t channel) const;
  int64_t BytesOf(int32_t channel) const;

 private:
  const schedule::Pipeline& pipeline_;
  int32_t edge_channels_ = 0;
};

}  // namespace alpa::simulate
