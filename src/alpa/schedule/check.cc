#include "alpa/schedule/check.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "alpa/schedule/buffers.h"

namespace alpa::schedule {
namespace {

enum class State : uint8_t { kUnwritten, kLive, kFreed };

// Executes the lists without computing anything.
class Checker {
 public:
  Checker(const Program& program, const Pipeline& pipeline)
      : program_(program),
        pipeline_(pipeline),
        edges_(EdgesOfStages(pipeline)),
        bounds_(InFlightBounds(pipeline)),
        next_(program.meshes.size(), 0),
        activations_(program.meshes.size(), 0),
        weight_inputs_(program.meshes.size(), 0),
        backwards_(pipeline.stages.size(), 0),
        rounds_(pipeline.stages.size(), 0) {
    const auto m = static_cast<size_t>(pipeline.microbatches);
    for (size_t kind = 0; kind < buffers_.size(); ++kind) {
      const auto k = static_cast<BufferKind>(kind);
      const size_t count = k == BufferKind::kActivations || k == BufferKind::kWeightInputs ? pipeline.stages.size() * m
                           : k == BufferKind::kStepInput                                   ? pipeline.step_edges.size()
                                                                                           : pipeline.edges.size() * m;
      buffers_[kind].assign(count, State::kUnwritten);
    }
    for (size_t op = 0; op < done_.size(); ++op) {
      const Operand operand = OperandOf(static_cast<Op>(op));
      const size_t count = operand == Operand::kStage  ? pipeline.stages.size() * std::max(m, Rounds())
                           : operand == Operand::kEdge ? pipeline.edges.size() * m
                                                       : pipeline.step_edges.size();
      done_[op].assign(count, false);
    }
    activation_queues_.resize(pipeline.edges.size());
    cotangent_queues_.resize(pipeline.edges.size());
  }

  Status Run() {
    for (bool progress = true; progress;) {
      progress = false;
      for (size_t mesh = 0; mesh < next_.size(); ++mesh) {
        const std::vector<Instruction>& list = program_.meshes[mesh];
        while (next_[mesh] < list.size() && !Waits(list[next_[mesh]])) {
          ALPA_RETURN_IF_ERROR(Execute(static_cast<int32_t>(mesh), next_[mesh], list[next_[mesh]]));
          ++next_[mesh];
          progress = true;
        }
      }
    }
    ALPA_RETURN_IF_ERROR(NothingWaits());
    ALPA_RETURN_IF_ERROR(EverythingComputed());
    return NothingLeft();
  }

 private:
  size_t Rounds() const { return static_cast<size_t>(pipeline_.update_rounds); }

  size_t SlotOf(const Instruction& instruction) const {
    const auto m = static_cast<size_t>(pipeline_.microbatches);
    const size_t width = OperandOf(instruction.op) == Operand::kStage  ? std::max(m, Rounds())
                         : OperandOf(instruction.op) == Operand::kEdge ? m
                                                                       : 1;
    return static_cast<size_t>(instruction.index) * width + static_cast<size_t>(instruction.microbatch);
  }

  bool Done(Op op, int32_t index, int32_t microbatch) const {
    return done_[static_cast<size_t>(op)][SlotOf({op, index, microbatch})];
  }

  State& StateOf(const Buffer& buffer) {
    const auto m = static_cast<size_t>(buffer.kind == BufferKind::kStepInput ? 1 : pipeline_.microbatches);
    return buffers_[static_cast<size_t>(buffer.kind)]
                   [static_cast<size_t>(buffer.index) * m + static_cast<size_t>(buffer.microbatch)];
  }

  // A receive before its send. One whose turn it is not is no wait but an error, see Receive.
  bool Waits(const Instruction& instruction) const {
    const auto i = static_cast<size_t>(instruction.index);
    switch (instruction.op) {
      case Op::kReceiveActivation:
        return activation_queues_[i].received == activation_queues_[i].sent.size();
      case Op::kReceiveCotangent:
        return cotangent_queues_[i].received == cotangent_queues_[i].sent.size();
      case Op::kReceiveStep:
        return !Done(Op::kSendStep, instruction.index, 0);
      default:
        return false;
    }
  }

  Status Execute(int32_t mesh, size_t position, const Instruction& instruction) {
    auto bad = [&](const std::string& what) { return BadInstruction(mesh, position, instruction, what); };
    auto done = done_[static_cast<size_t>(instruction.op)].begin() + static_cast<std::ptrdiff_t>(SlotOf(instruction));
    if (*done) return bad("this is done already");
    *done = true;
    if (const std::string reason = OutOfOrder(instruction); !reason.empty()) return bad(reason);
    AccessesOf(pipeline_, edges_, instruction, &accesses_);
    for (const BufferAccess& access : accesses_) {
      State& state = StateOf(access.buffer);
      const bool write = access.access == Access::kWrite;
      if (state == State::kFreed) return bad(ToString(access.buffer) + (write ? " was written before" : " is freed"));
      if (!write && state == State::kUnwritten) return bad(ToString(access.buffer) + " is not there yet");
      if (write && state == State::kLive) return bad(ToString(access.buffer) + " was written before");
      state = access.access == Access::kFree ? State::kFreed : State::kLive;
    }
    return Count(mesh, position, instruction);
  }

  // What buffers do not say: gradients are complete before they are used, rounds come in order, channels are queues.
  std::string OutOfOrder(const Instruction& instruction) {
    const auto i = static_cast<size_t>(instruction.index);
    const int32_t k = instruction.microbatch;
    switch (instruction.op) {
      case Op::kBackwardWeight:
        return Done(Op::kBackwardInput, instruction.index, k) ? "" : "backward-input has not run yet";
      case Op::kUpdate:
        return AfterRounds(instruction.index, k);
      case Op::kSendStep:
        return AfterRounds(pipeline_.step_edges[i].from, pipeline_.step_edges[i].round);
      case Op::kReceiveStep:  // the last ones replace state that updates read
        return pipeline_.step_edges[i].round < pipeline_.update_rounds
                   ? ""
                   : AfterRounds(pipeline_.step_edges[i].to, pipeline_.update_rounds);
      case Op::kSendActivation:
        activation_queues_[i].sent.push_back(k);
        return "";
      case Op::kSendCotangent:
        cotangent_queues_[i].sent.push_back(k);
        return "";
      case Op::kReceiveActivation:
        return Receive(&activation_queues_[i], k);
      case Op::kReceiveCotangent:
        return Receive(&cotangent_queues_[i], k);
      default:
        return "";
    }
  }

  // Stage `stage` must have run all backwards and exactly `rounds` rounds of its update.
  std::string AfterRounds(int32_t stage, int32_t rounds) const {
    const auto s = static_cast<size_t>(stage);
    if (backwards_[s] < pipeline_.microbatches)
      return fmt::format("stage {} has run {} of {} backwards", stage, backwards_[s], pipeline_.microbatches);
    if (rounds_[s] != rounds)
      return fmt::format("stage {} has run {} update rounds, not {}", stage, rounds_[s], rounds);
    return "";
  }

  // Microbatches in the order in which they were sent, and how many of them have been received.
  struct Queue {
    std::vector<int32_t> sent;
    size_t received = 0;
  };

  static std::string Receive(Queue* queue, int32_t microbatch) {
    const int32_t sent = queue->sent[queue->received++];
    return sent == microbatch ? "" : fmt::format("the value that comes next is that of microbatch {}", sent);
  }

  // Keeps count of what is in flight and of backwards and updates that are done.
  Status Count(int32_t mesh, size_t position, const Instruction& instruction) {
    const auto i = static_cast<size_t>(instruction.index);
    const auto at = static_cast<size_t>(mesh);
    const bool split = SplitsBackward(pipeline_.kind);
    switch (instruction.op) {
      case Op::kForward:
        activations_[at] += HasBackward(pipeline_.kind) ? 1 : 0;
        weight_inputs_[at] += split ? 1 : 0;
        break;
      case Op::kFreeActivations:
        --activations_[at];
        break;
      case Op::kFreeWeightInputs:
        --weight_inputs_[at];
        break;
      case Op::kBackward:
      case Op::kBackwardWeight:
        ++backwards_[i];
        break;
      case Op::kUpdate:
        ++rounds_[i];
        break;
      default:
        break;
    }
    if (activations_[at] > bounds_.activations[at])
      return BadInstruction(
          mesh, position, instruction,
          fmt::format("{} microbatches in flight, at most {} are allowed", activations_[at], bounds_.activations[at]));
    if (weight_inputs_[at] > bounds_.weight_inputs[at])
      return BadInstruction(mesh, position, instruction,
                            fmt::format("{} microbatches wait for backward-weight, at most {} are allowed",
                                        weight_inputs_[at], bounds_.weight_inputs[at]));
    return Ok();
  }

  Status NothingWaits() const {
    std::string waiting;
    for (size_t mesh = 0; mesh < next_.size(); ++mesh) {
      if (next_[mesh] == program_.meshes[mesh].size()) continue;
      waiting += fmt::format("{}mesh {} at instruction {}, {}", waiting.empty() ? "" : "; ", mesh, next_[mesh],
                             ToString(program_.meshes[mesh][next_[mesh]]));
    }
    if (waiting.empty()) return Ok();
    return Error{Code::kInvalidInput, "deadlock: " + waiting, ""};
  }

  Status EverythingComputed() const {
    std::vector<Op> ops = {Op::kForward};
    if (SplitsBackward(pipeline_.kind)) {
      ops.insert(ops.end(), {Op::kBackwardInput, Op::kBackwardWeight});
    } else if (HasBackward(pipeline_.kind)) {
      ops.push_back(Op::kBackward);
    }
    auto missing = [](const Instruction& instruction) {
      return Error{Code::kInvalidInput, fmt::format("{} is missing", ToString(instruction)), ""};
    };
    for (int32_t s = 0; s < static_cast<int32_t>(pipeline_.stages.size()); ++s) {
      for (const Op op : ops) {
        for (int32_t k = 0; k < pipeline_.microbatches; ++k) {
          if (!Done(op, s, k)) return missing({op, s, k});
        }
      }
      for (int32_t r = 0; r < pipeline_.update_rounds; ++r) {
        if (!Done(Op::kUpdate, s, r)) return missing({Op::kUpdate, s, r});
      }
    }
    for (int32_t x = 0; x < static_cast<int32_t>(pipeline_.step_edges.size()); ++x) {
      if (!IsLocal(pipeline_, pipeline_.step_edges[static_cast<size_t>(x)]) && !Done(Op::kReceiveStep, x, 0))
        return missing({Op::kReceiveStep, x, 0});
    }
    return Ok();
  }

  Status NothingLeft() const {
    for (size_t kind = 0; kind < buffers_.size(); ++kind) {
      const bool step = static_cast<BufferKind>(kind) == BufferKind::kStepInput;
      const auto m = static_cast<size_t>(step ? 1 : pipeline_.microbatches);
      for (size_t slot = 0; slot < buffers_[kind].size(); ++slot) {
        if (buffers_[kind][slot] != State::kLive) continue;
        const Buffer buffer{static_cast<BufferKind>(kind), static_cast<int32_t>(slot / m),
                            static_cast<int32_t>(slot % m)};
        return Error{Code::kInvalidInput, fmt::format("{} is never freed", ToString(buffer)), ""};
      }
    }
    return Ok();
  }

  const Program& program_;
  const Pipeline& pipeline_;
  const StageEdges edges_;
  const InFlight bounds_;
  std::vector<size_t> next_;  // instruction of each mesh
  std::array<std::vector<State>, kBufferKindCount> buffers_;
  std::array<std::vector<bool>, kOpCount> done_;
  std::vector<Queue> activation_queues_, cotangent_queues_;  // by edge
  std::vector<int64_t> activations_, weight_inputs_;         // in flight by mesh
  std::vector<int32_t> backwards_, rounds_;                  // done by stage
  std::vector<BufferAccess> accesses_;                       // of the present instruction
};

}  // namespace

Status Check(const Program& program, const Pipeline& pipeline) {
  ALPA_RETURN_IF_ERROR(Verify(pipeline));
  ALPA_RETURN_IF_ERROR(VerifyInstructions(program, pipeline));
  return Checker(program, pipeline).Run();
}

}  // namespace alpa::schedule
