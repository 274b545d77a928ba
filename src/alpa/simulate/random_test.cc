// Properties of simulated programs, on pipelines, costs and places drawn at random. All times are multiples of 1/8, so
// that sums are exact.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

#include "alpa/schedule/check.h"
#include "alpa/schedule/make_instructions.h"
#include "alpa/schedule/sample_pipelines.h"
#include "alpa/simulate/network.h"
#include "alpa/simulate/simulate.h"

namespace alpa::simulate {
namespace {

using schedule::Draw;
using schedule::Edge;
using schedule::Instruction;
using schedule::Kind;
using schedule::Op;
using schedule::Pipeline;
using schedule::Program;
using schedule::RandomPipeline;

struct Sample {
  Pipeline pipeline;
  Costs costs;
  Program program;
};

double DrawTime(std::mt19937& random, int32_t low = 0) { return Draw(random, low, 24) / 8.0; }

Sample RandomSample(Kind kind, std::mt19937& random, int32_t hosts) {
  Sample sample{RandomPipeline(kind, random), {}, {}};
  Costs& costs = sample.costs;
  for (size_t s = 0; s < sample.pipeline.stages.size(); ++s) {
    costs.stages.push_back({DrawTime(random, 1), DrawTime(random, 1), DrawTime(random, 1), DrawTime(random),
                            Draw(random, 0, 90), Draw(random, 0, 20), Draw(random, 0, 20), Draw(random, 0, 20)});
  }
  for (size_t e = 0; e < sample.pipeline.edges.size(); ++e)
    costs.edges.push_back({DrawTime(random), DrawTime(random), Draw(random, 0, 20), Draw(random, 0, 20)});
  for (int32_t h = 0; h < hosts; ++h) {
    cluster::Host host;
    host.devices = 4;
    host.intra = {Seconds(DrawTime(random)), 0.125};
    host.network = {Seconds(DrawTime(random)), 0.25};
    host.device_network_beta = Draw(random, 0, 2) * 0.25;
    costs.hosts.push_back(host);
  }
  for (int32_t mesh = 0; mesh < sample.pipeline.meshes; ++mesh) {
    costs.meshes.push_back({{Draw(random, 0, hosts - 1), 1 << Draw(random, 0, 2)}});
    const int32_t other = Draw(random, 0, hosts - 1);
    if (other != costs.meshes.back()[0].host) costs.meshes.back().push_back({other, costs.meshes.back()[0].devices});
  }
  sample.program = schedule::MakeInstructions(sample.pipeline).value();
  return sample;
}

Timeline Play(const Sample& sample) {
  auto timeline = Simulate(sample.program, sample.pipeline, sample.costs, {.events = true});
  EXPECT_TRUE(timeline.ok()) << timeline.error().message;
  return std::move(timeline).value();
}

void ForSamples(int32_t rounds, int32_t hosts, const std::function<void(const Sample&)>& check) {
  std::mt19937 random(5);
  for (int32_t round = 0; round < rounds; ++round) {
    for (int kind = 0; kind < schedule::kKindCount; ++kind) {
      const Sample sample = RandomSample(static_cast<Kind>(kind), random, hosts);
      check(sample);
      if (::testing::Test::HasFailure()) {
        ADD_FAILURE() << ToString(sample.pipeline) << ToString(sample.program);
        return;
      }
    }
  }
}

int32_t MeshOfStage(const Pipeline& pipeline, int32_t stage) {
  return pipeline.stages[static_cast<size_t>(stage)].mesh;
}

double ComputeSeconds(const Sample& sample, const Instruction& i) {
  const StageCost& cost = sample.costs.stages[static_cast<size_t>(i.index)];
  if (i.op == Op::kForward) return cost.forward;
  if (i.op == Op::kBackward) return cost.backward_input + cost.backward_weight;
  if (i.op == Op::kBackwardInput) return cost.backward_input;
  if (i.op == Op::kBackwardWeight) return cost.backward_weight;
  return i.microbatch == sample.pipeline.update_rounds - 1 ? cost.update : 0;
}

// Seconds from a send to its receive when nothing else moves.
double SendSeconds(const Sample& sample, const Instruction& send) {
  const Pipeline& pipeline = sample.pipeline;
  const auto i = static_cast<size_t>(send.index);
  const bool step = send.op == Op::kSendStep, forward = send.op == Op::kSendActivation;
  const int32_t from = step ? pipeline.step_edges[i].from : forward ? pipeline.edges[i].from : pipeline.edges[i].to;
  const int32_t to = step ? pipeline.step_edges[i].to : forward ? pipeline.edges[i].to : pipeline.edges[i].from;
  const int64_t bytes = step      ? pipeline.step_edges[i].bytes
                        : forward ? pipeline.edges[i].forward_bytes
                                  : pipeline.edges[i].backward_bytes;
  const Route route = MakeRoute(sample.costs, MeshOfStage(pipeline, from), MeshOfStage(pipeline, to), bytes);
  double network = 0;
  for (const Route::Share& share : route.shares)
    network = std::max(network, route.latency + std::max(share.seconds, share.least));
  const double gather = step      ? 0
                        : forward ? sample.costs.edges[i].forward_gather
                                  : sample.costs.edges[i].backward_gather;
  return std::max(network, StaySeconds(route)) + gather;
}

// The end of the step when each instruction begins as soon as the one before it in its list is done and, if it
// receives, the value is there: the longest path, by repeated relaxation.
double LongestPath(const Sample& sample, bool transfers) {
  std::vector<std::vector<double>> ends;
  for (const auto& list : sample.program.meshes) ends.emplace_back(list.size(), 0);
  std::map<std::tuple<Op, int32_t, int32_t>, double> arrived;
  double last = 0;
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t mesh = 0; mesh < ends.size(); ++mesh) {
      double now = 0;
      for (size_t i = 0; i < ends[mesh].size(); ++i) {
        const Instruction& instruction = sample.program.meshes[mesh][i];
        const std::tuple<Op, int32_t, int32_t> key{instruction.op, instruction.index, instruction.microbatch};
        if (IsCompute(instruction.op)) now += ComputeSeconds(sample, instruction);
        if (IsReceive(instruction.op)) {
          now = std::max(now, arrived[{static_cast<Op>(static_cast<int>(instruction.op) - 1), instruction.index,
                                       instruction.microbatch}]);
        }
        if (IsSend(instruction.op)) {
          arrived[key] = now + (transfers ? SendSeconds(sample, instruction) : 0);
          last = std::max(last, arrived[key]);
        }
        changed = changed || now != ends[mesh][i];
        ends[mesh][i] = now;
        last = std::max(last, now);
      }
    }
  }
  return last;
}

TEST(SimulateRandom, WithoutSharingAStepIsTheLongestPath) {
  ForSamples(200, 1, [](const Sample& sample) {  // one host: nothing crosses a network
    EXPECT_DOUBLE_EQ(Play(sample).makespan, LongestPath(sample, true));
  });
}

TEST(SimulateRandom, SharingOnlyDelays) {
  double shared = 0, alone = 0;
  ForSamples(200, 3, [&](const Sample& sample) {
    const Timeline timeline = Play(sample);
    EXPECT_GE(timeline.makespan, LongestPath(sample, true) - 1e-9);
    EXPECT_GE(LongestPath(sample, true), LongestPath(sample, false));
    for (const Transfer& transfer : timeline.transfers)
      EXPECT_GE(transfer.end - transfer.start, SendSeconds(sample, transfer.instruction) - 1e-9);
    shared += timeline.makespan;
    alone += LongestPath(sample, true);
  });
  EXPECT_GT(shared, 1.001 * alone);  // and it does
}

TEST(SimulateRandom, NoStepIsShorterThanItsWorkOrItsPath) {
  ForSamples(200, 3, [](const Sample& sample) {
    const Pipeline& pipeline = sample.pipeline;
    const Timeline timeline = Play(sample);
    for (const MeshUse& mesh : timeline.meshes) EXPECT_LE(mesh.busy, timeline.makespan);
    // The way of one microbatch forwards and back.
    std::vector<double> forward(pipeline.stages.size(), 0), backward(pipeline.stages.size(), 0);
    double path = 0;
    for (size_t s = 0; s < forward.size(); ++s) {
      for (const Edge& edge : pipeline.edges) {
        if (edge.to == static_cast<int32_t>(s))
          forward[s] = std::max(forward[s], forward[static_cast<size_t>(edge.from)]);
      }
      forward[s] += sample.costs.stages[s].forward;
      path = std::max(path, forward[s]);
    }
    for (size_t s = backward.size(); s-- > 0 && HasBackward(pipeline.kind);) {
      backward[s] = forward[s];
      for (const Edge& edge : pipeline.edges) {
        if (edge.cotangent && edge.from == static_cast<int32_t>(s))
          backward[s] = std::max(backward[s], backward[static_cast<size_t>(edge.to)]);
      }
      const StageCost& cost = sample.costs.stages[s];
      backward[s] += cost.backward_input + (SplitsBackward(pipeline.kind) ? 0 : cost.backward_weight);
      path = std::max(path, backward[s] + cost.update + (SplitsBackward(pipeline.kind) ? cost.backward_weight : 0));
    }
    EXPECT_LE(path, timeline.makespan);
  });
}

TEST(SimulateRandom, FasterLinksNeverHurtWhereNothingIsShared) {
  ForSamples(100, 1, [](const Sample& sample) {
    Sample faster = sample;
    double last = Play(sample).makespan;
    for (const double factor : {0.5, 0.25, 0.0}) {
      faster.costs.hosts[0].intra = {Seconds(sample.costs.hosts[0].intra.alpha.value * factor), 0.125 * factor};
      const double now = Play(faster).makespan;
      EXPECT_LE(now, last);
      last = now;
    }
  });
}

TEST(SimulateRandom, AccountsAddUp) {
  ForSamples(200, 3, [](const Sample& sample) {
    const Timeline timeline = Play(sample);
    std::vector<double> busy(timeline.meshes.size(), 0), end(timeline.meshes.size(), 0);
    size_t computes = 0, sends = 0;
    for (const auto& list : sample.program.meshes) {
      for (const Instruction& i : list) computes += IsCompute(i.op), sends += IsSend(i.op);
    }
    for (const simulate::Run& run : timeline.runs) {
      const auto mesh = static_cast<size_t>(run.mesh);
      EXPECT_GE(run.start, end[mesh]);  // one thing at a time
      end[mesh] = run.end;
      busy[mesh] += run.end - run.start;
      EXPECT_NEAR(run.end - run.start, ComputeSeconds(sample, run.instruction), 1e-9);
    }
    EXPECT_EQ(timeline.runs.size(), computes);
    EXPECT_EQ(timeline.transfers.size(), sends);
    for (size_t mesh = 0; mesh < busy.size(); ++mesh) {
      const MeshUse& use = timeline.meshes[mesh];
      EXPECT_NEAR(use.busy, busy[mesh], 1e-9);
      EXPECT_NEAR(use.busy + use.waiting + use.bubble, timeline.makespan, 1e-9);
      EXPECT_GE(use.waiting, 0);
      EXPECT_GE(use.bubble, -1e-9);
    }
    double out = 0, in = 0;
    for (const LinkUse& link : timeline.links) {
      if (link.kind == LinkKind::kOut) out += link.bytes;
      if (link.kind == LinkKind::kIn) in += link.bytes;
      EXPECT_LE(link.busy, timeline.makespan + 1e-9);
      if (link.kind != LinkKind::kWithin) EXPECT_GE(link.busy, 0.25 * link.bytes - 1e-9);
    }
    EXPECT_NEAR(out, in, 1e-9);
    EXPECT_EQ(Play(sample), timeline);  // deterministic
    Timeline bare = timeline;
    bare.runs.clear();
    bare.transfers.clear();
    for (MeshUse& mesh : bare.meshes) mesh.memory.clear();
    EXPECT_EQ(Simulate(sample.program, sample.pipeline, sample.costs).value(), bare);
  });
}

TEST(SimulateRandom, WrongProgramsEnd) {
  std::mt19937 random(9);
  int refused = 0, sound = 0;
  ForSamples(200, 3, [&](Sample sample) {
    auto& list = sample.program.meshes[static_cast<size_t>(Draw(random, 0, sample.pipeline.meshes - 1))];
    const auto at = [&] { return list.begin() + Draw(random, 0, static_cast<int32_t>(list.size()) - 1); };
    switch (Draw(random, 0, 2)) {
      case 0:
        list.erase(at());
        break;
      case 1:
        list.insert(at(), *at());
        break;
      default:
        std::iter_swap(at(), at());
    }
    const auto timeline = Simulate(sample.program, sample.pipeline, sample.costs, {.events = true});
    if (Check(sample.program, sample.pipeline).ok()) {
      EXPECT_TRUE(timeline.ok()) << timeline.error().message;
      ++sound;
    } else if (!timeline.ok()) {
      EXPECT_EQ(timeline.error().code, Code::kInvalidInput);
      ++refused;
    }
  });
  EXPECT_GT(refused, 50);
  EXPECT_GT(sound, 50);
}

// --- Memory, replayed from what ran when. ---

// Who holds how many bytes from when to when.
struct Holding {
  int32_t mesh = 0;
  double from = 0, to = 0;
  int64_t bytes = 0;
};

std::vector<Holding> Holdings(const Sample& sample, const Timeline& timeline) {
  const Pipeline& pipeline = sample.pipeline;
  std::map<std::tuple<Op, int32_t, int32_t>, std::pair<double, double>> times;
  for (const simulate::Run& run : timeline.runs)
    times[{run.instruction.op, run.instruction.index, run.instruction.microbatch}] = {run.start, run.end};
  for (const Transfer& transfer : timeline.transfers)
    times[{transfer.instruction.op, transfer.instruction.index, transfer.instruction.microbatch}] = {transfer.start,
                                                                                                     transfer.end};
  const bool split = SplitsBackward(pipeline.kind), backward = HasBackward(pipeline.kind);
  const Op first = split ? Op::kBackwardInput : Op::kBackward;
  std::vector<Holding> holdings;
  for (const simulate::Run& run : timeline.runs) {
    if (run.instruction.op == Op::kUpdate) continue;
    const auto& [op, s, k] = run.instruction;
    const StageCost& cost = sample.costs.stages[static_cast<size_t>(s)];
    holdings.push_back({run.mesh, run.start, run.end, cost.workspace});
    if (op != Op::kForward || !backward) continue;
    const double input_done = times.at({first, s, k}).second;
    holdings.push_back({run.mesh, run.start, input_done, cost.activation});
    if (split)
      holdings.push_back({run.mesh, input_done, times.at({Op::kBackwardWeight, s, k}).second, cost.weight_input});
  }
  // A value from the start of what writes it to the end of what reads it, on the meshes at both ends.
  auto edge_holdings = [&](Op op, Op send, int32_t writer, int32_t reader, int32_t e, int64_t bytes, double gather) {
    for (int32_t k = 0; k < pipeline.microbatches; ++k) {
      const int32_t from = MeshOfStage(pipeline, writer), to = MeshOfStage(pipeline, reader);
      const double written = times.at({op, writer, k}).first, read = times.at({op, reader, k}).second;
      if (from == to) {
        holdings.push_back({from, written, read, bytes});
      } else {
        const auto& [sent, arrived] = times.at({send, e, k});
        holdings.push_back({from, written, arrived - gather, bytes});
        holdings.push_back({to, sent, read, bytes});
      }
    }
  };
  for (int32_t e = 0; e < static_cast<int32_t>(pipeline.edges.size()); ++e) {
    const Edge& edge = pipeline.edges[static_cast<size_t>(e)];
    const EdgeCost& cost = sample.costs.edges[static_cast<size_t>(e)];
    edge_holdings(Op::kForward, Op::kSendActivation, edge.from, edge.to, e, cost.forward_buffer, cost.forward_gather);
    if (backward && edge.cotangent)
      edge_holdings(first, Op::kSendCotangent, edge.to, edge.from, e, cost.backward_buffer, cost.backward_gather);
  }
  return holdings;
}

void CompareWithReplay(const Sample& sample) {
  const Timeline timeline = Play(sample);
  const std::vector<Holding> holdings = Holdings(sample, timeline);
  for (int32_t mesh = 0; mesh < sample.pipeline.meshes; ++mesh) {
    int64_t state = 0;
    for (size_t s = 0; s < sample.costs.stages.size(); ++s) {
      if (sample.pipeline.stages[s].mesh == mesh) state += sample.costs.stages[s].state;
    }
    auto bytes_at = [&](double time) {
      int64_t bytes = state;
      for (const Holding& h : holdings) bytes += h.mesh == mesh && h.from <= time && time < h.to ? h.bytes : 0;
      return bytes;
    };
    int64_t peak = state;
    for (const Holding& h : holdings) {
      if (h.mesh == mesh) peak = std::max(peak, bytes_at(h.from));
    }
    const MeshUse& use = timeline.meshes[static_cast<size_t>(mesh)];
    EXPECT_EQ(use.peak, peak);
    for (const MemoryPoint& point : use.memory) EXPECT_EQ(point.bytes, bytes_at(point.time)) << point.time;
    EXPECT_EQ(use.memory.back().bytes, state);  // nothing is left over
  }
}

TEST(SimulateRandom, MemoryIsThatOfAReplay) { ForSamples(200, 1, CompareWithReplay); }

TEST(SimulateRandom, MemoryIsThatOfAReplayWithSharedLinks) {
  ForSamples(200, 3, [](Sample sample) {
    // Ends of shared transfers are no multiples of 1/8; without gathering they are known exactly all the same.
    for (EdgeCost& cost : sample.costs.edges) cost.forward_gather = cost.backward_gather = 0;
    CompareWithReplay(sample);
  });
}

}  // namespace
}  // namespace alpa::simulate
