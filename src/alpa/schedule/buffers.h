// Which buffers an instruction reads, writes and frees. A buffer lives on one mesh, is written once, read, and freed
// once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alpa/schedule/pipeline.h"
#include "alpa/schedule/program.h"

namespace alpa::schedule {

enum class BufferKind : uint8_t {
  // Of a stage, by microbatch.
  kActivations,   // written by forward, read by backward or backward-input
  kWeightInputs,  // written by forward, completed by backward-input, read by backward-weight; only if backward is split
  // Of an edge, by microbatch.
  kOutput,        // written by forward, gone with the send
  kInput,         // written by the receive (or by forward of `from`, if local), read by forward of `to`
  kCotangentOut,  // written by backward, gone with the send
  kCotangentIn,   // written by the receive (or by backward of `to`, if local), read by backward of `from`
  // Of a step edge that is not local. What is sent is part of the state: only the receiver has a buffer, and none if it
  // arrives after the last round, since then it is state.
  kStepInput,  // written by the receive, read by the update round
};
inline constexpr int kBufferKindCount = 7;

struct Buffer {
  BufferKind kind = BufferKind::kActivations;
  int32_t index = 0;  // stage, edge or step edge
  int32_t microbatch = 0;
  bool operator==(const Buffer&) const = default;
};

// "input e1 k5".
std::string ToString(const Buffer& buffer);

enum class Access : uint8_t { kWrite, kRead, kFree };

struct BufferAccess {
  Access access = Access::kRead;
  Buffer buffer;
  bool operator==(const BufferAccess&) const = default;
};

// The edges of each stage.
struct StageEdges {
  std::vector<std::vector<int32_t>> in, out;            // numbers of Pipeline::edges by stage
  std::vector<std::vector<int32_t>> step_in, step_out;  // numbers of Pipeline::step_edges by stage, local ones left out
};
StageEdges EdgesOfStages(const Pipeline& pipeline);

// Replaces `accesses` by those of the instruction: reads, then writes, then frees. The operand must be in range.
void AccessesOf(const Pipeline& pipeline, const StageEdges& edges, const Instruction& instruction,
                std::vector<BufferAccess>* accesses);

}  // namespace alpa::schedule
