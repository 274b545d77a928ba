#include "alpa/runtime/init_rule.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

using Kind = InitRule::Kind;

// The numbers come from materialise() in examples/models/common.py, run by NumPy.
TEST(Materialise, EqualsNumPyElementForElement) {
  EXPECT_EQ(Materialise(S32Shape({6}), {Kind::kInt, 256, 1000000}), S32({6}, {36, 245, 174, 204, 67, 245}));
  const InitRule uniform = {Kind::kUniform, 0.3061862289905548, 1};
  EXPECT_EQ(Materialise(F32Shape({2, 2}), uniform),
            F32({2, 2}, {-0x1.68dc14p-3, -0x1.54c112p-7, -0x1.399d84p-4, -0x1.40c688p-7}));
  const auto bf16 = Materialise({ir::DType::kBF16, {4}}, uniform);
  EXPECT_EQ(std::vector<uint16_t>(bf16.as<uint16_t>().begin(), bf16.as<uint16_t>().end()),
            (std::vector<uint16_t>{48692, 48170, 48541, 48160}));
}

TEST(Materialise, EqualsNumPyForManyElements) {
  const auto crc = [](ir::DType type, int64_t count, const InitRule& rule) {
    return Crc32(Materialise({type, {count}}, rule).view());
  };
  EXPECT_EQ(crc(ir::DType::kF32, 3'000'000, {Kind::kUniform, 1, 5}), 2224293600U);
  EXPECT_EQ(crc(ir::DType::kBF16, 3'000'000, {Kind::kUniform, 1, 5}), 2401242505U);
  EXPECT_EQ(crc(ir::DType::kS32, 3'000'000, {Kind::kInt, 50257, 5}), 3001633044U);
  EXPECT_EQ(crc(ir::DType::kF16, 1000, {Kind::kUniform, 1, 5}), 1485062768U);
  EXPECT_EQ(crc(ir::DType::kF64, 1000, {Kind::kUniform, 1, 5}), 3019940507U);
}

TEST(Materialise, FillsConstants) {
  EXPECT_EQ(Materialise(F32Shape({3}), {Kind::kConst, 1.5, 0}), F32({3}, {1.5, 1.5, 1.5}));
  EXPECT_EQ(Materialise({ir::DType::kBF16, {3}}, {Kind::kConst, 1, 0}), Tensor(ir::DType::kBF16, {3}, {1, 1, 1}));
  EXPECT_TRUE(std::signbit(Materialise(F32Shape({2}), {Kind::kConst, -0.0, 0}).as<float>()[1]));
  EXPECT_EQ(Materialise(F32Shape({0}), {Kind::kConst, 1, 0}), F32({0}, {}));
  EXPECT_EQ(Materialise(S32Shape({}), {Kind::kConst, 7, 0}), S32({}, {7}));
}

TEST(ParseSidecar, ReadsNamesShapesAndRules) {
  const auto inputs = ParseSidecar(R"({"name": "m", "args": [
      {"index": 0, "name": "param.w", "role": "param", "shape": [2, 3], "dtype": "bfloat16",
       "init": {"kind": "uniform", "value": 0.5, "seed": 3}},
      {"name": "count", "shape": [], "dtype": "int32", "init": {"kind": "const", "value": 0}},
      {"shape": [4], "dtype": "bool", "init": {"kind": "int", "value": 2, "seed": 1000000}}]})",
                                   "m.json");
  ASSERT_TRUE(inputs.ok()) << inputs.error().message;
  EXPECT_EQ(*inputs, (std::vector<SidecarInput>{{"param.w", {ir::DType::kBF16, {2, 3}}, {Kind::kUniform, 0.5, 3}},
                                                {"count", S32Shape({}), {Kind::kConst, 0, 0}},
                                                {"", {ir::DType::kPred, {4}}, {Kind::kInt, 2, 1000000}}}));
}

TEST(ParseSidecar, NamesTheEntryThatIsWrong) {
  const std::string good = R"({"shape": [2], "dtype": "float32", "init": {"kind": "const", "value": 0}})";
  for (const auto& [entry, what] : std::vector<std::pair<std::string, std::string>>{
           {"1", "'shape' or 'dtype'"},
           {R"({"shape": [2], "init": {}})", "'shape' or 'dtype'"},
           {R"({"shape": [-2], "dtype": "float32", "init": {}})", "'shape' is not"},
           {R"({"shape": [2], "dtype": "floaty", "init": {}})", "unknown 'dtype'"},
           {R"({"shape": [2], "dtype": "float32"})", "'init'"},
           {R"({"shape": [2], "dtype": "float32", "init": {"kind": "normal", "value": 1}})", "'init.kind'"},
           {R"({"shape": [2], "dtype": "float32", "init": {"kind": "const", "value": "x"}})", "'init.value'"},
           {R"({"shape": [2], "dtype": "int32", "init": {"kind": "int", "value": 0, "seed": 1}})", "'init.value'"},
           {R"({"shape": [2], "dtype": "float32", "init": {"kind": "uniform", "value": 1}})", "'init.seed'"}}) {
    const auto inputs = ParseSidecar(fmt::format("{{\"args\": [{}, {}]}}", good, entry), "m.json");
    ASSERT_FALSE(inputs.ok()) << entry;
    EXPECT_EQ(inputs.error().code, Code::kInvalidInput);
    EXPECT_NE(inputs.error().message.find("m.json: args[1]: " + what), std::string::npos) << inputs.error().message;
  }
  EXPECT_NE(ParseSidecar("{\"args\": [", "m.json").error().message.find("not valid JSON"), std::string::npos);
  EXPECT_NE(ParseSidecar("{}", "m.json").error().message.find("'args'"), std::string::npos);
}

}  // namespace
}  // namespace alpa::runtime
