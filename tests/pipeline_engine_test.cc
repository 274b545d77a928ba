// Plans of the inter-operator pass on real models: what stages are given fits the programs that they are for.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alpa/driver/find_pipeline.h"
#include "alpa/driver/layer_prices.h"
#include "alpa/driver/load_step.h"
#include "alpa/driver/stage_costs.h"
#include "alpa/frontend/segment.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/schedule/check.h"
#include "alpa/xla/engine.h"

namespace alpa {
namespace {

struct Case {
  std::string model, cluster;
  int stages = 0;
  int64_t microbatches = 1;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.model << " on " << c.cluster << ", " << c.stages << " stages, " << c.microbatches << " microbatches";
}

driver::LoadedStep Load(const std::string& name) {
  driver::LoadOptions load;
  load.model = std::string(ALPA_SOURCE_DIR) + "/tests/models/" + name + ".mlirbc";
  Result<driver::LoadedStep> loaded = driver::LoadStep(*xla::LoadEngine().value(), load, driver::Gate({}));
  EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().message);
  return *std::move(loaded);
}

class Pipeline : public testing::TestWithParam<Case> {};

TEST_P(Pipeline, LayoutsOfStagesFitTheProgramsOfTheirLayers) {
  const Case& c = GetParam();
  const driver::LoadedStep read = Load(c.model);
  const std::optional<driver::TakenApart> apart = driver::TakeApart(read).value();
  const driver::LoadedStep& loaded = apart ? apart->loaded : read;
  EXPECT_EQ(apart.has_value(), c.model.find("scan") != std::string::npos);
  const cluster::Cluster cluster = cluster::LoadCluster(c.cluster).value();
  driver::FindPipelineOptions options;
  options.stages = c.stages;
  options.microbatches = {c.microbatches};
  const Result<driver::FoundPipeline> found = driver::FindPipeline(read, cluster, options);
  ASSERT_TRUE(found.ok()) << found.error().message;
  const plan::PipelinePlan& plan = found->plan;
  ASSERT_EQ(static_cast<int>(plan.stages.size()), c.stages);
  for (size_t s = 0; s < plan.stages.size(); ++s) {
    const plan::PipelineStage& stage = plan.stages[s];
    const frontend::Segment segment = frontend::ExtractSegment(loaded.step.module, loaded.analysis, found->layering,
                                                               stage.first_layer, stage.last_layer, stage.recompute);
    const Status fits = plan::Verify(stage.layout, segment.module);
    EXPECT_TRUE(fits.ok()) << "stage " << s << ": " << (fits.ok() ? "" : fits.error().message);
    EXPECT_LE(stage.prediction.peak, cluster.device_types.at(stage.placement.device_type).memory);
    // Solved as a whole, a stage costs no more than the sum of its layers (but for the gap the solver may leave).
    const inter::Stage& priced = found->ranked.front().found.stages[s];
    const auto m = static_cast<double>(c.microbatches);
    const double exact =
        m * (stage.prediction.forward + stage.prediction.backward).value + stage.prediction.per_step.value;
    EXPECT_LE(exact, 1.05 * (m * priced.variant.time() + priced.variant.per_step)) << s;
  }
  EXPECT_TRUE(schedule::Check(found->simulated.program, found->simulated.pipeline).ok());
  const Result<plan::PipelinePlan> back = plan::PipelineFromJson(plan::ToJson(plan));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_TRUE(*back == plan);
  EXPECT_EQ(plan.model_fingerprint, ir::Fingerprint(read.step.module));
  EXPECT_EQ(plan.unstacked, apart.has_value());
}

INSTANTIATE_TEST_SUITE_P(
    Models, Pipeline,
    testing::Values(Case{"gpt_tiny", "p3.16xlarge:2", 4, 4}, Case{"moe_tiny", "p3.16xlarge", 2, 4},
                    Case{"gpt_tiny_tied_gather", "p3.16xlarge", 3, 4}, Case{"gpt_tiny_bf16", "dgx-a100", 4, 8},
                    Case{"gpt_tiny_remat", "p3.16xlarge:1x6", 3, 2}, Case{"wresnet_tiny_gn", "p3.16xlarge", 3, 4},
                    Case{"gpt_scan", "p3.16xlarge", 2, 3}, Case{"two_tower_sum", "p3.16xlarge", 3, 2},
                    Case{"clip_norm", "p3.16xlarge", 2, 3}, Case{"unet", "p3.16xlarge", 2, 2}));

TEST(FindPipeline, SearchesAgreeWhateverTheNumberOfThreads) {
  const driver::LoadedStep loaded = Load("gpt_tiny");
  const cluster::Cluster cluster = cluster::LoadCluster("p3.16xlarge").value();
  driver::FindPipelineOptions options;
  options.threads = 1;
  const Result<driver::FoundPipeline> one = driver::FindPipeline(loaded, cluster, options);
  options.threads = 4;
  const Result<driver::FoundPipeline> four = driver::FindPipeline(loaded, cluster, options);
  ASSERT_TRUE(one.ok() && four.ok());
  EXPECT_TRUE(one->plan == four->plan);
}

// Prices are not exact: with more plans solved exactly the one taken can only get faster.
TEST(FindPipeline, MorePlansSolvedExactlyAreNotSlower) {
  const driver::LoadedStep loaded = Load("moe_tiny");
  const cluster::Cluster cluster = cluster::LoadCluster("p3.16xlarge").value();
  double before = 0;
  for (const int exact : {1, 2, 6}) {
    driver::FindPipelineOptions options;
    options.exact = exact;
    const Result<driver::FoundPipeline> found = driver::FindPipeline(loaded, cluster, options);
    ASSERT_TRUE(found.ok());
    const double seconds = found->plan.prediction.step.value;
    EXPECT_EQ(found->ranked.front().simulated.value, seconds);
    EXPECT_EQ(found->ranked.front().found.stages.size(), found->plan.stages.size());
    if (before > 0) EXPECT_LE(seconds, before);
    before = seconds;
  }
}

// What the search priced is where stages begin to be solved: without time they cost as much, not more.
TEST(FindPipeline, StagesCostAtMostTheirPriceWithoutTime) {
  const driver::LoadedStep loaded = Load("gpt_small");
  const cluster::Cluster cluster = cluster::LoadCluster("p3.16xlarge:2").value();
  for (const int stages : {1, 2}) {
    driver::FindPipelineOptions options;
    options.stages = stages;
    options.exact = 1;
    options.time_limit = Seconds(1e-6);
    const driver::FoundPipeline found = driver::FindPipeline(loaded, cluster, options).value();
    const auto m = static_cast<double>(found.plan.microbatches);
    for (size_t s = 0; s < found.plan.stages.size(); ++s) {
      const plan::StagePrediction& p = found.plan.stages[s].prediction;
      const inter::StageVariant& priced = found.ranked.front().found.stages[s].variant;
      EXPECT_LE(m * (p.forward + p.backward).value + p.per_step.value, 1.001 * (m * priced.time() + priced.per_step));
    }
  }
}

TEST(LogicalShapes, SplitTheBatchIntoEachNumberOfPartsOnce) {
  const auto shapes = [](const inter::Submesh& submesh) {
    std::vector<std::pair<std::string, size_t>> out;
    for (const driver::LogicalShape& shape : driver::LogicalShapes(submesh))
      out.emplace_back(cluster::ToString(shape.mesh), shape.batch_axes.size());
    return out;
  };
  using Shapes = std::vector<std::pair<std::string, size_t>>;
  EXPECT_EQ(shapes({1, 1, 0}), (Shapes{{"1", 2}}));
  EXPECT_EQ(shapes({1, 8, 0}), (Shapes{{"2x4", 4}}));
  EXPECT_EQ(shapes({1, 16, 0}), (Shapes{{"4x4", 4}, {"2x8", 1}, {"8x2", 1}}));
  EXPECT_EQ(shapes({2, 8, 0}), (Shapes{{"2x8", 3}, {"4x4", 1}, {"8x2", 1}}));
  EXPECT_EQ(shapes({4, 8, 0}), (Shapes{{"4x8", 3}, {"8x4", 1}, {"16x2", 1}}));
  EXPECT_EQ(shapes({3, 1, 0}), (Shapes{{"3", 2}}));
  EXPECT_EQ(shapes({1, 7, 0}), (Shapes{{"7", 2}}));
}

// Data parallel over more than the hosts and tensor parallel within part of a host: Megatron's layout.
TEST(LogicalShapes, OfSeveralHostsArePlanned) {
  const driver::LoadedStep loaded = Load("gpt_small");
  const cluster::Cluster cluster = cluster::LoadCluster("p3.16xlarge:2").value();
  const frontend::Layering layering = frontend::FindLayers(loaded.step.module, loaded.analysis, {}).value();
  const auto costs = driver::StageCosts::Make(loaded, layering, cluster, {}).value();
  std::set<int> shapes;
  for (int last = 0; last < layering.count; ++last) {
    for (const int64_t m : {1, 2}) {
      for (const inter::StageVariant& v : costs->Variants(0, last, {2, 8, 0}, m)) {
        shapes.insert(driver::ChoiceOf(v.id).shape);
        EXPECT_EQ(driver::ChoiceOf(v.layout).shape, driver::ChoiceOf(v.id).shape);
      }
    }
  }
  EXPECT_GT(shapes.size(), 1U);
}

// The model's gradients are bf16, two bytes for each of its parameters.
TEST(FindPipeline, HalfSumsTakeHalfTheMemory) {
  const driver::LoadedStep loaded = Load("gpt_tiny_bf16");
  const cluster::Cluster cluster = cluster::LoadCluster("p3.16xlarge:1x1").value();
  driver::FindPipelineOptions options;
  options.microbatches = {4};
  const driver::FoundPipeline whole = driver::FindPipeline(loaded, cluster, options).value();
  options.half_sums = true;
  const driver::FoundPipeline half = driver::FindPipeline(loaded, cluster, options).value();
  int64_t parameters = 0;
  for (size_t i = 0; i < loaded.step.module.inputs.size(); ++i) {
    const ir::Shape& shape = loaded.step.module.shape(loaded.step.module.inputs[i]);
    const bool counts = loaded.analysis.signature.inputs[i].role == ir::InputRole::kParameter;
    if (counts && shape.dtype == ir::DType::kBF16) parameters += shape.elements();
  }
  ASSERT_GT(parameters, 0);
  const auto state = [](const driver::FoundPipeline& f) { return f.plan.stages[0].prediction.state.value; };
  EXPECT_NEAR(static_cast<double>(state(whole) - state(half)), 2.0 * static_cast<double>(parameters),
              0.02 * static_cast<double>(parameters));
  EXPECT_TRUE(half.plan.half_sums);
}

// ---- prices that are known already

void ExpectSameVariants(const driver::StageCosts& a, const driver::StageCosts& b, int layers,
                        const std::vector<inter::Submesh>& submeshes) {
  size_t count = 0;
  for (const inter::Submesh& submesh : submeshes) {
    for (int first = 0; first < layers; ++first) {
      for (int last = first; last < layers; ++last) {
        const auto x = a.Variants(first, last, submesh, 2), y = b.Variants(first, last, submesh, 2);
        EXPECT_TRUE(x == y) << "layers " << first << " to " << last << " on " << submesh.size() << " devices";
        count += x.size();
      }
    }
  }
  EXPECT_GT(count, 0U);
}

// Branches and the same as one line: layerings that have most layers in common.
// In small microbatches its products take the time to read the weights, in large ones that to multiply.
TEST(StageCosts, HoldForSmallAndLargeMicrobatches) {
  const driver::LoadedStep loaded = Load("mlp_small");
  const cluster::Cluster cluster = cluster::LoadCluster("local:1x1").value();
  for (const int64_t microbatches : {1, 4, 32, 256, 1024}) {
    driver::FindPipelineOptions options;
    options.microbatches = {microbatches};
    const Result<driver::FoundPipeline> found = driver::FindPipeline(loaded, cluster, options);
    ASSERT_TRUE(found.ok()) << found.error().message;
    const plan::PipelinePrediction& p = found->plan.prediction;
    EXPECT_NEAR(p.closed_form.value / p.step.value, 1, 0.05) << microbatches << " microbatches";
  }
}

TEST(LayerPrices, OfAnotherLayeringAreThoseFoundAnew) {
  const driver::LoadedStep loaded = Load("two_tower_sum");
  const cluster::Cluster cluster = cluster::LoadCluster("p3.16xlarge").value();
  driver::StageCostOptions options;
  options.known = std::make_shared<driver::LayerPrices>();
  frontend::LayerOptions layers;
  const frontend::Layering branches = frontend::FindLayers(loaded.step.module, loaded.analysis, layers).value();
  ASSERT_TRUE(driver::HasBranches(branches.graph));
  ASSERT_TRUE(driver::StageCosts::Make(loaded, branches, cluster, options).ok());
  layers.branches = false;
  const frontend::Layering line = frontend::FindLayers(loaded.step.module, loaded.analysis, layers).value();
  const auto known = driver::StageCosts::Make(loaded, line, cluster, options).value();
  const auto anew = driver::StageCosts::Make(loaded, line, cluster, {}).value();
  ExpectSameVariants(*known, *anew, line.count, driver::PricedSubmeshes(cluster));
  // On some submeshes only, as for a plan around another one.
  driver::StageCostOptions few;
  few.submeshes = {driver::PricedSubmeshes(cluster).back()};
  ExpectSameVariants(*driver::StageCosts::Make(loaded, line, cluster, few).value(), *anew, line.count, few.submeshes);
}

TEST(LayerPrices, AreMadeOncePerOpsAndSubmesh) {
  const driver::LoadedStep loaded = Load("gpt_tiny");
  const frontend::Layering layering = frontend::FindLayers(loaded.step.module, loaded.analysis, {}).value();
  ASSERT_EQ(layering.count, 4);
  const auto layer = [&](int first, int last) {
    return frontend::ExtractSegment(loaded.step.module, loaded.analysis, layering, first, last, false);
  };
  driver::LayerPrices prices;
  int made = 0;
  const auto get = [&](const frontend::Segment& segment, const inter::Submesh& submesh) {
    const auto make = [&]() -> Result<driver::LayerPrices::Prices> {
      driver::LayerPrice price;
      price.state = ++made;
      return driver::LayerPrices::Prices{price};
    };
    // One hash for all: ops decide.
    return prices.Get(segment, 1, submesh, make).value().at(0).state;
  };
  const auto submeshes = driver::PricedSubmeshes(cluster::LoadCluster("p3.16xlarge").value());
  EXPECT_EQ(get(layer(1, 1), submeshes[0]), 1);
  EXPECT_EQ(get(layer(2, 2), submeshes[0]), 1) << "its ops are those of layer 1";
  EXPECT_EQ(get(layer(1, 2), submeshes[0]), 2);
  EXPECT_EQ(get(layer(1, 1), submeshes[1]), 3);
  EXPECT_EQ(get(layer(2, 2), submeshes[1]), 3);
  const auto fails = [&](const frontend::Segment& segment) {
    return prices.Get(segment, 1, submeshes[0], [] { return Error{Code::kUnsupported, "no", ""}; }).ok();
  };
  EXPECT_TRUE(fails(layer(1, 1)));
  EXPECT_FALSE(fails(layer(0, 0)));
  EXPECT_EQ(get(layer(0, 0), submeshes[0]), 4) << "an error is not kept";
}

}  // namespace
}  // namespace alpa
