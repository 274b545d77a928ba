#include "alpa/simulate/simulate.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "alpa/schedule/make_instructions.h"
#include "alpa/schedule/sample_pipelines.h"

namespace alpa::simulate {
namespace {

using schedule::ChainPipeline;
using schedule::Kind;
using schedule::Pipeline;
using ::testing::HasSubstr;

StageCost Times(double forward, double backward_input, double backward_weight) {
  StageCost cost;
  cost.forward = forward;
  cost.backward_input = backward_input;
  cost.backward_weight = backward_weight;
  return cost;
}

Timeline Play(const Pipeline& pipeline, const Costs& costs, const Options& options = {}) {
  const auto program = schedule::MakeInstructions(pipeline);
  EXPECT_TRUE(program.ok()) << program.error().message;
  auto timeline = Simulate(*program, pipeline, costs, options);
  EXPECT_TRUE(timeline.ok()) << timeline.error().message;
  return std::move(timeline).value();
}

// All stages equal, no transfers.
Timeline RunEqual(const Pipeline& pipeline, const StageCost& cost) {
  return Play(pipeline, WithoutTransfers(pipeline, std::vector<StageCost>(pipeline.stages.size(), cost)));
}

const std::pair<int32_t, int32_t> kShapes[] = {{4, 8}, {4, 16}, {8, 16}, {8, 32}, {1, 5}, {3, 3}, {5, 2}, {16, 64}};

TEST(Simulate, GpipeAnd1F1BTakeAsLongAsTheClosedForm) {
  for (const Kind kind : {Kind::kGpipe, Kind::k1F1B}) {
    for (const auto& [p, m] : kShapes) {
      for (const StageCost& cost : {Times(1, 1, 1), Times(1, 2, 0), Times(0.25, 0.5, 0.125), Times(3, 1, 0.5)}) {
        const Timeline timeline = RunEqual(ChainPipeline(kind, p, m), cost);
        const double both = cost.forward + cost.backward_input + cost.backward_weight;
        EXPECT_DOUBLE_EQ(timeline.makespan, (m + p - 1) * both) << Name(kind) << " p=" << p << " m=" << m;
        for (const MeshUse& mesh : timeline.meshes) {
          EXPECT_DOUBLE_EQ(mesh.busy, m * both);
          EXPECT_DOUBLE_EQ(mesh.bubble, (p - 1) * both);
          EXPECT_DOUBLE_EQ(mesh.waiting, 0);
        }
      }
    }
  }
  EXPECT_DOUBLE_EQ(RunEqual(ChainPipeline(Kind::k1F1B, 4, 8), Times(1, 1, 1)).makespan, 33);
  EXPECT_DOUBLE_EQ(RunEqual(ChainPipeline(Kind::k1F1B, 8, 32), Times(1, 1, 1)).makespan, 117);
}

TEST(Simulate, InterleavedTakesAsLongAsTheClosedForm) {
  struct Case {
    int32_t p, v, m;
    double makespan;
  };
  for (const Case& c : {Case{4, 2, 8, 28.5}, {4, 4, 16, 50.25}, {8, 2, 16, 58.5}, {8, 4, 32, 101.25}}) {
    // A mesh takes 1 forward and 2 backward for a microbatch, each of its chunks an equal part of it.
    const Timeline timeline =
        RunEqual(ChainPipeline(Kind::kInterleaved, c.p, c.m, c.v), Times(1.0 / c.v, 2.0 / c.v, 0));
    EXPECT_DOUBLE_EQ(timeline.makespan, c.makespan);
    for (const MeshUse& mesh : timeline.meshes) EXPECT_DOUBLE_EQ(mesh.bubble, 3.0 * (c.p - 1) / c.v);
  }
}

TEST(Simulate, ZbH1TakesAsLongAsTheClosedForm) {
  const std::pair<std::pair<int32_t, int32_t>, double> cases[] = {
      {{4, 8}, 27}, {{4, 16}, 51}, {{8, 16}, 55}, {{8, 32}, 103}};
  for (const auto& [shape, makespan] : cases) {
    EXPECT_DOUBLE_EQ(RunEqual(ChainPipeline(Kind::kZbH1, shape.first, shape.second), Times(1, 1, 1)).makespan,
                     makespan);
  }
  for (int32_t p = 1; p <= 12; ++p) {
    for (int32_t m = p; m <= 3 * p; ++m) {
      // (p - 1)(TF + TB - TW) while W is the shortest. A longer one cannot shorten the bubble below the time in which
      // the first microbatch comes to the last mesh, (p - 1) TF, or back from there, (p - 1) TB.
      for (const StageCost& cost : {Times(1, 1, 1), Times(2, 2, 1), Times(1, 2, 1), Times(2, 3, 1), Times(3, 2, 0.5),
                                    Times(1, 2, 2), Times(1, 5, 3), Times(2, 1, 2), Times(4, 4, 5)}) {
        const Timeline timeline = RunEqual(ChainPipeline(Kind::kZbH1, p, m), cost);
        const double hidden = std::min({cost.forward, cost.backward_input, cost.backward_weight});
        const double bubble = (p - 1) * (cost.forward + cost.backward_input - hidden);
        const double work = m * (cost.forward + cost.backward_input + cost.backward_weight);
        EXPECT_DOUBLE_EQ(timeline.makespan, work + bubble) << "p=" << p << " m=" << m;
        for (const MeshUse& mesh : timeline.meshes) EXPECT_DOUBLE_EQ(mesh.bubble, bubble);
      }
    }
  }
}

// The list of a chain that runs F up to `ahead` microbatches ahead of B on stage s and otherwise prefers B to F to W; W
// is not counted.
schedule::Program GreedyZeroBubble(const Pipeline& pipeline, const std::vector<int32_t>& ahead, int32_t kept) {
  using schedule::Op;
  const int32_t p = pipeline.meshes, m = pipeline.microbatches;
  std::vector<std::array<int32_t, 3>> done(static_cast<size_t>(p) + 2);  // F, B, W of stage s at s + 1
  done.front() = done.back() = {m, m, m};
  schedule::Program program;
  program.meshes.resize(static_cast<size_t>(p));
  for (int32_t left = 3 * p * m; left > 0;) {
    const auto before = done;
    for (int32_t s = 0; s < p; ++s) {
      auto& list = program.meshes[static_cast<size_t>(s)];
      auto& [f, b, w] = done[static_cast<size_t>(s) + 1];
      const auto& previous = before[static_cast<size_t>(s)];
      const auto& next = before[static_cast<size_t>(s) + 2];
      if (b < f && next[1] > b) {
        if (s + 1 < p) list.push_back({Op::kReceiveCotangent, s, b});
        list.push_back({Op::kBackwardInput, s, b});
        if (s > 0) list.push_back({Op::kSendCotangent, s - 1, b});
        if (s + 1 < p) list.push_back({Op::kFreeCotangent, s, b});
        list.push_back({Op::kFreeActivations, s, b++});
      } else if (f < m && f - b < ahead[static_cast<size_t>(s)] && f - w < kept && previous[0] > f) {
        if (s > 0) list.push_back({Op::kReceiveActivation, s - 1, f});
        list.push_back({Op::kForward, s, f});
        if (s + 1 < p) list.push_back({Op::kSendActivation, s, f});
        if (s > 0) list.push_back({Op::kFreeInput, s - 1, f});
        ++f;
      } else if (w < b) {
        list.push_back({Op::kBackwardWeight, s, w});
        list.push_back({Op::kFreeWeightInputs, s, w++});
      } else {
        continue;
      }
      --left;
    }
  }
  for (int32_t s = 0; s < p; ++s) program.meshes[static_cast<size_t>(s)].push_back({Op::kUpdate, s, 0});
  return program;
}

// Seconds from the first to the last thing that a mesh computes.
double LongestSpan(const Timeline& timeline, int32_t meshes) {
  std::vector<double> first(static_cast<size_t>(meshes), timeline.makespan), last(static_cast<size_t>(meshes), 0);
  for (const simulate::Run& run : timeline.runs) {
    if (run.instruction.op == schedule::Op::kUpdate) continue;
    const auto mesh = static_cast<size_t>(run.mesh);
    first[mesh] = std::min(first[mesh], run.start);
    last[mesh] = std::max(last[mesh], run.end);
  }
  double longest = 0;
  for (size_t mesh = 0; mesh < first.size(); ++mesh) longest = std::max(longest, last[mesh] - first[mesh]);
  return longest;
}

TEST(Simulate, MoreWarmUpThanZbH1IsNotCredited) {
  struct Case {
    int32_t p, m;
    double h1, limited;
  };
  for (const Case& c : {Case{4, 8, 27, 29}, {4, 16, 51, 53}, {8, 16, 55, 57}, {8, 32, 103, 105}}) {
    const Pipeline pipeline = ChainPipeline(Kind::kZbH1, c.p, c.m);
    const Costs costs = WithoutTransfers(pipeline, std::vector<StageCost>(static_cast<size_t>(c.p), Times(1, 1, 1)));
    std::vector<int32_t> h1, h2;
    for (int32_t s = 0; s < c.p; ++s) {
      h1.push_back(c.p - s);
      h2.push_back(2 * (c.p - s) - 1);
    }
    const auto run = [&](const std::vector<int32_t>& ahead, int32_t kept) {
      return Simulate(GreedyZeroBubble(pipeline, ahead, kept), pipeline, costs, {.events = true}).value();
    };
    // Greedy B > F > W holds weight inputs of all microbatches; our list takes as long with those of p.
    EXPECT_DOUBLE_EQ(run(h1, c.m).makespan, c.h1);
    EXPECT_DOUBLE_EQ(Play(pipeline, costs).makespan, c.h1);
    // ZB-H2: no mesh has a bubble of its own any more, but the step takes as long.
    EXPECT_DOUBLE_EQ(run(h2, c.m).makespan, c.h1);
    EXPECT_DOUBLE_EQ(LongestSpan(run(h2, c.m), c.p), 3 * c.m);
    // Greedy with weight inputs of p microbatches takes the wrong turns.
    EXPECT_DOUBLE_EQ(run(h1, c.p).makespan, c.limited);
  }
}

TEST(Simulate, InferenceTakesAsLongAsTheClosedForm) {
  for (const auto& [p, m] : kShapes)
    EXPECT_DOUBLE_EQ(RunEqual(ChainPipeline(Kind::kInference, p, m), Times(1, 9, 9)).makespan, m + p - 1);
}

TEST(Simulate, MemoryPeaksAreThoseOfTheFormulas) {
  StageCost cost = Times(1, 1, 1);
  cost.state = 1000;
  cost.activation = 10;
  cost.weight_input = 4;
  cost.workspace = 3;
  const int32_t p = 4, m = 8, v = 2;
  const Timeline gpipe = RunEqual(ChainPipeline(Kind::kGpipe, p, m), cost);
  const Timeline one = RunEqual(ChainPipeline(Kind::k1F1B, p, m), cost);
  const Timeline interleaved = RunEqual(ChainPipeline(Kind::kInterleaved, p, m, v), cost);
  for (int32_t r = 0; r < p; ++r) {
    const auto mesh = static_cast<size_t>(r);
    EXPECT_EQ(gpipe.meshes[mesh].peak, 1000 + 10 * m + 3);
    EXPECT_EQ(one.meshes[mesh].peak, 1000 + 10 * std::min(m, p - r) + 3);
    EXPECT_EQ(interleaved.meshes[mesh].peak, v * 1000 + 10 * (2 * (p - r - 1) + (v - 1) * p + 1) + 3);
  }
  cost.weight_input = 10;  // all is kept for the weight gradients
  const Timeline zb = RunEqual(ChainPipeline(Kind::kZbH1, p, m), cost);
  for (const MeshUse& mesh : zb.meshes) EXPECT_EQ(mesh.peak, 1000 + 10 * p + 3);
  cost.weight_input = 0;  // nothing is
  const Timeline light = RunEqual(ChainPipeline(Kind::kZbH1, p, m), cost);
  for (int32_t r = 0; r < p; ++r) EXPECT_EQ(light.meshes[static_cast<size_t>(r)].peak, 1000 + 10 * (p - r) + 3);
}

// Two stages on two hosts, one microbatch: all on one screen.
TEST(Simulate, RecordsWhatHappens) {
  using schedule::Op;
  Pipeline pipeline = ChainPipeline(Kind::k1F1B, 2, 1);
  pipeline.edges[0].forward_bytes = 8;
  pipeline.edges[0].backward_bytes = 4;
  StageCost cost = Times(2, 1, 3);
  cost.update = 0.5;
  cost.activation = 100;
  Costs costs = WithoutTransfers(pipeline, {cost, cost});
  costs.hosts.resize(2);
  for (cluster::Host& host : costs.hosts) host.network = {Seconds(1), 0.25};
  costs.meshes = {{{0, 1}}, {{1, 1}}};
  const Timeline timeline = Play(pipeline, costs, {.events = true});
  const std::vector<simulate::Run> runs = {{{Op::kForward, 0, 0}, 0, 0, 2},    {{Op::kForward, 1, 0}, 1, 5, 7},
                                           {{Op::kBackward, 1, 0}, 1, 7, 11},  {{Op::kUpdate, 1, 0}, 1, 11, 11.5},
                                           {{Op::kBackward, 0, 0}, 0, 13, 17}, {{Op::kUpdate, 0, 0}, 0, 17, 17.5}};
  EXPECT_EQ(timeline.runs, runs);
  const std::vector<Transfer> transfers = {{{Op::kSendActivation, 0, 0}, 0, 1, 2, 5},
                                           {{Op::kSendCotangent, 0, 0}, 1, 0, 11, 13}};
  EXPECT_EQ(timeline.transfers, transfers);
  EXPECT_DOUBLE_EQ(timeline.makespan, 17.5);
  EXPECT_DOUBLE_EQ(timeline.meshes[0].busy, 6.5);
  EXPECT_DOUBLE_EQ(timeline.meshes[0].waiting, 2);  // 11 to 13; before, mesh 1 computes
  EXPECT_DOUBLE_EQ(timeline.meshes[0].bubble, 9);
  EXPECT_DOUBLE_EQ(timeline.meshes[1].waiting, 3);
  const std::vector<MemoryPoint> memory = {{0, 100}, {17, 0}};
  EXPECT_EQ(timeline.meshes[0].memory, memory);
  EXPECT_EQ(timeline.links[1], (LinkUse{LinkKind::kOut, 0, 2, 8}));
  EXPECT_EQ(timeline.links[2], (LinkUse{LinkKind::kIn, 0, 1, 4}));
  EXPECT_EQ(timeline.links[4], (LinkUse{LinkKind::kOut, 1, 1, 4}));
}

// Two encoders on one host feed a stage on another: their activations share the cards and take twice as long.
TEST(Simulate, TransfersOfOneHostShareItsCards) {
  Pipeline pipeline = ChainPipeline(Kind::kInference, 3, 1);
  pipeline.edges = {{0, 2, 8, 0, false}, {1, 2, 8, 0, false}};
  Costs costs = WithoutTransfers(pipeline, {Times(1, 0, 0), Times(1, 0, 0), Times(1, 0, 0)});
  costs.edges = {{0.5, 0, 10, 0}, {0, 0, 10, 0}};
  costs.hosts.resize(2);
  for (cluster::Host& host : costs.hosts) host.network = {Seconds(0), 0.25};
  costs.meshes = {{{0, 1}}, {{0, 1}}, {{1, 1}}};
  Timeline timeline = Play(pipeline, costs);
  EXPECT_DOUBLE_EQ(timeline.makespan, 1 + 2 * 2 + 0.5 + 1);
  EXPECT_EQ(timeline.links[1], (LinkUse{LinkKind::kOut, 0, 4, 16}));
  EXPECT_EQ(timeline.links[5], (LinkUse{LinkKind::kIn, 1, 4, 16}));
  EXPECT_EQ(timeline.meshes[2].peak, 20);  // both are on their way at once
  EXPECT_DOUBLE_EQ(timeline.meshes[2].waiting, 4.5);
  EXPECT_DOUBLE_EQ(timeline.meshes[2].bubble, 1);
  costs.stages[1].forward = 3;  // now one follows the other
  timeline = Play(pipeline, costs);
  EXPECT_DOUBLE_EQ(timeline.makespan, 3 + 2 + 1);
  // A host of its own changes nothing: the receiving side is as narrow.
  costs.stages[1].forward = 1;
  costs.hosts.push_back(costs.hosts[0]);
  costs.meshes[1] = {{2, 1}};
  EXPECT_DOUBLE_EQ(Play(pipeline, costs).makespan, 6.5);
}

TEST(Simulate, StepEdgesDelayUpdates) {
  Pipeline pipeline = ChainPipeline(Kind::k1F1B, 2, 1);
  pipeline.update_rounds = 3;
  pipeline.step_edges = {{1, 0, 0, 4}, {1, 0, 1, 2}, {0, 1, 2, 2}, {0, 1, 3, 4}};
  StageCost cost = Times(1, 1, 0);
  cost.update = 8;
  Costs costs = WithoutTransfers(pipeline, {cost, cost});
  costs.hosts[0].intra = {Seconds(0), 1};
  // Forward and backward: 4. Norm from mesh 1 at 3, to 0 at 5; 0 knows its gradients at 7 (4 bytes from 3, and its
  // backward ends at 4), sends the norm until 9; mesh 1 updates until 17, mesh 0 until 15 and then sends until 19.
  EXPECT_DOUBLE_EQ(Play(pipeline, costs).makespan, 19);
}

TEST(Simulate, RefusesWhatItCannotRun) {
  const Pipeline pipeline = ChainPipeline(Kind::k1F1B, 2, 2);
  const Costs good = WithoutTransfers(pipeline, {StageCost{}, StageCost{}});
  const auto program = schedule::MakeInstructions(pipeline).value();
  EXPECT_TRUE(Simulate(program, pipeline, good).ok());
  auto expect = [&](const schedule::Program& run, const Costs& costs, Code code, const char* message) {
    const auto timeline = Simulate(run, pipeline, costs);
    ASSERT_FALSE(timeline.ok()) << message;
    EXPECT_EQ(timeline.error().code, code);
    EXPECT_THAT(timeline.error().message, HasSubstr(message));
  };
  auto change = [&](auto how) {
    Costs costs = good;
    how(costs);
    return costs;
  };
  expect(program, change([](Costs& c) { c.stages.pop_back(); }), Code::kInvalidArgument, "costs of 1 stages for 2");
  expect(program, change([](Costs& c) { c.edges.resize(2); }), Code::kInvalidArgument, "costs of 2 edges for 1");
  expect(program, change([](Costs& c) { c.meshes.pop_back(); }), Code::kInvalidArgument, "places of 1 meshes for 2");
  expect(program, change([](Costs& c) { c.meshes[1].clear(); }), Code::kInvalidArgument, "mesh 1 has no devices");
  expect(program, change([](Costs& c) { c.meshes[1][0].host = 1; }), Code::kInvalidArgument,
         "mesh 1 lies on host 1 of 1");
  expect(program, change([](Costs& c) { c.meshes[1][0].devices = 0; }), Code::kInvalidArgument, "0 devices of host 0");
  expect(program, change([](Costs& c) { c.stages[1].forward = -1; }), Code::kInvalidArgument, "stage 1: forward is -1");
  expect(program, change([](Costs& c) { c.stages[0].update = 1.0 / 0.0; }), Code::kInvalidArgument, "update is inf");
  expect(program, change([](Costs& c) {
           c.edges.resize(1);
           c.edges[0].backward_gather = -2;
         }),
         Code::kInvalidArgument, "edge 0: backward_gather is -2");
  expect(program, change([](Costs& c) { c.hosts[0].network.beta = -1; }), Code::kInvalidArgument,
         "host 0: network seconds per byte is -1");

  schedule::Program broken = program;
  std::erase(broken.meshes[0], schedule::Instruction{schedule::Op::kSendActivation, 0, 1});
  expect(broken, good, Code::kInvalidInput, "deadlock; mesh 0 waits forever");
  broken = program;
  broken.meshes[0].push_back({schedule::Op::kSendActivation, 0, 1});
  expect(broken, good, Code::kInvalidInput, "send-activation e0 k1 is sent twice");
  broken = program;
  broken.meshes.pop_back();
  expect(broken, good, Code::kInvalidInput, "a program for 1 meshes");
}

// The bar is 5 s for all that `alpa simulate` does.
TEST(Simulate, ManyMeshesAndMicrobatches) {
  for (const Kind kind : {Kind::k1F1B, Kind::kInterleaved, Kind::kZbH1}) {
    const int32_t chunks = kind == Kind::kInterleaved ? 2 : 1;
    Pipeline pipeline = ChainPipeline(kind, 64, 1024, chunks);
    for (schedule::Edge& edge : pipeline.edges) edge.forward_bytes = edge.backward_bytes = 1 << 20;
    Costs costs = WithoutTransfers(pipeline, std::vector<StageCost>(pipeline.stages.size(), Times(1e-3, 1e-3, 1e-3)));
    costs.edges.assign(pipeline.edges.size(), {0, 0, 1 << 20, 1 << 20});
    costs.hosts.resize(16);
    for (cluster::Host& host : costs.hosts) {
      host.intra = {Seconds(1e-6), 1e-11};
      host.network = {Seconds(1e-5), 1e-10};
    }
    for (int32_t mesh = 0; mesh < 64; ++mesh) costs.meshes[static_cast<size_t>(mesh)] = {{mesh % 16, 2}};  // all cross
    const auto program = schedule::MakeInstructions(pipeline).value();
    const auto start = std::chrono::steady_clock::now();
    const auto timeline = Simulate(program, pipeline, costs);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ASSERT_TRUE(timeline.ok());
    fmt::print("{:12} 64 meshes x 1024 microbatches, 16 hosts: {} instructions simulated in {:.3f} s; step {:.3f} s\n",
               Name(kind), program.size(), seconds, timeline->makespan);
    EXPECT_GE(timeline->makespan, 3e-3 * 1024 * chunks);
    EXPECT_LT(seconds, 20);  // a debug build on a busy machine passes too
  }
}

}  // namespace
}  // namespace alpa::simulate
