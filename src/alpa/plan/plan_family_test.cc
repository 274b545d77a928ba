#include "alpa/plan/plan_family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace alpa::plan {
namespace {

using testing::HasSubstr;

Plan OnTwo(uint64_t fingerprint) {
  Plan plan;
  plan.method = "auto";
  plan.model = "jit_step";
  plan.model_fingerprint = fingerprint;
  plan.mesh = cluster::MakeMesh({2});
  plan.inputs = {sharding::SplitDim(2, 0, 0)};
  return plan;
}

// A plan of one mesh seen three times as often as one of several stages.
PlanFamily MeshAndPipeline() {
  PipelinePlan pipeline;
  pipeline.model = "jit_step";
  pipeline.model_fingerprint = 2;
  pipeline.cluster = "local";
  pipeline.schedule = "1f1b";
  pipeline.layers = 1;
  pipeline.stages.emplace_back();
  pipeline.stages[0].placement.device_type = "cpu";
  pipeline.stages[0].layout.mesh = cluster::MakeMesh({1});
  PlanFamily family;
  family.members = {{"short.mlirbc", 3, Seconds(1), OnTwo(1)}, {"long.mlirbc", 1, Seconds(2), pipeline}};
  family.switching = {{Seconds(0), Seconds(4)}, {Seconds(8), Seconds(0)}};
  family.expected = ExpectedSeconds({3, 1}, {Seconds(1), Seconds(2)}, family.switching);
  return family;
}

TEST(PlanFamily, ExpectationCountsStepsAndSwitches) {
  // 3/4 x 1 + 1/4 x 2 = 1.25; 3/4 x 1/4 x (4 + 8) = 2.25.
  EXPECT_DOUBLE_EQ(MeshAndPipeline().expected.value, 3.5);
  const std::vector<std::vector<Seconds>> still(2, std::vector<Seconds>(2, Seconds(0)));
  EXPECT_DOUBLE_EQ(ExpectedSeconds({3, 1}, {Seconds(1), Seconds(2)}, still).value, 1.25);
}

TEST(PlanFamily, ComesBackFromItsText) {
  const PlanFamily family = MeshAndPipeline();
  const Result<PlanFamily> back = FamilyFromJson(ToJson(family));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_TRUE(*back == family);
  EXPECT_TRUE(IsFamily(ToJson(family)));
  EXPECT_FALSE(IsFamily(ToJson(OnTwo(1))));
}

TEST(PlanFamily, PlanIsTakenByFingerprint) {
  const PlanFamily family = MeshAndPipeline();
  const auto first = PlanFor(family, 1), second = PlanFor(family, 2);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_TRUE(std::get<Plan>(*first) == OnTwo(1));
  EXPECT_EQ(std::get<PipelinePlan>(*second).schedule, "1f1b");
  EXPECT_EQ(Fingerprints(family), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(PlanFor(family, 3).error().code, Code::kMismatch);
  EXPECT_THAT(PlanFor(family, 3).error().message, HasSubstr("short.mlirbc, long.mlirbc"));
}

TEST(PlanFamily, DamageIsNamed) {
  const auto message = [](const std::string& from, const std::string& to) {
    std::string text = ToJson(MeshAndPipeline());
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    const Result<PlanFamily> result = FamilyFromJson(text);
    EXPECT_FALSE(result.ok()) << from;
    return result.ok() ? std::string() : result.error().message;
  };
  EXPECT_THAT(message("\"frequency\": 3.0", "\"frequency\": \"3\""),
              HasSubstr("'members[0].frequency' should be a number"));
  EXPECT_THAT(message("\"frequency\": 3.0", "\"frequency\": 0"), HasSubstr("members[0].frequency must be above 0"));
  EXPECT_THAT(message("\"same_state\": false", "\"same_state\": true"), HasSubstr("the state does not move"));
  EXPECT_THAT(message("\"alpa_plan_family\": 1", "\"alpa_plan_family\": 9"), HasSubstr("version 9"));
  EXPECT_THAT(message("\"method\"", "\"way\""), HasSubstr("members[0]: plan: key 'method' is missing"));
}

}  // namespace
}  // namespace alpa::plan
