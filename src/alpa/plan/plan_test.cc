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
    "alpa_plan": 1, "method": "by hand", "model": "matmul", "model_fingerprint": "0000000000000abc",
    "mesh": {"shape": [2, 2], "axes": ["x", "y"]},
    "inputs": ["[x,y]", "[]"], "outputs": ["[x,]", "[]"], "ops": {"dot.2": "[x,y]"}})"));
}

TEST(PlanJson, BeginsWithWhatItIs) {
  EXPECT_THAT(ToJson(SmallPlan()), testing::StartsWith("{\n \"alpa_plan\": 1,\n \"method\": \"by hand\",\n"));
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
  for (const char* version : {"0", "2", "-1", "4294967297"}) {  // the last is 1 modulo 2^32
    json j = json::parse(ToJson(SmallPlan()));
    j["alpa_plan"] = json::parse(version);
    ExpectError(j.dump(), std::string("plan: is of version ") + version + ", this alpa reads version 1");
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

TEST(Plan, VerifiesAGoodOne) { EXPECT_TRUE(Verify(SmallPlan(), SmallModule()).ok()); }

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
  };
  for (const auto& [breaks, message] : cases) {
    Plan plan = SmallPlan();
    breaks(plan);
    const Status status = Verify(plan, SmallModule());
    ASSERT_FALSE(status.ok()) << message;
    EXPECT_EQ(status.error().code, Code::kInvalidInput);
    EXPECT_EQ(status.error().message, message);
  }
}

TEST(Plan, VerifyRefusesOpsWithSeveralResults) {
  ir::GraphBuilder g("split");
  const auto x = g.Parameter({DType::kF32, {4}}, "x");
  const auto parts = g.OpN(ir::OpKind::kCustomCall, {x}, {{DType::kF32, {2}}, {DType::kF32, {2}}});
  const ir::Module module = g.Build(parts);
  Plan plan;
  plan.model_fingerprint = ir::Fingerprint(module);
  plan.mesh = cluster::MakeMesh({2});
  plan.inputs = {{}};
  plan.outputs = {{}, {}};
  EXPECT_TRUE(Verify(plan, module).ok());
  plan.ops["custom-call.1"] = {};
  EXPECT_EQ(Verify(plan, module).error().message, "plan: op 'custom-call.1' has several results");
}

}  // namespace
}  // namespace alpa::plan
