// Layers and segments of every model in tests/models.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "alpa/base/file.h"
#include "alpa/frontend/evaluate_test_support.h"
#include "alpa/frontend/layers.h"
#include "alpa/frontend/segment.h"
#include "alpa/frontend/segment_test_support.h"
#include "alpa/frontend/unstack.h"
#include "alpa/xla/engine_test_support.h"

namespace alpa::frontend {
namespace {

using ir::OpId;
using ir::ValueId;
using xla::Get;

struct Model {
  std::string name;
  ir::Module module;
  StepAnalysis analysis;
};

Model Load(const std::string& name) {
  const auto bytes = Get(ReadFile(std::string(ALPA_SOURCE_DIR "/tests/models/") + name + ".mlirbc"));
  AnalyzeOptions options;
  if (name == "ambiguous") options.roles.batch_args = std::vector<int>{1, 2};
  Model model{name, Get(xla::TheEngine().Import(bytes, {.source = name})).module, {}};
  model.analysis = Get(AnalyzeStep(model.module, options));
  return model;
}

const std::vector<Model>& Models() {
  static const auto* const models = [] {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(ALPA_SOURCE_DIR "/tests/models")) {
      if (entry.path().extension() == ".mlirbc") names.push_back(entry.path().stem());
    }
    std::sort(names.begin(), names.end());
    auto* out = new std::vector<Model>;
    for (const std::string& name : names) out->push_back(Load(name));
    return out;
  }();
  return *models;
}

// The layerings of a model with 0 (found out), 1, 2, 3, 4, 8 layers, as far as it has so many.
std::vector<Layering> LayeringsOf(const Model& model) {
  std::vector<Layering> out;
  for (const int count : {0, 1, 2, 3, 4, 8}) {
    auto layering = FindLayers(model.module, model.analysis, {.count = count});
    if (!layering.ok()) {
      EXPECT_EQ(layering.error().code, Code::kInvalidArgument);
      continue;
    }
    if (count > 0) EXPECT_EQ(layering->count, count);
    out.push_back(*std::move(layering));
  }
  return out;
}

TEST(Layers, HoldForEveryModelAndCount) {
  size_t layerings = 0;
  for (const Model& model : Models()) {
    for (const Layering& layering : LayeringsOf(model)) {
      ++layerings;
      const Status valid = Verify(layering, model.module, model.analysis);
      EXPECT_TRUE(valid.ok()) << model.name << ", " << layering.count << ": " << valid.error().message;
      double forward = 0;
      double backward = 0;
      for (const LayerContent& layer : layering.layers) {
        forward += layer.forward.value;
        backward += layer.backward.value;
        EXPECT_GT(layer.forward.value, 0) << model.name;
      }
      std::array<double, 3> free = {};  // by phase; free ops belong to no layer
      for (size_t i = 0; i < model.module.ops.size(); ++i) {
        if (layering.layer_of_op[i] != -1) continue;
        free[static_cast<size_t>(model.analysis.phases[i])] += model.analysis.flops[i].total().value;
      }
      EXPECT_NEAR(forward + free[0], model.analysis.total(OpPhase::kForward).total().value, 1e-6 * forward);
      EXPECT_NEAR(backward + free[1], model.analysis.total(OpPhase::kBackward).total().value, 1e-6 * forward);
    }
  }
  EXPECT_GT(layerings, 200U);
}

TEST(Segments, OfOneLayerEachAreTheStepTogether) {
  for (const Model& model : Models()) {
    SCOPED_TRACE(model.name);
    for (const Layering& layering : LayeringsOf(model)) {
      std::vector<Segment> segments;
      segments.reserve(static_cast<size_t>(layering.count));
      for (int layer = 0; layer < layering.count; ++layer) {
        segments.push_back(ExtractSegment(model.module, model.analysis, layering, layer, layer, false));
      }
      ExpectTogetherTheStep(model.module, layering, segments);
    }
  }
}

TEST(Segments, OfEveryRangeComputeValuesOfTheStep) {
  for (const Model& model : Models()) {
    const std::vector<uint64_t> terms = TermsOfStep(model.module);
    const Layering layering = Get(FindLayers(model.module, model.analysis, {}));
    SCOPED_TRACE(model.name);
    for (int first = 0; first < layering.count; ++first) {
      for (int last = first; last < std::min(layering.count, first + 6); ++last) {
        const Segment once = ExtractSegment(model.module, model.analysis, layering, first, last, false);
        ExpectValid(once);
        ExpectTermsOfStep(once, terms);
        const Segment again = ExtractSegment(model.module, model.analysis, layering, first, last, true);
        ExpectValid(again);
        ExpectTermsOfStep(again, terms);
        ExpectRecomputed(again, layering);
      }
    }
  }
}

TEST(Segments, OfAllLayersIsTheStep) {
  for (const Model& model : Models()) {
    for (const Layering& layering : LayeringsOf(model)) {
      const Segment all = ExtractSegment(model.module, model.analysis, layering, 0, layering.count - 1, false);
      EXPECT_EQ(ir::Fingerprint(all.module), ir::Fingerprint(model.module)) << model.name << ", " << layering.count;
      EXPECT_EQ(all.signature, model.analysis.signature) << model.name;
    }
  }
}

// Blocks are told by the parameters they own.
std::vector<std::set<int>> BlocksOfLayers(const Model& model, const Layering& layering, const std::string& prefix) {
  std::vector<std::set<int>> out(static_cast<size_t>(layering.count));
  for (size_t i = 0; i < model.module.inputs.size(); ++i) {
    const std::string& name = model.module.input_names[i];
    if (name.rfind(prefix, 0) != 0) continue;
    const OpId op = model.module.value(model.module.inputs[i]).producer;
    out[static_cast<size_t>(layering.layer_of_op[static_cast<size_t>(op)])].insert(
        std::stoi(name.substr(prefix.size())));
  }
  return out;
}

TEST(Layers, AreTheBlocksOfTransformersAndResidualNetworks) {
  struct Case {
    std::string model, prefix;
    int blocks;
  };
  for (const Case& c : std::vector<Case>{{"gpt_tiny", "params['h'][", 4},
                                         {"gpt_small", "params['h'][", 6},
                                         {"gpt_tiny_bf16", "params['h'][", 4},
                                         {"gpt_tiny_remat", "params['h'][", 4},
                                         {"gpt_tiny_tied_gather", "params['h'][", 4},
                                         {"gqa_rope", "params['h'][", 2},
                                         {"moe_tiny", "params['h'][", 4},
                                         {"moe_mini", "params['h'][", 4},
                                         {"wresnet_tiny", "params['blocks'][", 3},
                                         {"wresnet_tiny_gn", "params['blocks'][", 3},
                                         {"wresnet_mini", "params['blocks'][", 16}}) {
    const Model model = Load(c.model);
    const Layering layering = Get(FindLayers(model.module, model.analysis, {}));
    ASSERT_EQ(layering.count, c.blocks) << c.model;
    const auto blocks = BlocksOfLayers(model, layering, c.prefix);
    for (int layer = 0; layer < c.blocks; ++layer) {
      EXPECT_EQ(blocks[static_cast<size_t>(layer)], std::set<int>{layer}) << c.model;
    }
  }
}

TEST(Layers, ExchangeOneActivationAndOneCotangentInATransformer) {
  const Model model = Load("gpt_tiny_remat");
  const Layering layering = Get(FindLayers(model.module, model.analysis, {}));
  for (int layer = 0; layer < 4; ++layer) {
    const Segment s = ExtractSegment(model.module, model.analysis, layering, layer, layer, false);
    std::map<BorderKind, std::vector<std::string>> shapes;
    for (size_t i = 0; i < s.input_kinds.size(); ++i) {
      shapes[s.input_kinds[i]].push_back(ToString(s.module.shape(s.module.inputs[i])));
    }
    const std::vector<std::string> one = {"f32[16,32,32]"};
    const std::vector<std::string> scalars = {"f32[]", "f32[]"};  // Adam's bias corrections
    EXPECT_EQ(shapes[BorderKind::kActivation], layer > 0 ? one : std::vector<std::string>{});
    EXPECT_EQ(shapes[BorderKind::kCotangent], layer < 3 ? one : std::vector<std::string>{});
    EXPECT_EQ(shapes[BorderKind::kSum], layer < 3 ? scalars : std::vector<std::string>{});
    EXPECT_TRUE(shapes[BorderKind::kShared].empty());
  }
}

TEST(Layers, RecomputedOpsBelongToTheLayerTheyRecompute) {
  const Model model = Load("gpt_tiny_remat");
  const Layering layering = Get(FindLayers(model.module, model.analysis, {}));
  const Model plain = Load("gpt_tiny");
  const Layering without = Get(FindLayers(plain.module, plain.analysis, {}));
  for (size_t layer = 0; layer < 4; ++layer) {
    const double again = layering.layers[layer].backward.value - without.layers[layer].backward.value;
    // All of a block but its last matrix product, whose result nothing reads; the head is not recomputed.
    const double forward = without.layers[1].forward.value;
    EXPECT_GT(again, 0.6 * forward) << layer;
    EXPECT_LT(again, forward) << layer;
  }
}

TEST(Layers, TowersAreBranches) {
  const Model model = Load("two_tower_sum");
  const Layering layering = Get(FindLayers(model.module, model.analysis, {}));
  ASSERT_EQ(layering.graph.items.size(), 2U);
  ASSERT_EQ(layering.graph.items[0].branches.size(), 2U);
  EXPECT_EQ(layering.graph.items[1].layer, layering.count - 1);
  const int second = layering.graph.items[0].branches[1].items[0].layer;
  EXPECT_EQ(layering.layers[static_cast<size_t>(layering.count) - 1].from,
            (std::vector<int>{second - 1, layering.count - 2}));
  const Layering chain = Get(FindLayers(model.module, model.analysis, {.branches = false}));
  for (const LayerChain::Item& item : chain.graph.items) EXPECT_TRUE(item.branches.empty());
}

TEST(StructuralHash, IsTheSameForInteriorBlocks) {
  for (const std::string name : {"gpt_small", "gpt_tiny_bf16", "gpt_tiny_remat"}) {
    const Model model = Load(name);
    const Layering layering = Get(FindLayers(model.module, model.analysis, {}));
    std::vector<uint64_t> hashes;
    for (int layer = 0; layer < layering.count; ++layer) {
      const Segment segment = ExtractSegment(model.module, model.analysis, layering, layer, layer, true);
      hashes.push_back(StructuralHash(segment, model.analysis.batch));
    }
    EXPECT_EQ(std::set<uint64_t>(hashes.begin(), hashes.end()).size(), 3U) << name;
    EXPECT_EQ(std::set<uint64_t>(hashes.begin() + 1, hashes.end() - 1).size(), 1U) << name;
  }
}

TEST(Unstack, GivesEachLayerOfAScanItsOwnParameters) {
  for (const std::string name : {"gpt_scan", "gpt_scan_remat"}) {
    const Model model = Load(name);
    const Unstacked apart = Get(UnstackParameters(model.module, model.analysis.signature));
    ASSERT_TRUE(ir::Verify(apart.module).ok());
    ASSERT_TRUE(ir::Verify(apart.signature, apart.module).ok());
    EXPECT_EQ(apart.stacks, 36) << "12 parameters and two moments of each";
    EXPECT_EQ(apart.inputs.size(), model.module.inputs.size() + 3 * 36);
    const StepAnalysis analysis = Get(AnalyzeStep(apart.module, {}));
    EXPECT_EQ(analysis.signature, apart.signature) << name;
    for (const OpPhase phase : {OpPhase::kForward, OpPhase::kBackward, OpPhase::kUpdate}) {
      EXPECT_EQ(analysis.total(phase).dot_conv, model.analysis.total(phase).dot_conv);
    }
    EXPECT_NEAR(analysis.total().other.value, model.analysis.total().other.value,
                0.02 * model.analysis.total().other.value);
    const Layering layering = Get(FindLayers(apart.module, analysis, {}));
    ASSERT_EQ(layering.count, 4);
    std::set<uint64_t> interior;
    for (int layer = 0; layer < 4; ++layer) {
      const Segment s = ExtractSegment(apart.module, analysis, layering, layer, layer, false);
      EXPECT_EQ(std::count(s.input_kinds.begin(), s.input_kinds.end(), BorderKind::kShared), 0);
      if (layer == 1 || layer == 2) interior.insert(StructuralHash(s, analysis.batch));
    }
    EXPECT_EQ(interior.size(), 1U);
    EXPECT_EQ(layering.layers[1].parameters, layering.layers[2].parameters);
    EXPECT_GT(layering.layers[1].parameters.value, 0);
  }
}

// What a runtime does with arrays on their way to and from the new step.
std::vector<Tensor> SplitInputs(const Unstacked& apart, const std::vector<Tensor>& whole) {
  std::vector<Tensor> out;
  for (const StackPart& part : apart.inputs) {
    const Tensor& from = whole[static_cast<size_t>(part.whole)];
    if (part.part < 0) {
      out.push_back(from);
      continue;
    }
    Tensor t = from;
    t.dims[0] = 1;
    const size_t size = from.data.size() / static_cast<size_t>(from.dims[0]);
    t.data.assign(from.data.begin() + static_cast<std::ptrdiff_t>(size) * part.part,
                  from.data.begin() + static_cast<std::ptrdiff_t>(size) * (part.part + 1));
    out.push_back(std::move(t));
  }
  return out;
}

std::vector<Tensor> JoinOutputs(const Unstacked& apart, const std::vector<Tensor>& parts, size_t count) {
  std::vector<Tensor> out(count);
  for (size_t o = 0; o < parts.size(); ++o) {
    Tensor& whole = out[static_cast<size_t>(apart.outputs[o].whole)];
    if (apart.outputs[o].part <= 0) {
      whole = parts[o];
      continue;
    }
    EXPECT_EQ(whole.dims[0], apart.outputs[o].part);
    ++whole.dims[0];
    whole.data.insert(whole.data.end(), parts[o].data.begin(), parts[o].data.end());
  }
  return out;
}

TEST(Unstack, ComputesTheSameNumbers) {
  for (const std::string name : {"gpt_scan", "gpt_scan_remat"}) {
    const Model model = Load(name);
    const Unstacked apart = Get(UnstackParameters(model.module, model.analysis.signature));
    const std::vector<Tensor> inputs = SomeInputs(model.module);
    const std::vector<Tensor> expected = EvaluateModule(model.module, inputs);
    const std::vector<Tensor> got =
        JoinOutputs(apart, EvaluateModule(apart.module, SplitInputs(apart, inputs)), expected.size());
    double largest = 0;
    for (size_t o = 0; o < expected.size(); ++o) largest = std::max(largest, LargestDifference(got[o], expected[o]));
    EXPECT_LT(largest, 1e-12) << name;
    // The step does something with these numbers.
    EXPECT_GT(LargestDifference(expected[1], inputs[1]), 1e-6) << name;
  }
}

TEST(Unstack, LeavesOtherModelsAlone) {
  for (const Model& model : Models()) {
    const Unstacked apart = Get(UnstackParameters(model.module, model.analysis.signature));
    const Status valid = ir::Verify(apart.module);
    ASSERT_TRUE(valid.ok()) << model.name << ": " << valid.error().message;
    if (apart.stacks > 0) {
      EXPECT_TRUE(model.name.rfind("gpt_scan", 0) == 0) << model.name;
      continue;
    }
    EXPECT_EQ(ir::Fingerprint(apart.module), ir::Fingerprint(model.module)) << model.name;
    EXPECT_EQ(apart.signature, model.analysis.signature) << model.name;
  }
}

}  // namespace
}  // namespace alpa::frontend
