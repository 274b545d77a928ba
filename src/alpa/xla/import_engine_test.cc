// Import through XLA: the forms a model may come in, what is cleaned away, and what is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "alpa/base/file.h"
#include "alpa/xla/engine_test_support.h"

namespace alpa::xla {
namespace {

const std::filesystem::path kModels = std::filesystem::path(ALPA_SOURCE_DIR) / "tests/models";

Result<ImportedStep> Import(const std::string& text, int64_t max_unrolled_ops = 100'000) {
  return TheEngine().Import(text, {"test.mlir", max_unrolled_ops});
}

ir::Module ImportFile(const std::string& name) {
  auto bytes = ReadFile(kModels / name);
  EXPECT_TRUE(bytes.ok()) << name;
  auto step = TheEngine().Import(*bytes, {name});
  EXPECT_TRUE(step.ok()) << name << ": " << (step.ok() ? "" : ToString(step.error()));
  EXPECT_TRUE(ir::Verify(step->module).ok());
  return std::move(step->module);
}

int Count(const ir::Module& module, ir::OpKind kind) {
  return static_cast<int>(
      std::count_if(module.ops.begin(), module.ops.end(), [&](const ir::Op& op) { return op.kind == kind; }));
}

// An error whose message holds each of `parts`.
void ExpectError(const Result<ImportedStep>& result, Code code, const std::vector<std::string>& parts) {
  ASSERT_FALSE(result.ok());
  const std::string text = ToString(result.error());
  EXPECT_EQ(result.error().code, code) << text;
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' in: " << text;
}

constexpr const char* kSquare = R"(
module @square {
  func.func public @main(%w: tensor<4xf32> {tf.aliasing_output = 0 : i32}, %x: tensor<4xf32>) -> (tensor<4xf32>, tensor<f32>) {
    %zero = stablehlo.constant dense<0.0> : tensor<f32>
    %unused = stablehlo.exponential %x : tensor<4xf32>
    %a = stablehlo.multiply %w, %x : tensor<4xf32>
    %b = stablehlo.multiply %w, %x : tensor<4xf32>
    %c = stablehlo.add %a, %b : tensor<4xf32>
    %s = call @sum(%c) : (tensor<4xf32>) -> tensor<f32>
    return %c, %s : tensor<4xf32>, tensor<f32>
  }
  func.func private @sum(%v: tensor<4xf32>) -> tensor<f32> {
    %zero = stablehlo.constant dense<0.0> : tensor<f32>
    %s = stablehlo.reduce(%v init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<4xf32>, tensor<f32>) -> tensor<f32>
    return %s : tensor<f32>
  }
})";

TEST(Import, InlinesCallsAndDropsDeadAndCommonCode) {
  auto step = Import(kSquare);
  ASSERT_TRUE(step.ok()) << ToString(step.error());
  const ir::Module& m = step->module;
  EXPECT_EQ(Count(m, ir::OpKind::kCall), 0);
  EXPECT_EQ(Count(m, ir::OpKind::kExp), 0);
  EXPECT_EQ(Count(m, ir::OpKind::kMultiply), 1);
  EXPECT_EQ(Count(m, ir::OpKind::kReduce), 1);
  ASSERT_EQ(m.inputs.size(), 2U);
  ASSERT_EQ(m.outputs.size(), 2U);
  EXPECT_EQ(m.aliases, (std::vector<ir::Alias>{{0, 0}}));
  EXPECT_EQ(ir::ToString(m.shape(m.outputs[1])), "f32[]");
}

TEST(Import, ReadsThreeFormsToTheSameGraph) {
  for (const std::string model : {"mlp_tiny", "gpt_tiny", "moe_tiny", "wresnet_tiny"}) {
    const uint64_t bytecode = ir::Fingerprint(ImportFile(model + ".mlirbc"));
    EXPECT_EQ(ir::Fingerprint(ImportFile(model + ".mlir.gz")), bytecode) << model;
    EXPECT_EQ(ir::Fingerprint(ImportFile(model + ".generic.mlir.gz")), bytecode) << model;
  }
}

TEST(Import, ReadsItsOwnHloAsProtoAndText) {
  auto bytes = ReadFile(kModels / "gpt_tiny.mlirbc");
  ASSERT_TRUE(bytes.ok());
  auto step = TheEngine().Import(*bytes, {"gpt_tiny.mlirbc"});
  ASSERT_TRUE(step.ok());
  auto again = TheEngine().Import(step->hlo, {"gpt_tiny.pb"});
  ASSERT_TRUE(again.ok()) << ToString(again.error());
  EXPECT_EQ(ir::Fingerprint(again->module), ir::Fingerprint(step->module));
  auto text = Import(R"(// a comment
HloModule add, input_output_alias={ {}: (0, {}, may-alias) }
ENTRY main {
  w = f32[2]{0} parameter(0)
  x = f32[2]{0} parameter(1)
  ROOT sum = f32[2]{0} add(w, x)
})");
  ASSERT_TRUE(text.ok()) << ToString(text.error());
  EXPECT_EQ(Count(text->module, ir::OpKind::kAdd), 1);
  EXPECT_EQ(text->module.aliases, (std::vector<ir::Alias>{{0, 0}}));
}

TEST(Import, KeepsNamesAndSourceLines) {
  const ir::Module m = ImportFile("gpt_tiny.mlirbc");
  EXPECT_EQ(m.input_names[0], "params['h'][0]['fc1']['b']");
  int with_line = 0;
  for (const ir::Op& op : m.ops) {
    if (op.kind == ir::OpKind::kDot && ir::LocationOf(m, op).line > 0) ++with_line;
  }
  EXPECT_EQ(with_line, Count(m, ir::OpKind::kDot));
}

std::string Loop(const std::string& limit) {
  return R"(
module {
  func.func public @main(%x: tensor<3x2xf32>) -> tensor<2xf32> {
    %i0 = stablehlo.constant dense<0> : tensor<i32>
    %zero = stablehlo.constant dense<0.0> : tensor<2xf32>
    %n = )" +
         limit + R"(
    %r:4 = stablehlo.while(%i = %i0, %acc = %zero, %xs = %x, %end = %n) : tensor<i32>, tensor<2xf32>, tensor<3x2xf32>, tensor<i32>
     cond {
      %p = stablehlo.compare LT, %i, %end, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %p : tensor<i1>
     } do {
      %z = stablehlo.constant dense<0> : tensor<i32>
      %one = stablehlo.constant dense<1> : tensor<i32>
      %s = stablehlo.dynamic_slice %xs, %i, %z, sizes = [1, 2] : (tensor<3x2xf32>, tensor<i32>, tensor<i32>) -> tensor<1x2xf32>
      %v = stablehlo.reshape %s : (tensor<1x2xf32>) -> tensor<2xf32>
      %a = stablehlo.add %acc, %v : tensor<2xf32>
      %j = stablehlo.add %i, %one : tensor<i32>
      stablehlo.return %j, %a, %xs, %end : tensor<i32>, tensor<2xf32>, tensor<3x2xf32>, tensor<i32>
     }
    return %r#1 : tensor<2xf32>
  }
})";
}

TEST(Unroll, CountedLoopBecomesSlicesAtConstantPlaces) {
  auto step = Import(Loop("stablehlo.constant dense<3> : tensor<i32>"));
  ASSERT_TRUE(step.ok()) << ToString(step.error());
  EXPECT_EQ(Count(step->module, ir::OpKind::kWhile), 0);
  EXPECT_EQ(Count(step->module, ir::OpKind::kDynamicSlice), 0);
  EXPECT_EQ(Count(step->module, ir::OpKind::kAdd), 3);
  std::set<int64_t> starts;
  for (const ir::Op& op : step->module.ops) {
    if (op.kind == ir::OpKind::kSlice) starts.insert(std::get<ir::SliceAttr>(op.attributes).start[0]);
  }
  EXPECT_EQ(starts, (std::set<int64_t>{0, 1, 2}));
}

TEST(Unroll, KeepsALoopWhoseLengthDependsOnData) {
  auto step = Import(Loop("stablehlo.custom_call @count(%x) : (tensor<3x2xf32>) -> tensor<i32>"));
  ASSERT_TRUE(step.ok()) << ToString(step.error());
  EXPECT_EQ(Count(step->module, ir::OpKind::kWhile), 1);
}

TEST(Unroll, KeepsALoopThatWouldGrowBeyondTheLimit) {
  auto step = Import(Loop("stablehlo.constant dense<3> : tensor<i32>"), /*max_unrolled_ops=*/10);
  ASSERT_TRUE(step.ok()) << ToString(step.error());
  EXPECT_EQ(Count(step->module, ir::OpKind::kWhile), 1);
  EXPECT_EQ(Count(step->module, ir::OpKind::kAdd), 0);
}

TEST(Unroll, ScanOverLayersLeavesNoLoopAndNoResidualStack) {
  const ir::Module m = ImportFile("gpt_scan.mlirbc");
  EXPECT_EQ(Count(m, ir::OpKind::kWhile), 0);
  EXPECT_EQ(Count(m, ir::OpKind::kDynamicSlice), 0);
}

TEST(ImportErrors, EmptyFile) {
  ExpectError(Import(""), Code::kInvalidInput, {"test.mlir", "empty"});
  ExpectError(Import(" \n"), Code::kInvalidInput, {"empty"});
}

TEST(ImportErrors, TruncatedAtAnyPlace) {
  auto bytes = ReadFile(kModels / "mlp_tiny_sgd.mlirbc");
  ASSERT_TRUE(bytes.ok());
  for (size_t n = 1; n < bytes->size(); n += bytes->size() / 37) {
    auto step = TheEngine().Import(bytes->substr(0, n), {"cut.mlirbc"});
    ASSERT_FALSE(step.ok()) << n;
    EXPECT_NE(step.error().message.find("cut.mlirbc"), std::string::npos);
  }
  const std::string text = kSquare;
  for (size_t n = 1; n < text.size() - 2; n += 41) {
    auto step = Import(text.substr(0, n));
    if (text.find_first_not_of(" \n") < n) EXPECT_FALSE(step.ok()) << n;
  }
}

TEST(ImportErrors, NotStableHlo) {
  ExpectError(Import("int main() { return 0; }"), Code::kInvalidInput, {"test.mlir: this is not StableHLO"});
  ExpectError(Import(std::string("\x7f"
                                 "ELF\0\0\0\1\2\3",
                                 10)),
              Code::kInvalidInput, {"neither StableHLO nor HLO"});
}

TEST(ImportErrors, NoMain) {
  ExpectError(
      Import(R"(module { func.func public @step(%x: tensor<2xf32>) -> tensor<2xf32> { return %x : tensor<2xf32> } })"),
      Code::kInvalidInput, {"main"});
}

TEST(ImportErrors, DynamicShape) {
  ExpectError(Import(R"(module { func.func public @main(%x: tensor<?x2xf32>) -> tensor<?x2xf32> {
    %y = stablehlo.add %x, %x : tensor<?x2xf32>
    return %y : tensor<?x2xf32> } })"),
              Code::kInvalidInput, {"dynamic"});
}

TEST(ImportErrors, UnknownOpIsNamedWithItsLine) {
  ExpectError(Import("module {\n func.func public @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n"
                     "  %y = stablehlo.frobnicate %x : tensor<2xf32>\n  return %y : tensor<2xf32>\n }\n}"),
              Code::kUnsupported, {"frobnicate", "line 3"});
  ExpectError(Import("module {\n func.func public @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n"
                     "  %y = \"foo.bar\"(%x) : (tensor<2xf32>) -> tensor<2xf32>\n  return %y : tensor<2xf32>\n }\n}"),
              Code::kUnsupported, {"foo", "line 3"});
}

TEST(ImportErrors, SymbolicShapeInBytecode) {
  auto bytes = ReadFile(kModels / "bad/symbolic_batch.mlirbc");
  ASSERT_TRUE(bytes.ok());
  ExpectError(Import(*bytes), Code::kInvalidInput, {"test.mlir", "dynamic shape"});
}

TEST(ImportErrors, CrashOfTheReader) {
  auto bytes = ReadFile(kModels / "bad/recursion.mlir");
  ASSERT_TRUE(bytes.ok());
  ExpectError(Import(*bytes), Code::kInvalidInput, {"test.mlir", "crashed", "signal 11", "calls itself"});
}

TEST(ImportErrors, DonationsThatCannotBe) {
  auto range = ReadFile(kModels / "bad/alias_range.mlir");
  auto twice = ReadFile(kModels / "bad/alias_twice.mlir");
  ASSERT_TRUE(range.ok() && twice.ok());
  ExpectError(Import(*range), Code::kInvalidInput,
              {"test.mlir", "donated to output 7", "does not exist", "f32[4], f32[]"});
  ExpectError(Import(*twice), Code::kInvalidInput, {"test.mlir", "inputs 0 and 1 are both donated to output 0"});
  ExpectError(Import("HloModule m, input_output_alias={ {3}: (0, {}, may-alias) }\n"
                     "ENTRY main { w = f32[2] parameter(0)\n ROOT s = f32[2] add(w, w) }"),
              Code::kInvalidInput, {"test.mlir", "donated to output 3, which does not exist"});
}

TEST(ImportErrors, HloThatItsVerifierRefuses) {
  ExpectError(Import("HloModule m\nENTRY main { w = f32[2] parameter(0)\n ROOT s = f32[3] add(w, w) }"),
              Code::kInvalidInput, {"test.mlir", "f32[3]", "add(%w, %w)"});
}

TEST(ImportErrors, OpThatCannotRunIsNamedWithItsLine) {
  ExpectError(Import("HloModule m\nENTRY main {\n t = token[] after-all()\n"
                     " ROOT i = (f32[2], token[]) infeed(t), metadata={source_file=\"model.py\" source_line=12}\n}"),
              Code::kUnsupported, {"infeed", "model.py:12"});
}

}  // namespace
}  // namespace alpa::xla
