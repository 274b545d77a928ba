#include "alpa/report/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "alpa/ir/builder.h"

namespace alpa::report {
namespace {

using ir::DType;
using ir::GraphBuilder;
using ir::ValueId;
using ::testing::HasSubstr;

// (w, x, y) -> (w', loss): one matmul forward, one backward.
ir::Module Step() {
  GraphBuilder g("tiny");
  const ValueId w = g.Parameter({DType::kF32, {4, 3}}, "params['w']");
  const ValueId x = g.Parameter({DType::kF32, {8, 4}}, "batch['x']");
  const ValueId y = g.Parameter({DType::kF32, {8, 3}}, "batch['y']");
  const ValueId error = g.Subtract(g.MatMul(x, w), y);
  const ValueId loss = g.Reduce(g.Multiply(error, error), {0, 1});
  const ValueId gradient = g.Dot(x, error, {{}, {}, {0}, {0}});
  return g.Build({g.Subtract(w, gradient), loss}, {{0, 0}});
}

TEST(InspectJson, HasStableKeys) {
  const ir::Module module = Step();
  const auto json = nlohmann::json::parse(InspectJson(module, frontend::AnalyzeStep(module, {}).value()));
  EXPECT_EQ(json["name"], "tiny");
  EXPECT_EQ(json["inputs"].size(), 3U);
  EXPECT_EQ(json["inputs"][0]["role"], "parameter");
  EXPECT_EQ(json["inputs"][0]["updated_by"], 0);
  EXPECT_EQ(json["inputs"][0]["donated"], true);
  EXPECT_EQ(json["inputs"][1]["name"], "batch['x']");
  EXPECT_EQ(json["inputs"][1]["shape"], (std::vector<int>{8, 4}));
  EXPECT_EQ(json["inputs"][1]["dtype"], "f32");
  EXPECT_EQ(json["inputs"][1]["batch_dim"], 0);
  EXPECT_EQ(json["outputs"][1]["loss"], true);
  EXPECT_EQ(json["parameter_count"], 12);
  EXPECT_EQ(json["parameter_bytes"], 48);
  EXPECT_EQ(json["state_bytes"], 0);
  EXPECT_EQ(json["donated"], "all");
  EXPECT_EQ(json["loss"], 1);
  EXPECT_EQ(json["batch"]["size"], 8);
  EXPECT_EQ(json["fwd_flops_dot_conv"], 192);
  EXPECT_EQ(json["bwd_flops_dot_conv"], 192);
  EXPECT_EQ(json["step_flops_dot_conv"], 384);
  EXPECT_EQ(json["fwd_flops"], 192 + 24 + 24 + 24);
  EXPECT_EQ(json["update_flops"], 12);
  EXPECT_EQ(json["ops"]["dot"], 2);
  EXPECT_EQ(json["ops_by_phase"]["update"]["subtract"], 1);
  EXPECT_EQ(json["microbatching"]["max"], 8);
  EXPECT_EQ(json["microbatching"]["obstacles"].size(), 0U);
}

TEST(InspectJson, SurvivesNamesThatAreNotText) {
  ir::Module module = Step();
  module.input_names[0] = "\xff\xfe";
  EXPECT_FALSE(nlohmann::json::parse(InspectJson(module, frontend::AnalyzeStep(module, {}).value())).empty());
}

TEST(InspectText, ShowsWhatMatters) {
  const ir::Module module = Step();
  const std::string text = InspectText(module, frontend::AnalyzeStep(module, {}).value());
  EXPECT_THAT(text, HasSubstr("Batch: 8 examples"));
  EXPECT_THAT(text, HasSubstr("params['w']"));
  EXPECT_THAT(text, HasSubstr("the loss"));
  EXPECT_THAT(text, HasSubstr("up to 8, any number that divides it"));
  EXPECT_THAT(text, ::testing::ContainsRegex("dot +1 +1 +0 +2"));
}

TEST(InspectText, NamesObstaclesWithTheirLines) {
  GraphBuilder g;
  const ValueId w = g.Parameter({DType::kF32, {4}}, "params['w']");
  const ValueId x = g.Parameter({DType::kF32, {8, 4}}, "batch['x']");
  g.At({"", "model.py", 12, "shuffle"});
  const ValueId reversed = g.Reverse(x, {0});
  const ir::Module module = g.Build({g.Add(w, g.Reduce(reversed, {0}))}, {{0, 0}});
  const std::string text = InspectText(module, frontend::AnalyzeStep(module, {}).value());
  EXPECT_THAT(text, HasSubstr("the batch runs in one piece only"));
  EXPECT_THAT(text, HasSubstr("at model.py:12 (shuffle) reverses the order of the examples"));
  EXPECT_THAT(text, HasSubstr("no result is a loss"));
}

}  // namespace
}  // namespace alpa::report
