#include "alpa/schedule/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "alpa/schedule/make_instructions.h"
#include "alpa/schedule/sample_pipelines.h"

namespace alpa::schedule {
namespace {

using ::testing::HasSubstr;

Program Make(const Pipeline& pipeline) { return MakeInstructions(pipeline).value(); }

// --- Single faults, with their messages. ---

struct Fault {
  const char* message;
  const char* from;  // text to be replaced in the program of two stages and two microbatches
  const char* to;
};

TEST(Check, NamesTheInstructionThatBreaksARule) {
  // mesh 0: F0 send, F1 send, receive B0 free free, receive B1 free free, U; mesh 1: receive F0 free B0 send free, ...
  const Pipeline pipeline = ChainPipeline(Kind::k1F1B, 2, 2);
  const std::string good = ToString(Make(pipeline));
  const std::vector<Fault> faults = {
      {"mesh 0, instruction 0, send-activation e0 k0: output e0 k0 is not there yet",
       "  forward s0 k0\n  send-activation e0 k0\n", "  send-activation e0 k0\n  forward s0 k0\n"},
      {"cotangent-in e0 k0 is freed", "  backward s0 k0\n  free-cotangent e0 k0\n",
       "  free-cotangent e0 k0\n  backward s0 k0\n"},
      {"activations s0 k0 is never freed", "  free-activations s0 k0\n", ""},
      {"free-activations s0 k0: this is done already", "  free-activations s0 k0\n",
       "  free-activations s0 k0\n  free-activations s0 k0\n"},
      {"forward s0 k0: this is done already", "  forward s0 k0\n", "  forward s0 k0\n  forward s0 k0\n"},
      {"update s0 r0 is missing", "  update s0 r0\n", ""},
      {"stage 0 has run 0 of 2 backwards", "  forward s0 k0\n", "  update s0 r0\n  forward s0 k0\n"},
      {"deadlock: mesh 0 at instruction 2, receive-cotangent e0 k0; mesh 1 at instruction 0, receive-activation e0 k0",
       "  send-activation e0 k0\n  forward s0 k1\n  send-activation e0 k1\n",
       "  forward s0 k1\n  nothing\n  nothing\n"},
      {"receive-activation e0 k1: the value that comes next is that of microbatch 0", "  receive-activation e0 k0\n",
       "  receive-activation e0 k1\n"},
      {"there are 2 microbatches", "  forward s0 k1\n", "  forward s0 k2\n"},
      {"there are 2 of these", "  forward s0 k1\n", "  forward s2 k1\n"},
      {"there are 1 rounds", "  update s0 r0\n", "  update s0 r1\n"},
      {"belongs to mesh 1", "  forward s0 k1\n", "  forward s1 k1\n"},
      {"a program for 1 meshes", "mesh 1\n", "#"},
      {"this schedule does not split backward", "  backward s0 k0\n", "  backward-input s0 k0\n"},
  };
  for (const Fault& fault : faults) {
    std::string text = good;
    const size_t at = text.find(fault.from);
    ASSERT_NE(at, std::string::npos) << fault.from;
    text.replace(at, std::string(fault.from).size(), fault.to);
    for (size_t skip; (skip = text.find("  nothing\n")) != std::string::npos;) text.erase(skip, 10);
    const auto program = ParseProgram(text);
    ASSERT_TRUE(program.ok()) << program.error().message;
    const Status status = Check(*program, pipeline);
    ASSERT_FALSE(status.ok()) << fault.message;
    EXPECT_EQ(status.error().code, Code::kInvalidInput);
    EXPECT_THAT(status.error().message, HasSubstr(fault.message));
  }
}

TEST(Check, KnowsHowMuchAScheduleMayHold) {
  Pipeline pipeline = ChainPipeline(Kind::kGpipe, 2, 3);
  const Program program = Make(pipeline);
  EXPECT_TRUE(Check(program, pipeline).ok());
  pipeline.kind = Kind::k1F1B;
  const Status status = Check(program, pipeline);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message,
              HasSubstr("mesh 0, instruction 4, forward s0 k2: 3 microbatches in flight, at most 2 are allowed"));
}

TEST(Check, KnowsHowLongWeightGradientsMayWait) {
  const Pipeline pipeline = ChainPipeline(Kind::kZbH1, 1, 2);
  const auto program = ParseProgram(
      "mesh 0\n"
      "  forward s0 k0\n  backward-input s0 k0\n  free-activations s0 k0\n"
      "  forward s0 k1\n  backward-input s0 k1\n  free-activations s0 k1\n"
      "  backward-weight s0 k0\n  free-weight-inputs s0 k0\n"
      "  backward-weight s0 k1\n  free-weight-inputs s0 k1\n  update s0 r0\n");
  const Status status = Check(program.value(), pipeline);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("2 microbatches wait for backward-weight, at most 1 are allowed"));
}

// --- Random faults against a referee that knows rules as pairs "this comes before that" on one mesh. ---

using Position = std::map<std::tuple<Op, int32_t, int32_t>, size_t>;

// The rules, spelled out from the pipeline without buffers or queues.
class Referee {
 public:
  explicit Referee(const Pipeline& pipeline) : pipeline_(pipeline), expected_(static_cast<size_t>(pipeline.meshes)) {
    const bool split = SplitsBackward(pipeline.kind);
    last_ = split ? Op::kBackwardWeight : Op::kBackward;
    first_ = split ? Op::kBackwardInput : Op::kBackward;
    for (int32_t k = 0; k < pipeline.microbatches; ++k) {
      for (int32_t s = 0; s < static_cast<int32_t>(pipeline.stages.size()); ++s) AddStage(s, k);
      for (int32_t e = 0; e < static_cast<int32_t>(pipeline.edges.size()); ++e) AddEdge(e, k);
    }
    for (int32_t s = 0; s < static_cast<int32_t>(pipeline.stages.size()); ++s) AddUpdates(s);
    for (int32_t x = 0; x < static_cast<int32_t>(pipeline.step_edges.size()); ++x) AddStepEdge(x);
  }

  bool Accepts(const Program& program) const {
    std::vector<Position> positions(expected_.size());
    for (size_t mesh = 0; mesh < expected_.size(); ++mesh) {
      const auto& list = program.meshes[mesh];
      for (size_t i = 0; i < list.size(); ++i) {
        const auto key = std::make_tuple(list[i].op, list[i].index, list[i].microbatch);
        if (expected_[mesh].count(key) == 0 || !positions[mesh].emplace(key, i).second) return false;
      }
      if (positions[mesh].size() != expected_[mesh].size()) return false;
    }
    for (const auto& [mesh, before, after] : orders_) {
      const Position& position = positions[static_cast<size_t>(mesh)];
      if (position.at(Key(before)) > position.at(Key(after))) return false;
    }
    return InFlightHolds(program) && QueuesAgree(program) && Acyclic(program, positions);
  }

 private:
  static std::tuple<Op, int32_t, int32_t> Key(const Instruction& i) { return {i.op, i.index, i.microbatch}; }
  static Instruction ReceiveOf(const Instruction& send) {
    return {static_cast<Op>(static_cast<int>(send.op) + 1), send.index, send.microbatch};
  }

  void Expect(int32_t mesh, const Instruction& i) { expected_[static_cast<size_t>(mesh)].insert(Key(i)); }
  void Before(int32_t mesh, const Instruction& a, const Instruction& b) {
    Expect(mesh, a);
    Expect(mesh, b);
    orders_.emplace_back(mesh, a, b);
  }
  int32_t Mesh(int32_t stage) const { return pipeline_.stages[static_cast<size_t>(stage)].mesh; }

  void AddStage(int32_t s, int32_t k) {
    Expect(Mesh(s), {Op::kForward, s, k});
    if (!HasBackward(pipeline_.kind)) return;
    Before(Mesh(s), {Op::kForward, s, k}, {first_, s, k});
    Before(Mesh(s), {first_, s, k}, {Op::kFreeActivations, s, k});
    if (!SplitsBackward(pipeline_.kind)) return;
    Before(Mesh(s), {first_, s, k}, {last_, s, k});
    Before(Mesh(s), {last_, s, k}, {Op::kFreeWeightInputs, s, k});
  }

  void AddEdge(int32_t e, int32_t k) {
    const Edge& edge = pipeline_.edges[static_cast<size_t>(e)];
    const int32_t from = Mesh(edge.from), to = Mesh(edge.to);
    if (from == to) {
      Before(from, {Op::kForward, edge.from, k}, {Op::kForward, edge.to, k});
    } else {
      Before(from, {Op::kForward, edge.from, k}, {Op::kSendActivation, e, k});
      Before(to, {Op::kReceiveActivation, e, k}, {Op::kForward, edge.to, k});
    }
    Before(to, {Op::kForward, edge.to, k}, {Op::kFreeInput, e, k});
    if (!edge.cotangent || !HasBackward(pipeline_.kind)) return;
    if (from == to) {
      Before(from, {first_, edge.to, k}, {first_, edge.from, k});
    } else {
      Before(to, {first_, edge.to, k}, {Op::kSendCotangent, e, k});
      Before(from, {Op::kReceiveCotangent, e, k}, {first_, edge.from, k});
    }
    Before(from, {first_, edge.from, k}, {Op::kFreeCotangent, e, k});
  }

  // `instruction` comes after `rounds` rounds of the update of s and before the next.
  void AfterRounds(int32_t s, int32_t rounds, const Instruction& instruction) {
    for (int32_t k = 0; k < pipeline_.microbatches; ++k) Before(Mesh(s), {last_, s, k}, instruction);
    if (rounds > 0) Before(Mesh(s), {Op::kUpdate, s, rounds - 1}, instruction);
    if (instruction.op != Op::kUpdate && rounds < pipeline_.update_rounds)
      Before(Mesh(s), instruction, {Op::kUpdate, s, rounds});
  }

  void AddUpdates(int32_t s) {
    for (int32_t r = 0; r < pipeline_.update_rounds; ++r) AfterRounds(s, r, {Op::kUpdate, s, r});
  }

  void AddStepEdge(int32_t x) {
    const StepEdge& edge = pipeline_.step_edges[static_cast<size_t>(x)];
    const int32_t to = Mesh(edge.to);
    if (Mesh(edge.from) == to) return;
    AfterRounds(edge.from, edge.round, {Op::kSendStep, x, 0});
    if (edge.round == pipeline_.update_rounds) return AfterRounds(edge.to, edge.round, {Op::kReceiveStep, x, 0});
    Before(to, {Op::kReceiveStep, x, 0}, {Op::kUpdate, edge.to, edge.round});
    Before(to, {Op::kUpdate, edge.to, edge.round}, {Op::kFreeStep, x, 0});
  }

  bool InFlightHolds(const Program& program) const {
    const InFlight bounds = InFlightBounds(pipeline_);
    for (size_t mesh = 0; mesh < program.meshes.size() && HasBackward(pipeline_.kind); ++mesh) {
      int64_t activations = 0, weights = 0;
      for (const Instruction& i : program.meshes[mesh]) {
        activations += (i.op == Op::kForward) - (i.op == Op::kFreeActivations);
        weights += (i.op == Op::kForward) - (i.op == Op::kFreeWeightInputs);
        if (activations > bounds.activations[mesh]) return false;
        if (SplitsBackward(pipeline_.kind) && weights > bounds.weight_inputs[mesh]) return false;
      }
    }
    return true;
  }

  bool QueuesAgree(const Program& program) const {
    std::map<std::pair<Op, int32_t>, std::vector<int32_t>> queues;
    for (const auto& list : program.meshes) {
      for (const Instruction& i : list) queues[{i.op, i.index}].push_back(i.microbatch);
    }
    for (const auto& [key, sent] : queues) {
      if (!IsSend(key.first)) continue;
      if (queues[{ReceiveOf({key.first, 0, 0}).op, key.second}] != sent) return false;
    }
    return true;
  }

  // Removes instructions whose predecessor in the list and whose send are gone until nothing changes.
  bool Acyclic(const Program& program, const std::vector<Position>& positions) const {
    std::vector<size_t> gone(program.meshes.size(), 0);
    auto sent = [&](const Instruction& receive) {
      const Instruction send{static_cast<Op>(static_cast<int>(receive.op) - 1), receive.index, receive.microbatch};
      const auto mesh = static_cast<size_t>(MeshOf(pipeline_, send));
      return positions[mesh].at(Key(send)) < gone[mesh];
    };
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t mesh = 0; mesh < gone.size(); ++mesh) {
        const auto& list = program.meshes[mesh];
        if (gone[mesh] == list.size() || (IsReceive(list[gone[mesh]].op) && !sent(list[gone[mesh]]))) continue;
        ++gone[mesh];
        changed = true;
      }
    }
    for (size_t mesh = 0; mesh < gone.size(); ++mesh) {
      if (gone[mesh] < program.meshes[mesh].size()) return false;
    }
    return true;
  }

  const Pipeline& pipeline_;
  Op first_ = Op::kBackward, last_ = Op::kBackward;  // parts of backward
  std::vector<std::set<std::tuple<Op, int32_t, int32_t>>> expected_;
  std::vector<std::tuple<int32_t, Instruction, Instruction>> orders_;
};

enum class Mutation { kDrop, kDuplicate, kSwap, kSwapNeighbours, kMove, kOtherMicrobatch, kOtherMesh };
constexpr int kMutations = 7;

// Changes one thing at random; nothing when the mesh drawn has nothing to change.
std::optional<Program> Mutate(const Pipeline& pipeline, Program program, Mutation mutation, std::mt19937& random) {
  auto& list = program.meshes[static_cast<size_t>(Draw(random, 0, pipeline.meshes - 1))];
  const auto size = static_cast<int32_t>(list.size());
  if (size < 2) return std::nullopt;
  const int32_t a = Draw(random, 0, size - 1), b = Draw(random, 0, size - 1);
  const Instruction instruction = list[static_cast<size_t>(a)];
  switch (mutation) {
    case Mutation::kDrop:
      list.erase(list.begin() + a);
      break;
    case Mutation::kDuplicate:
      list.insert(list.begin() + b, instruction);
      break;
    case Mutation::kSwap:
      std::swap(list[static_cast<size_t>(a)], list[static_cast<size_t>(b)]);
      break;
    case Mutation::kSwapNeighbours:
      std::swap(list[static_cast<size_t>(a)], list[static_cast<size_t>((a + 1) % size)]);
      break;
    case Mutation::kMove:
      list.erase(list.begin() + a);
      list.insert(list.begin() + std::min(b, size - 1), instruction);
      break;
    case Mutation::kOtherMicrobatch:
      list[static_cast<size_t>(a)].microbatch = Draw(random, 0, pipeline.microbatches - 1);
      break;
    case Mutation::kOtherMesh: {
      list.erase(list.begin() + a);
      auto& other = program.meshes[static_cast<size_t>(Draw(random, 0, pipeline.meshes - 1))];
      other.insert(other.begin() + Draw(random, 0, static_cast<int32_t>(other.size())), instruction);
    }
  }
  return program;
}

TEST(Check, AgreesWithTheRefereeOnMutatedPrograms) {
  std::mt19937 random(11);
  int refused[kMutations] = {}, accepted[kMutations] = {};
  for (int round = 0; round < 300; ++round) {
    for (int kind = 0; kind < kKindCount; ++kind) {
      const Pipeline pipeline = RandomPipeline(static_cast<Kind>(kind), random);
      const Program good = Make(pipeline);
      const Referee referee(pipeline);
      ASSERT_TRUE(referee.Accepts(good)) << ToString(pipeline) << ToString(good);
      for (int i = 0; i < 3 * kMutations; ++i) {
        const int mutation = i % kMutations;
        const auto program = Mutate(pipeline, good, static_cast<Mutation>(mutation), random);
        if (!program || *program == good) continue;
        const Status status = Check(*program, pipeline);
        ASSERT_EQ(status.ok(), referee.Accepts(*program)) << (status.ok() ? "accepted" : status.error().message) << "\n"
                                                          << ToString(pipeline) << ToString(*program);
        ++(status.ok() ? accepted : refused)[mutation];
        if (!status.ok()) EXPECT_EQ(status.error().code, Code::kInvalidInput);
      }
    }
  }
  for (int mutation = 0; mutation < kMutations; ++mutation) EXPECT_GT(refused[mutation], 500) << mutation;
  // A step with a thing too few or too many is never right; some orders are as good as ours.
  EXPECT_EQ(accepted[static_cast<int>(Mutation::kDrop)], 0);
  EXPECT_EQ(accepted[static_cast<int>(Mutation::kDuplicate)], 0);
  EXPECT_EQ(accepted[static_cast<int>(Mutation::kOtherMicrobatch)], 0);
  EXPECT_GT(accepted[static_cast<int>(Mutation::kSwapNeighbours)], 100);
}

}  // namespace
}  // namespace alpa::schedule
