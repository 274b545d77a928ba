#include "alpa/plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "alpa/ir/builder.h"

namespace alpa::plan {
namespace {

using ir::DType;
using nlohmann::json;
using testing::HasSubstr;

// y = x w: x [4, 6], w [6, 2]; outputs y [4, 2] and w.
ir::Module SmallModule() {
  ir::GraphBuilder g("matmul");
  const auto x = g.Parameter({DType::kF32, {4, 6}}, "x");
  const auto w = g.Parameter({DType::kF32, {6, 2}}, "w");
  return g.Build({g.MatMul(x, w), w});
}

Plan SmallPlan() {
  Plan plan;
  plan.method = "by hand";
  plan.model = "matmul";
  plan.model_fingerprint = ir::Fingerprint(SmallModule());
  plan.mesh = cluster::MakeMesh({2, 2});
  plan.inputs = {{{{0}, {1}}}, {}};
  plan.outputs = {{{{0}, {}}}, {}};
  plan.ops["dot.2"] = {{{0}, {1}}};
  return plan;
}

// ---------------------------------------------------------------- JSON

TEST(PlanJson, ComesBackEqual) {
  const auto back = FromJson(ToJson(SmallPlan()));
  ASSERT_TRUE(back.ok()) << ToString(back.error());
  EXPECT_EQ(*back, SmallPlan());
  Plan other = SmallPlan();
  other.model = "\"quotes\", \\ and \u00fcmlauts";
  other.model_fingerprint = 0;
  other.inputs = {{{{}}}, {{{}, {}, {1, 0}}}};
  other.outputs = {};
  other.ops = {};
  const auto other_back = FromJson(ToJson(other));
  ASSERT_TRUE(other_back.ok()) << ToString(other_back.error());
  EXPECT_EQ(*other_back, other);
}

TEST(PlanJson, IsTextThatAReaderUnderstands) {
  Plan plan = SmallPlan();
  plan.model_fingerprint = 0xabc;
  EXPECT_EQ(json::parse(ToJson(plan)), json::parse(R"({
    "alpa_plan": 2, "method": "by hand", "model": "matmul", "model_fingerprint": "0000000000000abc",
    "mesh": {"shape": [2, 2], "axes": ["x", "y"]},
    "inputs": ["[x,y]", "[]"], "outputs": ["[x,]", "[]"], "ops": {"dot.2": "[x,y]"}})"));
}

// SmallPlan with everything a planner adds.
Plan SolvedPlan() {
  Plan plan = SmallPlan();
  plan.operands["dot.2"] = {std::nullopt, sharding::Spec{{{}, {1}}}};
  plan.sums["dot.2"] = {{{0}, {}}};
  Prediction& p = plan.prediction.emplace();
  p.cluster = "laptop";
  p.compute = Seconds(0.25);
  p.communication = Seconds(0.125);
  p.memory = Bytes(4096);
  p.cost = 0.375;
  p.bound = 0.25;
  p.collectives = {{sharding::CollectiveKind::kAllReduce, {0, 1}, 2, Bytes(64)},
                   {sharding::CollectiveKind::kReduceScatter, {1}, 1, Bytes(32)}};
  return plan;
}

TEST(PlanJson, OperandsAndPredictionsComeBackEqual) {
  const auto back = FromJson(ToJson(SolvedPlan()));
  ASSERT_TRUE(back.ok()) << ToString(back.error());
  EXPECT_EQ(*back, SolvedPlan());
  const json j = json::parse(ToJson(SolvedPlan()));
  EXPECT_EQ(j["operands"], json::parse(R"({"dot.2": [null, "[,y]"]})"));
  EXPECT_EQ(j["prediction"], json::parse(R"({"cluster": "laptop", "compute_seconds": 0.25,
    "communication_seconds": 0.125, "memory_bytes": 4096, "cost": 0.375, "bound": 0.25, "collectives": [
    {"kind": "all-reduce", "axes": ["x", "y"], "count": 2, "bytes": 64},
    {"kind": "reduce-scatter", "axes": ["y"], "count": 1, "bytes": 32}]})"));
}

TEST(PlanJson, EveryKindOfCollectiveHasAName) {
  using enum sharding::CollectiveKind;
  Plan plan = SolvedPlan();
  plan.prediction->collectives.clear();
  for (const auto kind : {kAllReduce, kAllGather, kReduceScatter, kAllToAll, kCollectivePermute}) {
    plan.prediction->collectives.push_back({kind, {0}, 1, Bytes(1)});
  }
  EXPECT_EQ(*FromJson(ToJson(plan)), plan);
}

TEST(PlanJson, ReadsVersionOne) {
  json j = json::parse(ToJson(SmallPlan()));
  j["alpa_plan"] = 1;
  EXPECT_EQ(*FromJson(j.dump()), SmallPlan());
}

TEST(PlanJson, NamesWhatIsWrongWithOperandsAndPredictions) {
  const std::tuple<const char*, json, const char*> cases[] = {
      {"/operands", 7, "key 'operands' should be an object, is number"},
      {"/operands/dot.2", "[x]", "key 'operands.dot.2' should be a list, is string"},
      {"/operands/dot.2/1", 3, "key 'operands.dot.2[1]' should be a string, is number"},
      {"/prediction", "good", "key 'prediction' should be an object, is string"},
      {"/prediction/cluster", nullptr, "key 'prediction.cluster' should be a string, is null"},
      {"/prediction/compute_seconds", "1 s", "key 'prediction.compute_seconds' should be a number, is string"},
      {"/prediction/memory_bytes", 0.5, "key 'prediction.memory_bytes' should be an integer, is number"},
      {"/prediction/collectives", json::object(), "key 'prediction.collectives' should be a list, is object"},
      {"/prediction/collectives/0", 1, "key 'prediction.collectives[0]' should be an object, is number"},
      {"/prediction/collectives/0/kind", "gossip", "key 'prediction.collectives[0].kind': 'gossip' is no collective"},
      {"/prediction/collectives/1/axes/0", "z", "key 'prediction.collectives[1].axes': \"z\" is no axis of the mesh"},
      {"/prediction/collectives/1/count", "1", "key 'prediction.collectives[1].count' should be an integer, is string"},
  };
  for (const auto& [key, value, message] : cases) {
    json j = json::parse(ToJson(SolvedPlan()));
    j[json::json_pointer(key)] = value;
    const auto result = FromJson(j.dump());
    ASSERT_FALSE(result.ok()) << message;
    EXPECT_EQ(result.error().message, std::string("plan: ") + message);
  }
}

TEST(PlanJson, BeginsWithWhatItIs) {
  EXPECT_THAT(ToJson(SmallPlan()), testing::StartsWith("{\n \"alpa_plan\": 2,\n \"method\": \"by hand\",\n"));
}

TEST(PlanJson, OpsMayBeAbsent) {
  json j = json::parse(ToJson(SmallPlan()));
  j.erase("ops");
  Plan expected = SmallPlan();
  expected.ops = {};
  EXPECT_EQ(*FromJson(j.dump()), expected);
}

// Names come out of the model file, whose bytes nobody promised to be UTF-8.
TEST(PlanJson, WritesNamesThatAreNotUtf8) {
  Plan plan = SmallPlan();
  plan.model = "bad \xff name";
  const auto back = FromJson(ToJson(plan));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->model, "bad \ufffd name");
}

void ExpectError(const std::string& text, const std::string& message) {
  const auto result = FromJson(text);
  ASSERT_FALSE(result.ok()) << message;
  EXPECT_EQ(result.error().code, Code::kInvalidInput);
  EXPECT_EQ(result.error().message, message);
}

TEST(PlanJson, RefusesWhatIsNoPlan) {
  for (const char* text : {"", "{", "not json", "\xff\xfe"}) {
    ExpectError(text, "plan: not valid JSON (damaged or truncated file)");
  }
  for (const char* text : {"{}", "[]", "7", "null", "{\"version\": 1}"}) {
    ExpectError(text, "plan: key 'alpa_plan' is missing: this is not a plan of alpa");
  }
}

TEST(PlanJson, RefusesTruncationAtEveryByte) {
  const std::string text = ToJson(SmallPlan());
  for (size_t n = 0; n + 2 < text.size(); ++n) EXPECT_FALSE(FromJson(text.substr(0, n)).ok()) << n;  // "}\n" ends it
}

TEST(PlanJson, RefusesOtherVersions) {
  for (const char* version : {"0", "3", "-1", "4294967297"}) {  // the last is 1 modulo 2^32
    json j = json::parse(ToJson(SmallPlan()));
    j["alpa_plan"] = json::parse(version);
    ExpectError(j.dump(), std::string("plan: is of version ") + version + ", this alpa reads versions 1 to 2");
  }
}

TEST(PlanJson, NamesEachMissingKey) {
  for (const char* key : {"method", "model", "model_fingerprint", "mesh", "inputs", "outputs"}) {
    json j = json::parse(ToJson(SmallPlan()));
    j.erase(key);
    ExpectError(j.dump(), std::string("plan: key '") + key + "' is missing");
  }
  for (const char* key : {"shape", "axes"}) {
    json j = json::parse(ToJson(SmallPlan()));
    j["mesh"].erase(key);
    ExpectError(j.dump(), std::string("plan: key 'mesh.") + key + "' is missing");
  }
}

TEST(PlanJson, NamesEachMistypedKey) {
  const std::tuple<const char*, json, const char*> cases[] = {
      {"/alpa_plan", "1", "key 'alpa_plan' should be an integer, is string"},
      {"/alpa_plan", 1.0, "key 'alpa_plan' should be an integer, is number"},
      {"/method", 7, "key 'method' should be a string, is number"},
      {"/model", nullptr, "key 'model' should be a string, is null"},
      {"/model_fingerprint", 7, "key 'model_fingerprint' should be a string of 16 hex digits, is number"},
      {"/model_fingerprint", "abc", "key 'model_fingerprint' should be 16 hex digits, is 'abc'"},
      {"/model_fingerprint", "0x00000000000abc",
       "key 'model_fingerprint' should be 16 hex digits, is '0x00000000000abc'"},
      {"/mesh", "2x2", "key 'mesh' should be an object, is string"},
      {"/mesh/shape", 4, "key 'mesh.shape' should be a list of integers, is number"},
      {"/mesh/shape/1", 2.5, "key 'mesh.shape' should hold integers, holds number"},
      {"/mesh/axes", "xy", "key 'mesh.axes' should be a list of strings, is string"},
      {"/mesh/axes/0", 0, "key 'mesh.axes' should hold strings, holds number"},
      {"/inputs", json::object(), "key 'inputs' should be a list, is object"},
      {"/inputs/1", json::array(), "key 'inputs[1]' should be a string, is array"},
      {"/inputs/1", "x", "key 'inputs[1]': sharding 'x': not in brackets"},
      {"/outputs", "[]", "key 'outputs' should be a list, is string"},
      {"/outputs/0", "[q]", "key 'outputs[0]': sharding '[q]': the mesh 2x2 has no axis 'q'"},
      {"/ops", json::array(), "key 'ops' should be an object, is array"},
      {"/ops/dot.2", 1, "key 'ops.dot.2' should be a string, is number"},
      {"/ops/dot.2", "", "key 'ops.dot.2': sharding '': not in brackets"},
  };
  for (const auto& [key, value, message] : cases) {
    json j = json::parse(ToJson(SmallPlan()));
    j[json::json_pointer(key)] = value;
    ExpectError(j.dump(), std::string("plan: ") + message);
  }
}

TEST(PlanJson, RefusesAMeshThatCannotBe) {
  const std::tuple<const char*, json, const char*> cases[] = {
      {"/mesh/shape/1", 0, "mesh 2x0: an extent is below 1"},
      {"/mesh/shape/1", 18446744073709551615U, "mesh 2x-1: an extent is below 1"},
      {"/mesh/shape", json::array({2}), "mesh 2: dimensions and axis names differ in number"},
      {"/mesh/shape/1", 1000, "mesh 2x1000: more than 512 devices"},
  };
  for (const auto& [key, value, message] : cases) {
    json j = json::parse(ToJson(SmallPlan()));
    j[json::json_pointer(key)] = value;
    ExpectError(j.dump(), message);
  }
}

// ---------------------------------------------------------------- Verify

TEST(Plan, VerifiesAGoodOne) {
  EXPECT_TRUE(Verify(SmallPlan(), SmallModule()).ok());
  EXPECT_TRUE(Verify(SolvedPlan(), SmallModule()).ok());
}

TEST(Plan, VerifySaysMismatchForAnotherModel) {
  ir::GraphBuilder g("other");
  const auto x = g.Parameter({DType::kF32, {4, 6}}, "x");
  const auto w = g.Parameter({DType::kF32, {6, 2}}, "w");
  const auto y = g.MatMul(x, w);
  const Status status = Verify(SmallPlan(), g.Build({g.Add(y, y), w}));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kMismatch);
  EXPECT_THAT(status.error().message, HasSubstr("the plan was made for another model: 'matmul' ("));
  EXPECT_THAT(status.error().message, HasSubstr("this one is 'other' ("));
  EXPECT_EQ(status.error().hint, "make a new plan for this model");
}

TEST(Plan, VerifyNamesEachViolation) {
  const std::pair<std::function<void(Plan&)>, std::string> cases[] = {
      {[](Plan& p) { p.mesh.shape[0] = 0; }, "mesh 0x2: an extent is below 1"},
      {[](Plan& p) { p.inputs.pop_back(); }, "plan: gives 1 input and 2 output shardings, the model has 2 and 2"},
      {[](Plan& p) { p.outputs.push_back({}); }, "plan: gives 2 input and 3 output shardings, the model has 2 and 2"},
      {[](Plan& p) {
         p.inputs[1] = {{{0, 1}, {}}};
       },
       "plan: input 1 'w': sharding [xy,] of f32[6,2] on mesh 2x2: dimension 0 of size 6 is not divisible by 4"},
      {[](Plan& p) { p.outputs[0] = {{{0}}}; },
       "plan: output 0: sharding [x] of f32[4,2] on mesh 2x2: the number of entries is not the rank"},
      {[](Plan& p) {
         p.inputs[0] = {{{2}, {}}};
       },
       "plan: input 0 'x': sharding of f32[4,6]: mesh 2x2 has no axis 2"},
      {[](Plan& p) { p.ops["dot.9"] = {}; }, "plan: op 'dot.9' is not in the model"},
      {[](Plan& p) {
         p.ops["dot.2"] = {{{0}, {0}}};
       },
       "plan: op 'dot.2': sharding [x,x] of f32[4,2] on mesh 2x2: axis 'x' is used twice"},
      {[](Plan& p) { p.sums["dot.9"] = {}; }, "plan: op 'dot.9', whose sums are given, is not in the model"},
      {[](Plan& p) {
         p.sums["dot.2"] = {{{0}, {0}}};
       },
       "plan: sums of op 'dot.2': sharding [x,x] of f32[4,2] on mesh 2x2: axis 'x' is used twice"},
      {[](Plan& p) { p.operands["dot.9"] = {}; }, "plan: op 'dot.9', whose operands are given, is not in the model"},
      {[](Plan& p) { p.operands["dot.2"].pop_back(); }, "plan: op 'dot.2' has 2 operands, the plan gives 1"},
      {[](Plan& p) {
         p.operands["dot.2"][0] = {{{0, 1}, {}, {}}};
       },
       "plan: operand 0 of op 'dot.2': sharding [xy,,] of f32[4,6] on mesh 2x2: the number of entries is not the rank"},
      {[](Plan& p) {
         p.prediction->collectives[0].axes = {1, 0};
       },
       "plan: prediction: the axes of a collective (all-reduce) are not in ascending order"},
      {[](Plan& p) { p.prediction->collectives[1].count = -1; },
       "plan: prediction: a negative number of reduce-scatter"},
  };
  for (const auto& [breaks, message] : cases) {
    Plan plan = SolvedPlan();
    breaks(plan);
    const Status status = Verify(plan, SmallModule());
    ASSERT_FALSE(status.ok()) << message;
    EXPECT_EQ(status.error().code, Code::kInvalidInput);
    EXPECT_EQ(status.error().message, message);
  }
}

TEST(Plan, ResultsOfAnOpWithSeveralAreNamedByNumber) {
  ir::GraphBuilder g("split");
  const auto x = g.Parameter({DType::kF32, {4}}, "x");
  const auto parts = g.OpN(ir::OpKind::kCustomCall, {x}, {{DType::kF32, {2}}, {DType::kF32, {2}}});
  const ir::Module module = g.Build(parts);
  Plan plan;
  plan.model_fingerprint = ir::Fingerprint(module);
  plan.mesh = cluster::MakeMesh({2});
  plan.inputs = {{}};
  plan.outputs = {{}, {}};
  EXPECT_EQ(ResultName(module.ops[0], 0), "parameter.0");
  EXPECT_EQ(ResultName(module.ops[1], 1), "custom-call.1#1");
  plan.ops["custom-call.1#0"] = plan.ops["custom-call.1#1"] = sharding::SplitDim(1, 0, 0);
  EXPECT_TRUE(Verify(plan, module).ok());
  plan.ops["custom-call.1#2"] = {};
  EXPECT_EQ(Verify(plan, module).error().message, "plan: op 'custom-call.1#2' is not in the model");
  plan.ops.erase("custom-call.1#2");
  plan.ops["custom-call.1"] = {};
  EXPECT_EQ(Verify(plan, module).error().message,
            "plan: op 'custom-call.1' has 2 results, named 'custom-call.1#0' and on");
}

}  // namespace
}  // namespace alpa::plan
