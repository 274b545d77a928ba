#include "alpa/frontend/segment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "alpa/frontend/evaluate_test_support.h"
#include "alpa/frontend/segment_test_support.h"
#include "alpa/frontend/step_test_support.h"

namespace alpa::frontend {
namespace {

using ir::OpKind;
using ir::ValueId;
using testing::ElementsAre;

struct Staged {
  TestStep step;
  Layering layering;

  explicit Staged(const MlpOptions& options) : step(MlpStep(options)) {
    auto found = FindLayers(step.module, step.analysis, {});
    EXPECT_TRUE(found.ok());
    layering = *found;
  }
  Segment Get(int first, int last, bool recompute = false) const {
    Segment s = ExtractSegment(step.module, step.analysis, layering, first, last, recompute);
    EXPECT_TRUE(ir::Verify(s.module).ok());
    EXPECT_TRUE(ir::Verify(s.signature, s.module).ok());
    return s;
  }
};

std::vector<std::string> Kinds(const std::vector<BorderKind>& kinds) {
  std::vector<std::string> out;
  out.reserve(kinds.size());
  for (const BorderKind kind : kinds) out.emplace_back(Name(kind));
  return out;
}

TEST(Segment, OfAMiddleLayerHasItsStateAndTheBorders) {
  const Segment s = Staged({.layers = 3}).Get(1, 1);
  EXPECT_THAT(s.module.input_names, ElementsAre("params[1]", "moments[1]", testing::_, testing::_));
  EXPECT_THAT(Kinds(s.input_kinds), ElementsAre("own", "own", "activation", "cotangent"));
  EXPECT_THAT(s.input_layers, ElementsAre(-1, -1, 0, 2));
  EXPECT_THAT(Kinds(s.output_kinds), ElementsAre("own", "own", "activation", "cotangent"));
  EXPECT_EQ(s.signature.inputs[0].role, ir::InputRole::kParameter);
  EXPECT_EQ(s.signature.inputs[1].role, ir::InputRole::kState);
  EXPECT_EQ(s.signature.inputs[2].role, ir::InputRole::kBatch);
  EXPECT_EQ(s.signature.inputs[0].updated_by, 0);
  EXPECT_EQ(s.signature.outputs[2].role, ir::OutputRole::kResult);
  EXPECT_EQ(s.signature.loss, -1);
  EXPECT_EQ(s.module.aliases, (std::vector<ir::Alias>{{0, 0}, {1, 1}}));
}

TEST(Segment, OfTheLastLayerHasTheLoss) {
  const Segment s = Staged({.layers = 3}).Get(1, 2);
  EXPECT_THAT(Kinds(s.input_kinds), ElementsAre("own", "own", "own", "own", "activation"));
  EXPECT_THAT(Kinds(s.output_kinds), ElementsAre("own", "own", "own", "own", "own", "cotangent"));
  EXPECT_EQ(s.signature.loss, 4);
}

TEST(Segment, OfAllLayersIsTheStep) {
  for (const MlpOptions& options : {MlpOptions{3}, MlpOptions{3, true, true}}) {
    const Staged staged(options);
    const Segment s = staged.Get(0, 2);
    EXPECT_EQ(ir::Fingerprint(s.module), ir::Fingerprint(staged.step.module));
    EXPECT_EQ(s.signature, staged.step.analysis.signature);
  }
}

TEST(Segment, SumsComeOncePerStep) {
  const Staged staged({.layers = 3, .clip = true, .count = true});
  const Segment first = staged.Get(0, 0);
  // The norm and the learning rate come, the layer's share of the norm goes.
  EXPECT_THAT(Kinds(first.input_kinds), ElementsAre("own", "own", "own", "cotangent", "sum", "sum"));
  EXPECT_THAT(first.input_layers, ElementsAre(-1, -1, -1, 1, 2, 2));
  EXPECT_THAT(Kinds(first.output_kinds), ElementsAre("own", "own", "activation", "sum"));
  for (size_t i = 4; i < 6; ++i) EXPECT_TRUE(first.module.shape(first.module.inputs[i]).dims.empty());
}

int Count(const Segment& s, OpKind kind, OpPhase phase) {
  int count = 0;
  for (size_t i = 0; i < s.module.ops.size(); ++i) count += s.module.ops[i].kind == kind && s.phases[i] == phase;
  return count;
}

TEST(Segment, RecomputationKeepsWhatEntersALayer) {
  const Staged staged({.layers = 3});
  const Segment once = staged.Get(0, 1);
  EXPECT_EQ(Count(once, OpKind::kDot, OpPhase::kBackward), 3);
  const Segment again = staged.Get(0, 1, true);
  EXPECT_EQ(Count(again, OpKind::kDot, OpPhase::kForward), 2);
  EXPECT_EQ(Count(again, OpKind::kDot, OpPhase::kBackward), 3 + 2) << "both products again";
  // What backward ops read of forward ones: max(h0 w0, 0), which enters layer 1.
  std::vector<std::string> kept;
  for (size_t i = 0; i < again.module.ops.size(); ++i) {
    if (again.phases[i] != OpPhase::kBackward) continue;
    for (const ValueId v : again.module.ops[i].operands) {
      const auto p = static_cast<size_t>(again.module.value(v).producer);
      const ir::Op& op = again.module.ops[p];
      if (again.phases[p] == OpPhase::kForward && op.kind != OpKind::kParameter) kept.emplace_back(Name(op.kind));
    }
  }
  EXPECT_THAT(kept, testing::Each("maximum"));
  EXPECT_FALSE(kept.empty());
  // Copies stand in front of the ops that read them, with names of their own.
  int copies = 0;
  for (const ir::Op& op : again.module.ops) copies += op.name.find(".again") != std::string::npos;
  EXPECT_GE(copies, 2);
}

// Runs the segments as stages until nothing changes any more, each with what the others gave last; the step's outputs.
std::vector<Tensor> RunStages(const Staged& staged, const std::vector<Segment>& segments,
                              const std::vector<Tensor>& inputs) {
  const ir::Module& step = staged.step.module;
  std::map<ValueId, Tensor> known;
  for (size_t i = 0; i < inputs.size(); ++i) known[step.inputs[i]] = inputs[i];
  for (size_t round = 0; round < 4 * segments.size(); ++round) {
    for (const Segment& s : segments) {
      std::vector<Tensor> arguments;
      for (const ValueId v : s.module.inputs) {
        const ValueId origin = s.value_origin[static_cast<size_t>(v)];
        const auto at = known.find(origin);
        arguments.push_back(at != known.end() ? at->second : Tensor::Of(step.shape(origin).dims));
      }
      const std::vector<Tensor> results = EvaluateModule(s.module, arguments);
      for (size_t o = 0; o < results.size(); ++o) {
        known[s.value_origin[static_cast<size_t>(s.module.outputs[o])]] = results[o];
      }
    }
  }
  std::vector<Tensor> out;
  for (const ValueId v : step.outputs) out.push_back(known.at(v));
  return out;
}

TEST(Segments, TogetherComputeTheStep) {
  for (const bool recompute : {false, true}) {
    const Staged staged({.layers = 4, .clip = true, .count = true});
    const std::vector<Tensor> inputs = SomeInputs(staged.step.module);
    const std::vector<Tensor> expected = EvaluateModule(staged.step.module, inputs);
    for (const std::vector<int>& lasts : std::vector<std::vector<int>>{{0, 1, 2, 3}, {1, 3}, {0, 3}, {3}}) {
      std::vector<Segment> segments;
      int first = 0;
      for (const int last : lasts) {
        segments.push_back(staged.Get(first, last, recompute));
        first = last + 1;
      }
      const std::vector<Tensor> got = RunStages(staged, segments, inputs);
      double largest = 0;
      for (size_t o = 0; o < got.size(); ++o) largest = std::max(largest, LargestDifference(got[o], expected[o]));
      EXPECT_LT(largest, 1e-12) << lasts.size() << " stages";
    }
  }
}

// A step of no sense: phases are dealt out, ops read whatever comes before (backward ops forward and backward values,
// ...).
TestStep RandomStep(std::mt19937& random) {
  const ir::Shape shape{ir::DType::kF32, {4, 4}};
  ir::GraphBuilder g("random");
  std::vector<ValueId> values;
  std::vector<ir::StepInput> inputs;
  for (int k = 0; k < 6; ++k) {
    values.push_back(g.Parameter(shape, "in" + std::to_string(k)));
    const ir::InputRole role = k < 3   ? ir::InputRole::kParameter
                               : k < 4 ? ir::InputRole::kState
                                       : ir::InputRole::kBatch;
    inputs.push_back({role, k < 4 ? k : -1, false});
  }
  TestStep step;
  ValueId loss = values[0];
  std::vector<size_t> ends;  // values there are behind each phase
  for (const int ops : {16, 16, 8}) {
    for (int k = 0; k < ops; ++k) {
      // Mostly what came last, so that the graph is deep.
      auto any = [&] {
        const size_t back = random() % 3 != 0 ? random() % 4 : random() % values.size();
        return values[values.size() - 1 - back];
      };
      const uint64_t kind = random() % 8;
      if (kind < 4) values.push_back(g.MatMul(any(), any()));
      if (kind == 4) values.push_back(g.Broadcast(g.Reduce(any(), {1}), {4, 4}, {0}));
      if (kind == 5) values.push_back(g.Add(any(), g.Fill(shape, 2)));
      if (kind > 5) values.push_back(g.Add(any(), any()));
    }
    if (ends.empty()) loss = values.back();
    ends.push_back(static_cast<size_t>(g.Build({values.back()}).ops.size()));
  }
  std::vector<ValueId> outputs;
  for (size_t k = 0; k < 4; ++k) outputs.push_back(values[values.size() - 1 - random() % (k < 3 ? 8 : values.size())]);
  outputs.push_back(loss);
  step.module = g.Build(outputs);
  StepAnalysis& analysis = step.analysis;
  analysis.signature = {inputs, std::vector<ir::StepOutput>(5), 4};
  for (int32_t k = 0; k < 4; ++k)
    analysis.signature.outputs[static_cast<size_t>(k)] = {ir::OutputRole::kUpdatedState, k};
  analysis.flops = CountFlops(step.module);
  analysis.batch.values.resize(step.module.values.size());
  for (size_t i = 0; i < step.module.ops.size(); ++i) {
    analysis.phases.push_back(i < ends[0] ? OpPhase::kForward : i < ends[1] ? OpPhase::kBackward : OpPhase::kUpdate);
  }
  return step;
}

TEST(Segments, OfRandomStepsComputeThem) {
  std::mt19937 random(11);
  int branched = 0;
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(round);
    const TestStep step = RandomStep(random);
    const std::vector<uint64_t> terms = TermsOfStep(step.module);
    for (const int count : {0, 1, 2, 4}) {
      const auto layering = FindLayers(step.module, step.analysis, {.count = count});
      if (!layering.ok()) continue;
      const Status valid = Verify(*layering, step.module, step.analysis);
      ASSERT_TRUE(valid.ok()) << valid.error().message;
      for (const LayerChain::Item& item : layering->graph.items) branched += !item.branches.empty();
      std::vector<Segment> segments;
      for (int first = 0; first < layering->count; ++first) {
        for (int last = first; last < layering->count; ++last) {
          for (const bool recompute : {false, true}) {
            const Segment s = ExtractSegment(step.module, step.analysis, *layering, first, last, recompute);
            ExpectValid(s);
            ExpectTermsOfStep(s, terms);
            if (recompute) ExpectRecomputed(s, *layering);
            if (!recompute && first == last) segments.push_back(s);
          }
        }
      }
      ExpectTogetherTheStep(step.module, *layering, segments);
      const Segment all = ExtractSegment(step.module, step.analysis, *layering, 0, layering->count - 1, false);
      EXPECT_EQ(ir::Fingerprint(all.module), ir::Fingerprint(step.module));
    }
    if (testing::Test::HasFailure()) break;
  }
  EXPECT_GT(branched, 0);
}

TEST(StructuralHash, TellsLayersApartByWhatTheyCost) {
  const Staged staged({.layers = 5});
  auto hash = [&](int first, int last, bool recompute = false) {
    return StructuralHash(staged.Get(first, last, recompute), staged.step.analysis.batch);
  };
  EXPECT_EQ(hash(1, 1), hash(2, 2));
  EXPECT_EQ(hash(1, 1), hash(3, 3));
  EXPECT_EQ(hash(1, 2), hash(2, 3));
  EXPECT_NE(hash(0, 0), hash(1, 1)) << "the first sends no cotangent";
  EXPECT_NE(hash(3, 3), hash(4, 4)) << "the last has the loss";
  EXPECT_NE(hash(1, 1), hash(1, 2));
  EXPECT_NE(hash(1, 1), hash(1, 1, true));
  EXPECT_EQ(hash(1, 1, true), hash(2, 2, true));
}

TEST(StructuralHash, DependsOnShapesAndTheBatch) {
  const Staged staged({.layers = 3});
  Segment s = staged.Get(1, 1);
  const uint64_t hash = StructuralHash(s, staged.step.analysis.batch);
  BatchAnalysis none = staged.step.analysis.batch;
  for (BatchInfo& info : none.values) info = {};
  EXPECT_NE(StructuralHash(s, none), hash);
  s.input_kinds[2] = BorderKind::kShared;
  EXPECT_NE(StructuralHash(s, staged.step.analysis.batch), hash);
}

}  // namespace
}  // namespace alpa::frontend
