#include "alpa/simulate/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <tuple>
#include <utility>
#include <vector>

#include "alpa/schedule/buffers.h"
#include "alpa/schedule/check.h"
#include "alpa/simulate/costs.h"
#include "alpa/simulate/memory.h"
#include "alpa/simulate/messages.h"
#include "alpa/simulate/network.h"

namespace alpa::simulate {
namespace {

using schedule::Instruction;
using schedule::Pipeline;
using schedule::Program;

constexpr double kUnknown = std::numeric_limits<double>::infinity();

enum class EventKind : uint8_t { kResume, kEnter, kLeave, kGone };

// Something that happens at a time. Of two at the same time the one that was planned first comes first.
struct Event {
  double time = 0;
  int64_t order = 0;
  EventKind kind = EventKind::kResume;
  int32_t index = 0;    // kResume: mesh; kEnter, kGone: message; kLeave: transfer of the network
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
struct MessageState {
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
        messages_(pipeline),
        network_(3 * costs.hosts.size()),
        links_(3 * costs.hosts.size()),
        within_until_(costs.hosts.size(), 0) {
    states_.resize(static_cast<size_t>(messages_.size()));
    for (int32_t channel = 0; channel < messages_.channels(); ++channel)
      routes_.push_back(
          MakeRoute(costs, messages_.SenderOf(channel), messages_.ReceiverOf(channel), messages_.BytesOf(channel)));
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
      return Error{Code::kInvalidInput,
                   fmt::format("simulation: {} is sent twice", ToString(messages_.SendOf(sent_twice_))), ""};
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
  void Plan(double time, EventKind kind, int32_t index, int32_t version = 0) {
    events_.push({time, order_++, kind, index, version});
  }

  void Happen(const Event& event) {
    switch (event.kind) {
      case EventKind::kResume:
        return Advance(event.index, event.time);
      case EventKind::kEnter: {
        const int32_t transfer = network_.Enter(&RouteOf(event.index), event.time, &finishes_);
        message_of_.resize(std::max(message_of_.size(), static_cast<size_t>(transfer) + 1));
        message_of_[static_cast<size_t>(transfer)] = event.index;
        return PlanFinishes();
      }
      case EventKind::kLeave: {
        if (!network_.Holds({event.index, event.version, event.time})) return;
        network_.Leave(event.index, event.time, &finishes_);
        PlanFinishes();
        const int32_t message = message_of_[static_cast<size_t>(event.index)];
        const double within = states_[static_cast<size_t>(message)].sent + StaySeconds(RouteOf(message));
        return Through(message, std::max(event.time, within), event.time);
      }
      case EventKind::kGone:
        return FreeSent(event.index, event.time);
    }
  }

  const Route& RouteOf(int32_t message) const { return routes_[static_cast<size_t>(messages_.ChannelOf(message))]; }

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
        memory_[static_cast<size_t>(mesh)].Add(now, -WorkspaceOf(costs_, instruction));
        state.computing = false;
      } else if (IsReceive(instruction.op)) {
        if (!Arrived(mesh, instruction, now)) return;
      } else if (IsSend(instruction.op)) {
        Send(instruction, now);
      } else {
        memory_[static_cast<size_t>(mesh)].Add(now, -BytesFreed(pipeline_, costs_, instruction));
      }
      ++state.next;
      state.end = now;
    }
  }

  // Starts a computation; returns when it ends.
  double Begin(int32_t mesh, const Instruction& instruction, double now) {
    const double seconds = SecondsOf(pipeline_, costs_, instruction);
    meshes_[static_cast<size_t>(mesh)].busy += seconds;
    if (options_.events) timeline_.runs.push_back({instruction, mesh, now, now + seconds});
    memory_[static_cast<size_t>(mesh)].Add(
        now, WorkspaceOf(costs_, instruction) + BytesWritten(pipeline_, costs_, edges_, instruction));
    return now + seconds;
  }

  void Send(const Instruction& instruction, double now) {
    const int32_t message = messages_.NumberOf(instruction);
    const int32_t channel = messages_.ChannelOf(message);
    const Route& route = routes_[static_cast<size_t>(channel)];
    MessageState& state = states_[static_cast<size_t>(message)];
    if (state.sent < kUnknown) {
      sent_twice_ = message;
      return;
    }
    state.sent = now;
    const int32_t receiver = messages_.ReceiverOf(channel);
    if (options_.events) {
      transfer_of_.resize(states_.size(), -1);
      transfer_of_[static_cast<size_t>(message)] = static_cast<int32_t>(timeline_.transfers.size());
      timeline_.transfers.push_back({instruction, messages_.SenderOf(channel), receiver, now, kUnknown});
    }
    memory_[static_cast<size_t>(receiver)].Add(now, BufferBytes(costs_, instruction));
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
    MessageState& state = states_[static_cast<size_t>(message)];
    const Instruction send = messages_.SendOf(message);
    state.arrived = time + GatherSeconds(costs_, send);
    last_arrival_ = std::max(last_arrival_, state.arrived);
    if (options_.events)
      timeline_.transfers[static_cast<size_t>(transfer_of_[static_cast<size_t>(message)])].end = state.arrived;
    if (BufferBytes(costs_, send) != 0) {
      if (time > now) {
        Plan(time, EventKind::kGone, message);
      } else {
        FreeSent(message, now);
      }
    }
    const int32_t receiver = messages_.ReceiverOf(messages_.ChannelOf(message));
    if (meshes_[static_cast<size_t>(receiver)].awaited == message) Plan(state.arrived, EventKind::kResume, receiver);
  }

  // The sender does not need the value any more.
  void FreeSent(int32_t message, double now) {
    const int32_t sender = messages_.SenderOf(messages_.ChannelOf(message));
    memory_[static_cast<size_t>(sender)].Add(now, -BufferBytes(costs_, messages_.SendOf(message)));
  }

  // Whether the mesh can go on behind a receive. Otherwise it is resumed when the value arrives.
  bool Arrived(int32_t mesh, const Instruction& instruction, double now) {
    MeshState& state = meshes_[static_cast<size_t>(mesh)];
    const int32_t number = messages_.NumberOf(instruction);
    const MessageState& message = states_[static_cast<size_t>(number)];
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
  const Messages messages_;
  std::vector<Route> routes_;  // by channel
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  int64_t order_ = 0;  // events planned so far
  std::vector<MeshState> meshes_;
  std::vector<MemoryMeter> memory_;
  std::vector<MessageState> states_;  // by message
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
  ALPA_RETURN_IF_ERROR(schedule::VerifyInstructions(program, pipeline));
  ALPA_RETURN_IF_ERROR(Verify(costs, pipeline));
  return Simulation(program, pipeline, costs, options).Run();
}

}  // namespace alpa::simulate
