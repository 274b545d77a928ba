#include "alpa/schedule/make_instructions.h"

#include <utility>
#include <vector>

#include "alpa/schedule/buffers.h"
#include "alpa/schedule/order.h"

namespace alpa::schedule {
namespace {

// Writes the list of one mesh: each compute instruction with what has to happen around it.
class Emitter {
 public:
  Emitter(const Pipeline& pipeline, const StageEdges& edges, std::vector<Instruction>* list)
      : pipeline_(pipeline), edges_(edges), list_(list) {}

  void Compute(const Instruction& instruction) {
    const auto s = static_cast<size_t>(instruction.index);
    const int32_t k = instruction.microbatch;
    switch (instruction.op) {
      case Op::kForward:
        ForEdges(edges_.in[s], Op::kReceiveActivation, k);
        list_->push_back(instruction);
        ForEdges(edges_.out[s], Op::kSendActivation, k);
        ForEdges(edges_.in[s], Op::kFreeInput, k);
        break;
      case Op::kBackwardWeight:
        list_->push_back(instruction);
        list_->push_back({Op::kFreeWeightInputs, instruction.index, k});
        break;
      default:
        ForEdges(edges_.out[s], Op::kReceiveCotangent, k);
        list_->push_back(instruction);
        ForEdges(edges_.in[s], Op::kSendCotangent, k);
        ForEdges(edges_.out[s], Op::kFreeCotangent, k);
        list_->push_back({Op::kFreeActivations, instruction.index, k});
    }
  }

  // What leaves a stage when it has run `round` rounds of its update.
  void SendSteps(int32_t stage, int32_t round) {
    ForStepEdges(edges_.step_out[static_cast<size_t>(stage)], Op::kSendStep, round);
  }

  void Update(int32_t stage, int32_t round) {
    const std::vector<int32_t>& in = edges_.step_in[static_cast<size_t>(stage)];
    ForStepEdges(in, Op::kReceiveStep, round);
    if (round == pipeline_.update_rounds) return;  // what comes now is for the next step
    list_->push_back({Op::kUpdate, stage, round});
    ForStepEdges(in, Op::kFreeStep, round);
    SendSteps(stage, round + 1);
  }

 private:
  // `op` for those of these edges that have it: all need their values freed, those to other meshes moved.
  void ForEdges(const std::vector<int32_t>& edges, Op op, int32_t k) {
    const bool moves = IsSend(op) || IsReceive(op);
    const bool backward = op == Op::kSendCotangent || op == Op::kReceiveCotangent || op == Op::kFreeCotangent;
    for (const int32_t e : edges) {
      const Edge& edge = pipeline_.edges[static_cast<size_t>(e)];
      if ((backward && !edge.cotangent) || (moves && IsLocal(pipeline_, edge))) continue;
      list_->push_back({op, e, k});
    }
  }

  void ForStepEdges(const std::vector<int32_t>& edges, Op op, int32_t round) {
    for (const int32_t x : edges) {
      if (pipeline_.step_edges[static_cast<size_t>(x)].round == round) list_->push_back({op, x, 0});
    }
  }

  const Pipeline& pipeline_;
  const StageEdges& edges_;
  std::vector<Instruction>* list_;
};

}  // namespace

Result<Program> MakeInstructions(const Pipeline& pipeline) {
  ALPA_RETURN_IF_ERROR(Verify(pipeline));
  const StageEdges edges = EdgesOfStages(pipeline);
  std::vector<std::vector<int32_t>> stages_of(static_cast<size_t>(pipeline.meshes));
  for (size_t s = 0; s < pipeline.stages.size(); ++s)
    stages_of[static_cast<size_t>(pipeline.stages[s].mesh)].push_back(static_cast<int32_t>(s));
  const Op last = SplitsBackward(pipeline.kind) ? Op::kBackwardWeight : Op::kBackward;

  Program program;
  for (const std::vector<Instruction>& order : ComputeOrder(pipeline)) {
    std::vector<Instruction> list;
    list.reserve(order.size() * 5);
    Emitter emitter(pipeline, edges, &list);
    for (const Instruction& instruction : order) {
      emitter.Compute(instruction);
      if (instruction.op == last && instruction.microbatch == pipeline.microbatches - 1)
        emitter.SendSteps(instruction.index, 0);
    }
    for (int32_t round = 0; round <= pipeline.update_rounds && HasBackward(pipeline.kind); ++round) {
      for (const int32_t s : stages_of[program.meshes.size()]) emitter.Update(s, round);
    }
    program.meshes.push_back(std::move(list));
  }
  return program;
}

}  // namespace alpa::schedule
