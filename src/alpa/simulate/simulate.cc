#include "alpa/simulate/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <queue>
#include <string>
#include <utility>

#include "alpa/schedule/buffers.h"
#include "alpa/schedule/check.h"
#include "alpa/simulate/costs.h"
#include "alpa/simulate/memory.h"
#include "alpa/simulate/network.h"

namespace alpa::simulate {
namespace {

using schedule::Edge;
using schedule::Instruction;
using schedule::Op;
using schedule::Pipeline;
using schedule::Program;

constexpr double kUnknown = std::numeric_limits<double>::infinity();

enum class EventKind : uint8_t { kResume, kEnter, kLeave, kArrive };

// Something that happens at a time. Of two at the same time the one that was planned first comes first.
struct Event {
  double time = 0;
  int64_t order = 0;
  EventKind kind = EventKind::kResume;
  int32_t index = 0;    // kResume: mesh; kEnter, kArrive: message; kLeave: transfer of the network
  int32_t version = 0;  // kLeave
  bool operator>(const Event& other) const { return std::tie(time, order) > std::tie(other.time, other.order); }
};

// Where a mesh is in its list.
struct MeshState {
  size_t next = 0;         // instruction
  bool computing = false;  // it has begun
  int32_t awaited = -1;    // message for which it waits
  double since = 0;        // when it began to wait
  double busy = 0, waiting = 0, end = 0;
};

// One value on its way, or that was or will be.
struct Message {
  double sent = kUnknown, arrived = kUnknown;
};

class Simulation {
 public:
  Simulation(const Program& program, const Pipeline& pipeline, const Costs& costs, const Options& options)
      : program_(program),
        pipeline_(pipeline),
        costs_(costs),
        options_(options),
        edges_(schedule::EdgesOfStages(pipeline)),
        network_(3 * costs.hosts.size()),
        links_(3 * costs.hosts.size()),
        within_until_(costs.hosts.size(), 0) {
    const size_t messages = 2 * pipeline.edges.size() * static_cast<size_t>(pipeline.microbatches);
    messages_.resize(messages + pipeline.step_edges.size());
    for (size_t e = 0; e < pipeline.edges.size(); ++e) {
      const Edge& edge = pipeline.edges[e];
      const int32_t from = MeshOfStage(edge.from), to = MeshOfStage(edge.to);
      routes_.push_back(MakeRoute(costs, from, to, edge.forward_bytes));
      routes_.push_back(MakeRoute(costs, to, from, edge.backward_bytes));
    }
    for (const schedule::StepEdge& edge : pipeline.step_edges)
      routes_.push_back(MakeRoute(costs, MeshOfStage(edge.from), MeshOfStage(edge.to), edge.bytes));
    std::vector<int64_t> state(static_cast<size_t>(pipeline.meshes), 0);
    for (size_t s = 0; s < costs.stages.size(); ++s)
      state[static_cast<size_t>(pipeline.stages[s].mesh)] += costs.stages[s].state;
    for (const int64_t bytes : state) memory_.emplace_back(bytes, options.events);
    meshes_.resize(state.size());
    for (size_t h = 0; h < costs.hosts.size(); ++h) {
      for (int kind = 0; kind < 3; ++kind)
        links_[3 * h + static_cast<size_t>(kind)] = {static_cast<LinkKind>(kind), static_cast<int32_t>(h), 0, 0};
    }
  }

  Result<Timeline> Run() {
    for (size_t mesh = 0; mesh < meshes_.size(); ++mesh) Plan(0, EventKind::kResume, static_cast<int32_t>(mesh));
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      Happen(event);
    }
    if (sent_twice_ >= 0)
      return Error{Code::kInvalidInput, fmt::format("simulation: {} is sent twice", ToString(SendOf(sent_twice_))), ""};
    for (size_t mesh = 0; mesh < meshes_.size(); ++mesh) {
      const size_t next = meshes_[mesh].next;
      if (next == program_.meshes[mesh].size()) continue;
      return Error{Code::kInvalidInput,
                   fmt::format("simulation: deadlock; mesh {} waits forever at instruction {}, {}", mesh, next,
                               ToString(program_.meshes[mesh][next])),
                   ""};
    }
    return Finish();
  }

 private:
  int32_t MeshOfStage(int32_t stage) const { return pipeline_.stages[static_cast<size_t>(stage)].mesh; }

  void Plan(double time, EventKind kind, int32_t index, int32_t version = 0) {
    events_.push({time, order_++, kind, index, version});
  }

  void Happen(const Event& event) {
    switch (event.kind) {
      case EventKind::kResume:
        return Advance(event.index, event.time);
      case EventKind::kEnter: {
        const int32_t transfer = network_.Enter(&routes_[RouteOf(event.index)], event.time, &finishes_);
        message_of_.resize(std::max(message_of_.size(), static_cast<size_t>(transfer) + 1));
        message_of_[static_cast<size_t>(transfer)] = event.index;
        return PlanFinishes();
      }
      case EventKind::kLeave: {
        if (!network_.Holds({event.index, event.version, event.time})) return;
        network_.Leave(event.index, event.time, &finishes_);
        PlanFinishes();
        const int32_t message = message_of_[static_cast<size_t>(event.index)];
        const double within = messages_[static_cast<size_t>(message)].sent + StaySeconds(routes_[RouteOf(message)]);
        return Through(message, std::max(event.time, within), event.time);
      }
      case EventKind::kArrive:
        AddMemory(SendOf(event.index), true, event.time, -BufferOf(event.index));
    }
  }

  void PlanFinishes() {
    for (const Network::Finish& finish : finishes_)
      Plan(finish.time, EventKind::kLeave, finish.transfer, finish.version);
    finishes_.clear();
  }

  // Executes the list of a mesh up to the next instruction that takes time.
  void Advance(int32_t mesh, double now) {
    MeshState& state = meshes_[static_cast<size_t>(mesh)];
    const std::vector<Instruction>& list = program_.meshes[static_cast<size_t>(mesh)];
    while (state.next < list.size()) {
      const Instruction& instruction = list[state.next];
      if (IsCompute(instruction.op)) {
        if (!state.computing) {
          const double end = Begin(mesh, instruction, now);
          state.computing = true;
          if (end > now) return Plan(end, EventKind::kResume, mesh);
        }
        End(mesh, instruction, now);
        state.computing = false;
      } else if (IsReceive(instruction.op)) {
        if (!Arrived(mesh, instruction, now)) return;
      } else if (IsSend(instruction.op)) {
        Send(instruction, now);
      } else {
        Free(mesh, instruction, now);
      }
      ++state.next;
      state.end = now;
    }
  }

  double SecondsOf(const Instruction& instruction) const {
    const StageCost& cost = costs_.stages[static_cast<size_t>(instruction.index)];
    switch (instruction.op) {
      case Op::kForward:
        return cost.forward;
      case Op::kBackward:
        return cost.backward_input + cost.backward_weight;
      case Op::kBackwardInput:
        return cost.backward_input;
      case Op::kBackwardWeight:
        return cost.backward_weight;
      default:
        return instruction.microbatch == pipeline_.update_rounds - 1 ? cost.update : 0;
    }
  }

  // Starts a computation; returns when it ends.
  double Begin(int32_t mesh, const Instruction& instruction, double now) {
    const double seconds = SecondsOf(instruction);
    meshes_[static_cast<size_t>(mesh)].busy += seconds;
    if (options_.events) timeline_.runs.push_back({instruction, mesh, now, now + seconds});
    if (instruction.op != Op::kUpdate)
      memory_[static_cast<size_t>(mesh)].Add(now, WorkspaceOf(instruction) + WrittenBy(instruction));
    return now + seconds;
  }

  void End(int32_t mesh, const Instruction& instruction, double now) {
    if (instruction.op != Op::kUpdate) memory_[static_cast<size_t>(mesh)].Add(now, -WorkspaceOf(instruction));
  }

  int64_t WorkspaceOf(const Instruction& instruction) const {
    return costs_.stages[static_cast<size_t>(instruction.index)].workspace;
  }

  // Bytes of the buffers that a computation writes.
  int64_t WrittenBy(const Instruction& instruction) const {
    const auto s = static_cast<size_t>(instruction.index);
    int64_t bytes = 0;
    if (instruction.op == Op::kForward) {
      if (HasBackward(pipeline_.kind)) bytes += costs_.stages[s].activation;
      for (const int32_t e : edges_.out[s]) bytes += EdgeCostOf(e).forward_buffer;
    } else if (instruction.op != Op::kBackwardWeight) {
      for (const int32_t e : edges_.in[s]) {
        if (pipeline_.edges[static_cast<size_t>(e)].cotangent) bytes += EdgeCostOf(e).backward_buffer;
      }
    }
    return bytes;
  }

  void Free(int32_t mesh, const Instruction& instruction, double now) {
    int64_t bytes = 0;
    switch (instruction.op) {
      case Op::kFreeInput:
        bytes = EdgeCostOf(instruction.index).forward_buffer;
        break;
      case Op::kFreeCotangent:
        bytes = EdgeCostOf(instruction.index).backward_buffer;
        break;
      case Op::kFreeActivations: {
        const StageCost& cost = costs_.stages[static_cast<size_t>(instruction.index)];
        bytes = cost.activation - (SplitsBackward(pipeline_.kind) ? cost.weight_input : 0);
        break;
      }
      case Op::kFreeWeightInputs:
        bytes = costs_.stages[static_cast<size_t>(instruction.index)].weight_input;
        break;
      default:
        break;
    }
    memory_[static_cast<size_t>(mesh)].Add(now, -bytes);
  }

  EdgeCost EdgeCostOf(int32_t edge) const {
    return costs_.edges.empty() ? EdgeCost{} : costs_.edges[static_cast<size_t>(edge)];
  }

  // Messages: activation, then cotangent, of edge 0, 1, ... by microbatch; then step edges.
  int32_t MessageOf(const Instruction& instruction) const {
    const int32_t m = pipeline_.microbatches;
    switch (instruction.op) {
      case Op::kSendActivation:
      case Op::kReceiveActivation:
        return 2 * instruction.index * m + instruction.microbatch;
      case Op::kSendCotangent:
      case Op::kReceiveCotangent:
        return (2 * instruction.index + 1) * m + instruction.microbatch;
      default:
        return 2 * static_cast<int32_t>(pipeline_.edges.size()) * m + instruction.index;
    }
  }

  size_t RouteOf(int32_t message) const {
    const int32_t channel = message / pipeline_.microbatches;
    const auto channels = static_cast<int32_t>(2 * pipeline_.edges.size());
    return static_cast<size_t>(channel < channels ? channel : channels + message - channels * pipeline_.microbatches);
  }

  Instruction SendOf(int32_t message) const {
    const auto route = static_cast<int32_t>(RouteOf(message));
    const auto channels = static_cast<int32_t>(2 * pipeline_.edges.size());
    if (route >= channels) return {Op::kSendStep, route - channels, 0};
    return {route % 2 == 0 ? Op::kSendActivation : Op::kSendCotangent, route / 2, message % pipeline_.microbatches};
  }

  // The mesh at the other end of a send.
  int32_t ReceiverOf(const Instruction& send) const {
    const auto i = static_cast<size_t>(send.index);
    if (send.op == Op::kSendActivation) return MeshOfStage(pipeline_.edges[i].to);
    if (send.op == Op::kSendCotangent) return MeshOfStage(pipeline_.edges[i].from);
    return MeshOfStage(pipeline_.step_edges[i].to);
  }

  // Bytes per device that the message occupies at either end. Values of step edges are part of the state.
  int64_t BufferOf(int32_t message) const {
    const Instruction send = SendOf(message);
    if (send.op == Op::kSendStep) return 0;
    const EdgeCost cost = EdgeCostOf(send.index);
    return send.op == Op::kSendActivation ? cost.forward_buffer : cost.backward_buffer;
  }

  void AddMemory(const Instruction& send, bool sender, double now, int64_t bytes) {
    const int32_t mesh = sender ? schedule::MeshOf(pipeline_, send) : ReceiverOf(send);
    memory_[static_cast<size_t>(mesh)].Add(now, bytes);
  }

  void Send(const Instruction& instruction, double now) {
    const int32_t message = MessageOf(instruction);
    const Route& route = routes_[RouteOf(message)];
    if (messages_[static_cast<size_t>(message)].sent < kUnknown) {
      sent_twice_ = message;
      return;
    }
    messages_[static_cast<size_t>(message)].sent = now;
    if (options_.events) {
      transfer_of_.resize(messages_.size(), -1);
      transfer_of_[static_cast<size_t>(message)] = static_cast<int32_t>(timeline_.transfers.size());
      timeline_.transfers.push_back(
          {instruction, schedule::MeshOf(pipeline_, instruction), ReceiverOf(instruction), now, kUnknown});
    }
    AddMemory(instruction, false, now, BufferOf(message));
    for (const Route::Stay& stay : route.stays) Stay(stay, now);
    for (const Route::Share& share : route.shares) links_[static_cast<size_t>(share.link)].bytes += share.bytes;
    if (route.shares.empty()) {
      Through(message, now + StaySeconds(route), now);
    } else {
      Plan(now + route.latency, EventKind::kEnter, message);
    }
  }

  // Counts what moves within a host. Such transfers start in the order of time and do not disturb each other.
  void Stay(const Route::Stay& stay, double now) {
    LinkUse& use = links_[static_cast<size_t>(stay.link)];
    double& until = within_until_[static_cast<size_t>(use.host)];
    use.bytes += stay.bytes;
    use.busy += std::max(0.0, now + stay.seconds - std::max(now, until));
    until = std::max(until, now + stay.seconds);
  }

  // The last byte of a message has (or will have, at `time` >= now) reached the receiving mesh.
  void Through(int32_t message, double time, double now) {
    Message& state = messages_[static_cast<size_t>(message)];
    const Instruction send = SendOf(message);
    const int32_t receiver = ReceiverOf(send);
    double gather = 0;
    if (send.op == Op::kSendActivation) gather = EdgeCostOf(send.index).forward_gather;
    if (send.op == Op::kSendCotangent) gather = EdgeCostOf(send.index).backward_gather;
    state.arrived = time + gather;
    last_arrival_ = std::max(last_arrival_, state.arrived);
    if (options_.events)
      timeline_.transfers[static_cast<size_t>(transfer_of_[static_cast<size_t>(message)])].end = state.arrived;
    if (BufferOf(message) != 0) {
      if (time > now) {
        Plan(time, EventKind::kArrive, message);
      } else {
        AddMemory(send, true, now, -BufferOf(message));
      }
    }
    if (meshes_[static_cast<size_t>(receiver)].awaited == message) Plan(state.arrived, EventKind::kResume, receiver);
  }

  // Whether the mesh can go on behind a receive. Otherwise it is resumed when the value arrives.
  bool Arrived(int32_t mesh, const Instruction& instruction, double now) {
    MeshState& state = meshes_[static_cast<size_t>(mesh)];
    const int32_t number = MessageOf(instruction);
    const Message& message = messages_[static_cast<size_t>(number)];
    if (message.arrived <= now) {
      if (state.awaited >= 0) state.waiting += now - std::max(state.since, message.sent);
      state.awaited = -1;
      return true;
    }
    state.awaited = number;
    state.since = now;
    if (message.arrived < kUnknown) Plan(message.arrived, EventKind::kResume, mesh);
    return false;
  }

  Timeline Finish() {
    timeline_.makespan = last_arrival_;
    for (const MeshState& state : meshes_) timeline_.makespan = std::max(timeline_.makespan, state.end);
    for (size_t mesh = 0; mesh < meshes_.size(); ++mesh) {
      const MeshState& state = meshes_[mesh];
      timeline_.meshes.push_back({state.busy, state.waiting, timeline_.makespan - state.busy - state.waiting,
                                  memory_[mesh].peak(), memory_[mesh].TakePoints()});
    }
    for (size_t link = 0; link < links_.size(); ++link) {
      if (links_[link].kind != LinkKind::kWithin) links_[link].busy = network_.Busy(link);
    }
    timeline_.links = std::move(links_);
    return std::move(timeline_);
  }

  const Program& program_;
  const Pipeline& pipeline_;
  const Costs& costs_;
  const Options options_;
  const schedule::StageEdges edges_;
  std::vector<Route> routes_;  // activation and cotangent of each edge, then step edges
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  int64_t order_ = 0;  // events planned so far
  std::vector<MeshState> meshes_;
  std::vector<MemoryMeter> memory_;
  std::vector<Message> messages_;
  Network network_;
  std::vector<Network::Finish> finishes_;  // of the last change
  std::vector<int32_t> message_of_;        // by transfer of the network
  std::vector<int32_t> transfer_of_;       // by message, if events are recorded
  std::vector<LinkUse> links_;
  std::vector<double> within_until_;  // by host, when its last transfer within ends
  double last_arrival_ = 0;
  int32_t sent_twice_ = -1;  // a message
  Timeline timeline_;
};

}  // namespace

Result<Timeline> Simulate(const Program& program, const Pipeline& pipeline, const Costs& costs,
                          const Options& options) {
  ALPA_RETURN_IF_ERROR(schedule::Verify(pipeline));
  ALPA_RETURN_IF_ERROR(schedule::VerifyOperands(program, pipeline));
  ALPA_RETURN_IF_ERROR(Verify(costs, pipeline));
  return Simulation(program, pipeline, costs, options).Run();
}

}  // namespace alpa::simulate
