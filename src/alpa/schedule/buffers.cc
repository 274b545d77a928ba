#include "alpa/schedule/buffers.h"

#include <fmt/format.h>

#include <array>

namespace alpa::schedule {
namespace {

constexpr std::array<std::string_view, kBufferKindCount> kNames = {
    "activations", "weight-inputs", "output", "input", "cotangent-out", "cotangent-in", "step-input"};

// Collects accesses of one instruction.
struct Collector {
  const Pipeline& pipeline;
  const StageEdges& edges;
  std::vector<BufferAccess>* accesses;

  void Add(Access access, BufferKind kind, int32_t index, int32_t microbatch) const {
    accesses->push_back({access, {kind, index, microbatch}});
  }

  void Forward(int32_t stage, int32_t k) const {
    const auto s = static_cast<size_t>(stage);
    for (const int32_t e : edges.in[s]) Add(Access::kRead, BufferKind::kInput, e, k);
    for (const int32_t e : edges.out[s]) {
      const bool local = IsLocal(pipeline, pipeline.edges[static_cast<size_t>(e)]);
      Add(Access::kWrite, local ? BufferKind::kInput : BufferKind::kOutput, e, k);
    }
    if (HasBackward(pipeline.kind)) Add(Access::kWrite, BufferKind::kActivations, stage, k);
    if (SplitsBackward(pipeline.kind)) Add(Access::kWrite, BufferKind::kWeightInputs, stage, k);
  }

  void Backward(int32_t stage, int32_t k) const {
    const auto s = static_cast<size_t>(stage);
    Add(Access::kRead, BufferKind::kActivations, stage, k);
    if (SplitsBackward(pipeline.kind)) Add(Access::kRead, BufferKind::kWeightInputs, stage, k);
    for (const int32_t e : edges.out[s]) {
      if (pipeline.edges[static_cast<size_t>(e)].cotangent) Add(Access::kRead, BufferKind::kCotangentIn, e, k);
    }
    for (const int32_t e : edges.in[s]) {
      const Edge& edge = pipeline.edges[static_cast<size_t>(e)];
      if (!edge.cotangent) continue;
      const bool local = IsLocal(pipeline, edge);
      Add(Access::kWrite, local ? BufferKind::kCotangentIn : BufferKind::kCotangentOut, e, k);
    }
  }

  void Update(int32_t stage, int32_t round) const {
    for (const int32_t x : edges.step_in[static_cast<size_t>(stage)]) {
      if (pipeline.step_edges[static_cast<size_t>(x)].round == round) Add(Access::kRead, BufferKind::kStepInput, x, 0);
    }
  }
};

}  // namespace

std::string ToString(const Buffer& buffer) {
  const bool stage = buffer.kind == BufferKind::kActivations || buffer.kind == BufferKind::kWeightInputs;
  const std::string_view name = kNames[static_cast<size_t>(buffer.kind)];
  if (buffer.kind == BufferKind::kStepInput) return fmt::format("{} x{}", name, buffer.index);
  return fmt::format("{} {}{} k{}", name, stage ? 's' : 'e', buffer.index, buffer.microbatch);
}

StageEdges EdgesOfStages(const Pipeline& pipeline) {
  StageEdges edges;
  for (auto* lists : {&edges.in, &edges.out, &edges.step_in, &edges.step_out}) lists->resize(pipeline.stages.size());
  for (size_t e = 0; e < pipeline.edges.size(); ++e) {
    edges.out[static_cast<size_t>(pipeline.edges[e].from)].push_back(static_cast<int32_t>(e));
    edges.in[static_cast<size_t>(pipeline.edges[e].to)].push_back(static_cast<int32_t>(e));
  }
  for (size_t x = 0; x < pipeline.step_edges.size(); ++x) {
    const StepEdge& edge = pipeline.step_edges[x];
    if (IsLocal(pipeline, edge)) continue;
    edges.step_out[static_cast<size_t>(edge.from)].push_back(static_cast<int32_t>(x));
    edges.step_in[static_cast<size_t>(edge.to)].push_back(static_cast<int32_t>(x));
  }
  return edges;
}

void AccessesOf(const Pipeline& pipeline, const StageEdges& edges, const Instruction& instruction,
                std::vector<BufferAccess>* accesses) {
  accesses->clear();
  const Collector collector{pipeline, edges, accesses};
  const auto& [op, i, k] = instruction;
  switch (op) {
    case Op::kForward:
      return collector.Forward(i, k);
    case Op::kBackward:
    case Op::kBackwardInput:
      return collector.Backward(i, k);
    case Op::kBackwardWeight:
      return collector.Add(Access::kRead, BufferKind::kWeightInputs, i, k);
    case Op::kUpdate:
      return collector.Update(i, k);
    case Op::kSendActivation:
      collector.Add(Access::kRead, BufferKind::kOutput, i, k);
      return collector.Add(Access::kFree, BufferKind::kOutput, i, k);
    case Op::kReceiveActivation:
      return collector.Add(Access::kWrite, BufferKind::kInput, i, k);
    case Op::kSendCotangent:
      collector.Add(Access::kRead, BufferKind::kCotangentOut, i, k);
      return collector.Add(Access::kFree, BufferKind::kCotangentOut, i, k);
    case Op::kReceiveCotangent:
      return collector.Add(Access::kWrite, BufferKind::kCotangentIn, i, k);
    case Op::kSendStep:
      return;
    case Op::kReceiveStep:
      if (pipeline.step_edges[static_cast<size_t>(i)].round < pipeline.update_rounds)
        collector.Add(Access::kWrite, BufferKind::kStepInput, i, 0);
      return;
    case Op::kFreeInput:
      return collector.Add(Access::kFree, BufferKind::kInput, i, k);
    case Op::kFreeCotangent:
      return collector.Add(Access::kFree, BufferKind::kCotangentIn, i, k);
    case Op::kFreeActivations:
      return collector.Add(Access::kFree, BufferKind::kActivations, i, k);
    case Op::kFreeWeightInputs:
      return collector.Add(Access::kFree, BufferKind::kWeightInputs, i, k);
    case Op::kFreeStep:
      return collector.Add(Access::kFree, BufferKind::kStepInput, i, 0);
  }
}

}  // namespace alpa::schedule
