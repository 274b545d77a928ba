#include "alpa/plan/pipeline_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace alpa::plan {
namespace {

using testing::HasSubstr;

PipelinePlan TwoStages() {
  PipelinePlan plan;
  plan.model = "jit_step";
  plan.model_fingerprint = 0x0123456789abcdef;
  plan.cluster = "p3.16xlarge:2";
  plan.microbatches = 8;
  plan.schedule = "1f1b";
  plan.layers = 3;
  plan.prediction = {Seconds(2), Seconds(2.5), Seconds(1.5), Flops(1e12)};
  for (int s = 0; s < 2; ++s) {
    PipelineStage stage;
    stage.first_layer = s == 0 ? 0 : 2;
    stage.last_layer = s == 0 ? 1 : 2;
    stage.recompute = s == 0;
    stage.placement = {s, 1, 0, 4, "V100-16GB"};
    stage.layout.mesh = cluster::MakeMesh({2, 2});
    stage.layout.model = "stage";
    stage.layout.inputs = {sharding::SplitDim(2, 0, 1)};
    stage.layout.ops["dot.1"] = sharding::SplitDim(2, 1, 0);
    stage.prediction = {Seconds(0.1), Seconds(0.2), Seconds(0.05), Seconds(1), Bytes(100),
                        Bytes(10),    Bytes(7),     Bytes(127),    2 - s};
    plan.stages.push_back(stage);
  }
  plan.edges.push_back({0, 1, Bytes(64), Bytes(32), Seconds(1e-3), Seconds(5e-4)});
  plan.step_edges.push_back({1, 0, 0, Bytes(128)});
  return plan;
}

TEST(PipelinePlan, ComesBackFromItsText) {
  const PipelinePlan plan = TwoStages();
  const Result<PipelinePlan> back = PipelineFromJson(ToJson(plan));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_TRUE(*back == plan);
  EXPECT_TRUE(IsPipeline(ToJson(plan)));
  EXPECT_FALSE(IsPipeline(ToJson(plan.stages[0].layout)));
}

TEST(PipelinePlan, HalfSumsComeBack) {
  PipelinePlan plan = TwoStages();
  EXPECT_EQ(ToJson(plan).find("half_sums"), std::string::npos) << "as plans were before there was a choice";
  plan.half_sums = true;
  EXPECT_TRUE(PipelineFromJson(ToJson(plan)).value().half_sums);
}

TEST(PipelinePlan, DamageIsNamed) {
  const std::string text = ToJson(TwoStages());
  const auto message = [&](const std::string& from, const std::string& to) {
    std::string damaged = text;
    const size_t at = damaged.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    damaged.replace(at, from.size(), to);
    const Result<PipelinePlan> result = PipelineFromJson(damaged);
    EXPECT_FALSE(result.ok()) << from;
    return result.ok() ? std::string() : result.error().message;
  };
  EXPECT_THAT(message("\"microbatches\": 8", "\"microbatches\": \"8\""),
              HasSubstr("'microbatches' should be an integer"));
  EXPECT_THAT(message("\"microbatches\": 8", "\"microbatches\": 0"), HasSubstr("at least 1"));
  EXPECT_THAT(message("\"microbatches\": 8", "\"microbatches\": 1000001"), HasSubstr("at most 1000000, is 1000001"));
  EXPECT_THAT(message("\"layers\": 3", "\"layers\": 1000000000"), HasSubstr("'layers' should be at most"));
  EXPECT_THAT(message("\"update_rounds\": 1", "\"update_rounds\": 5000"), HasSubstr("'update_rounds' should be"));
  EXPECT_THAT(message("\"last_layer\": 1", "\"last_layer\": 2"), HasSubstr("layer 2 is in two stages"));
  EXPECT_THAT(message("\"last_layer\": 1", "\"last_layer\": 0"), HasSubstr("layer 1 is in no stage"));
  EXPECT_THAT(message("\"from\": 0", "\"from\": 1"), HasSubstr("from stage 1 to 1"));
  EXPECT_THAT(message("\"round\": 0", "\"round\": 2"), HasSubstr("round 2 of 1"));
  EXPECT_THAT(message("\"devices\": 4", "\"devices\": 3"), HasSubstr("a mesh of 4"));
  EXPECT_THAT(message("\"peak_bytes\": 127", "\"peak_bytes\": -1"), HasSubstr("stages[0].prediction.peak_bytes"));
  EXPECT_THAT(message("\"alpa_pipeline\": 1", "\"alpa_pipeline\": 9"), HasSubstr("version 9"));
  EXPECT_THAT(message("\"[y,]", "\"[q,]"), HasSubstr("stages[0]"));
}

TEST(PipelinePlan, CountsDevicesThatStagesShareOnce) {
  PipelinePlan plan = TwoStages();
  EXPECT_EQ(DeviceCount(plan), 8);  // 4 of host 0, 4 of host 1
  StagePrediction a, b;
  a.state = Bytes(100), a.activation = Bytes(10), a.in_flight = 3, a.workspace = Bytes(7);
  b.state = Bytes(200), b.activation = Bytes(20), b.in_flight = 1, b.workspace = Bytes(5);
  EXPECT_EQ(PeakMemory({a}), Bytes(137));
  EXPECT_EQ(PeakMemory({a, b}), Bytes(100 + 30 + 200 + 20 + 7));
  plan.stages[1].placement = plan.stages[0].placement;
  EXPECT_EQ(DeviceCount(plan), 4);
}

// Whatever character is damaged: an error, or a plan that is sound and comes back from its own text.
TEST(PipelinePlan, DamagedCharactersGiveAnErrorOrASoundPlan) {
  const std::string text = ToJson(TwoStages());
  const std::string other = "0-9\"]}x{e";
  int refused = 0, sound = 0;
  for (size_t at = 0; at < text.size(); at += 3) {
    std::string damaged = text;
    damaged[at] = other[at % other.size()];
    const Result<PipelinePlan> plan = PipelineFromJson(damaged);
    if (!plan.ok()) {
      ++refused;
      EXPECT_FALSE(plan.error().message.empty()) << at;
      continue;
    }
    ++sound;
    EXPECT_TRUE(Verify(*plan).ok()) << at;
    const Result<PipelinePlan> back = PipelineFromJson(ToJson(*plan));
    ASSERT_TRUE(back.ok()) << at << ": " << back.error().message;
    EXPECT_TRUE(*back == *plan) << at;
  }
  EXPECT_GT(refused, 200);
  EXPECT_GT(sound, 10);  // spaces, numbers, names
}

TEST(PipelinePlan, TruncatedTextIsNoPlan) {
  const std::string text = ToJson(TwoStages());
  for (size_t length = 0; length + 2 < text.size(); length += 37)
    EXPECT_FALSE(PipelineFromJson(std::string_view(text).substr(0, length)).ok()) << length;
}

}  // namespace
}  // namespace alpa::plan
