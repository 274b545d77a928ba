#include "alpa/schedule/order.h"

#include <algorithm>

#include "alpa/schedule/buffers.h"

namespace alpa::schedule {
namespace {

using List = std::vector<Instruction>;

List GpipeOrder(int32_t stage, int32_t microbatches, bool backward) {
  List list;
  for (int32_t k = 0; k < microbatches; ++k) list.push_back({Op::kForward, stage, k});
  for (int32_t k = 0; k < microbatches && backward; ++k) list.push_back({Op::kBackward, stage, k});
  return list;
}

// A forward whenever fewer than `in_flight` microbatches are between forward and backward.
List OneForwardOneBackward(int32_t stage, int32_t microbatches, int64_t in_flight) {
  List list;
  int32_t forwards = 0;
  for (int32_t backwards = 0; backwards < microbatches; ++backwards) {
    for (; forwards < microbatches && forwards - backwards < in_flight; ++forwards)
      list.push_back({Op::kForward, stage, forwards});
    list.push_back({Op::kBackward, stage, backwards});
  }
  return list;
}

// Megatron-LM's order: the p v first stage-microbatches are p microbatches through chunk 0, the same through chunk 1,
// and so on, then the next p microbatches; backwards the same with chunks in reverse.
List InterleavedOrder(const Pipeline& pipeline, int32_t mesh, int64_t in_flight) {
  const int32_t p = pipeline.meshes;
  const auto v = static_cast<int32_t>(pipeline.stages.size()) / p;
  const int32_t total = pipeline.microbatches * v;
  auto instruction = [&](Op op, int32_t i) {
    const int32_t chunk = i % (p * v) / p;
    const int32_t stage = (op == Op::kForward ? chunk : v - 1 - chunk) * p + mesh;
    return Instruction{op, stage, i / (p * v) * p + i % p};
  };
  List list;
  int32_t forwards = 0;
  for (int32_t backwards = 0; backwards < total; ++backwards) {
    for (; forwards < total && forwards - backwards < in_flight; ++forwards)
      list.push_back(instruction(Op::kForward, forwards));
    list.push_back(instruction(Op::kBackward, backwards));
  }
  return list;
}

// What a stage of ZB-H1 has done, in microbatches.
struct Progress {
  int32_t forwards = 0, inputs = 0, weights = 0;
};

// What stage s does next when all others have got as far as `done` says; nothing: it waits. Forwards and
// backward-inputs come as in 1F1B; a backward-weight when neither can run, or when the next forward would hold more
// than `kept` weight inputs.
const Op* NextOfZbH1(const Pipeline& pipeline, const StageEdges& edges, const std::vector<Progress>& done, size_t s,
                     int64_t in_flight, int64_t kept) {
  static constexpr Op kForward = Op::kForward, kInput = Op::kBackwardInput, kWeight = Op::kBackwardWeight;
  const Progress& mine = done[s];
  bool ready = false;
  const bool forward = mine.forwards < pipeline.microbatches && mine.forwards - mine.inputs < in_flight;
  if (forward) {
    if (mine.forwards - mine.weights >= kept) return &kWeight;
    ready = std::all_of(edges.in[s].begin(), edges.in[s].end(), [&](int32_t e) {
      return done[static_cast<size_t>(pipeline.edges[static_cast<size_t>(e)].from)].forwards > mine.forwards;
    });
  } else if (mine.inputs < pipeline.microbatches) {
    ready = std::all_of(edges.out[s].begin(), edges.out[s].end(), [&](int32_t e) {
      const Edge& edge = pipeline.edges[static_cast<size_t>(e)];
      return !edge.cotangent || done[static_cast<size_t>(edge.to)].inputs > mine.inputs;
    });
  }
  if (ready) return forward ? &kForward : &kInput;
  return mine.weights < mine.inputs ? &kWeight : nullptr;
}

// All stages in step, one unit of time for each of forward, backward-input and backward-weight.
std::vector<List> ZbH1Order(const Pipeline& pipeline) {
  const StageEdges edges = EdgesOfStages(pipeline);
  const InFlight bounds = InFlightBounds(pipeline);
  const size_t stages = pipeline.stages.size();
  std::vector<List> lists(static_cast<size_t>(pipeline.meshes));
  std::vector<Progress> done(stages);
  std::vector<const Op*> next(stages);
  for (size_t left = 3 * stages * static_cast<size_t>(pipeline.microbatches); left > 0;) {
    for (size_t s = 0; s < stages; ++s) {
      const auto mesh = static_cast<size_t>(pipeline.stages[s].mesh);
      next[s] = NextOfZbH1(pipeline, edges, done, s, bounds.activations[mesh], bounds.weight_inputs[mesh]);
    }
    const size_t before = left;
    for (size_t s = 0; s < stages; ++s) {
      if (next[s] == nullptr) continue;
      int32_t& count = *next[s] == Op::kForward         ? done[s].forwards
                       : *next[s] == Op::kBackwardInput ? done[s].inputs
                                                        : done[s].weights;
      lists[static_cast<size_t>(pipeline.stages[s].mesh)].push_back({*next[s], static_cast<int32_t>(s), count++});
      --left;
    }
    ALPA_CHECK(left < before, "zb-h1: all stages wait");
  }
  return lists;
}

}  // namespace

std::vector<std::vector<Instruction>> ComputeOrder(const Pipeline& pipeline) {
  if (pipeline.kind == Kind::kZbH1) return ZbH1Order(pipeline);
  const InFlight bounds = InFlightBounds(pipeline);
  std::vector<List> lists(static_cast<size_t>(pipeline.meshes));
  if (pipeline.kind == Kind::kInterleaved) {
    for (size_t r = 0; r < lists.size(); ++r)
      lists[r] = InterleavedOrder(pipeline, static_cast<int32_t>(r), bounds.activations[r]);
    return lists;
  }
  for (size_t s = 0; s < pipeline.stages.size(); ++s) {
    const auto mesh = static_cast<size_t>(pipeline.stages[s].mesh);
    const auto stage = static_cast<int32_t>(s);
    lists[mesh] = pipeline.kind == Kind::k1F1B
                      ? OneForwardOneBackward(stage, pipeline.microbatches, bounds.activations[mesh])
                      : GpipeOrder(stage, pipeline.microbatches, HasBackward(pipeline.kind));
  }
  return lists;
}

}  // namespace alpa::schedule
