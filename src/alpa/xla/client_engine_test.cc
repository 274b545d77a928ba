// Execution on virtual devices, with literal numbers.
#include <gtest/gtest.h>

#include <numeric>

#include "alpa/xla/engine_test_support.h"

namespace alpa::xla {
namespace {

ir::HostTensor Numbers(std::vector<int64_t> dims) {
  ir::HostTensor t(ir::Shape{ir::DType::kF32, std::move(dims)});
  std::iota(t.as<float>().begin(), t.as<float>().end(), 0.0F);
  return t;
}

// w' = w + sum over the batch of x; loss = sum of all x.
constexpr const char* kStep = R"(
module @step {
  func.func public @main(%w: tensor<2xf32>, %x: tensor<12x2xf32>) -> (tensor<2xf32>, tensor<f32>) {
    %zero = stablehlo.constant dense<0.0> : tensor<f32>
    %g = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<12x2xf32>, tensor<f32>) -> tensor<2xf32>
    %n = stablehlo.add %w, %g : tensor<2xf32>
    %l = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [0, 1] : (tensor<12x2xf32>, tensor<f32>) -> tensor<f32>
    return %n, %l : tensor<2xf32>, tensor<f32>
  }
})";

plan::Plan SplitBatch(const ImportedStep& step, int64_t devices) {
  plan::Plan plan;
  plan.model_fingerprint = ir::Fingerprint(step.module);
  plan.mesh = cluster::MakeMesh({devices});
  plan.inputs = {{}, sharding::SplitDim(2, 0, 0)};
  plan.outputs.resize(2);
  return plan;
}

class StepOnDevices : public testing::TestWithParam<int64_t> {};

TEST_P(StepOnDevices, EqualsTheSumsByHand) {
  const ImportedStep step = Get(TheEngine().Import(kStep, {"step.mlir"}));
  const plan::Plan plan = SplitBatch(step, GetParam());
  auto client = Get(TheEngine().CreateCpuClient(GetParam()));
  auto executable = Get(client->Compile(step, plan, {{{0, 0}}}));
  auto w = Get(client->Put(Numbers({2}), plan.inputs[0], plan.mesh));
  auto x = Get(client->Put(Numbers({12, 2}), plan.inputs[1], plan.mesh));
  for (int k = 1; k <= 3; ++k) {
    auto out = Get(executable->Run({w.get(), x.get()}));
    const ir::HostTensor next = Get(out[0]->ToHost());
    EXPECT_EQ(next.as<float>()[0], 0 + k * 132.0F);  // 0 + 2 + ... + 22 = 132
    EXPECT_EQ(next.as<float>()[1], 1 + k * 144.0F);  // 1 + 3 + ... + 23 = 144
    EXPECT_EQ(Get(out[1]->ToHost()).as<float>()[0], 276.0F);
    w = std::move(out[0]);
  }
  EXPECT_EQ(!executable->stats().collectives.empty(), GetParam() > 1);
}

INSTANTIATE_TEST_SUITE_P(Counts, StepOnDevices, testing::Values(1, 2, 3, 4, 6, 12));

TEST(Put, EachDeviceGetsItsPart) {
  auto client = Get(TheEngine().CreateCpuClient(4));
  const cluster::Mesh mesh = cluster::MakeMesh({2, 2});
  const ir::HostTensor whole = Numbers({4, 2});
  const sharding::Spec spec{{{1}, {0}}};  // rows over y, columns over x
  auto array = Get(client->Put(whole, spec, mesh));
  const auto shards = Get(array->ShardsToHost());
  ASSERT_EQ(shards.size(), 4U);
  EXPECT_EQ(shards[0].as<float>()[1], 2.0F);  // device (0,0): rows 0-1, column 0
  EXPECT_EQ(shards[1].as<float>()[0], 4.0F);  // device (0,1): rows 2-3, column 0
  EXPECT_EQ(shards[2].as<float>()[0], 1.0F);  // device (1,0): rows 0-1, column 1
  EXPECT_EQ(Get(array->ToHost()), whole);
}

// Layouts that GSPMD must turn into each other: what comes out lies as the plan says and holds the same numbers.
TEST(Annotate, OutputsLieAsPinnedOnATwoDimensionalMesh) {
  const ImportedStep step =
      Get(TheEngine().Import(R"(module { func.func public @main(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
    %y = stablehlo.add %x, %x : tensor<4x6xf32>
    return %y : tensor<4x6xf32> } })",
                             {"double.mlir"}));
  auto client = Get(TheEngine().CreateCpuClient(6));
  const cluster::Mesh mesh = cluster::MakeMesh({2, 3});
  const std::vector<sharding::Spec> specs = {
      {}, {{{0}, {}}}, {{{}, {1}}}, {{{0}, {1}}}, {{{}, {0, 1}}}, {{{}, {1, 0}}}, {{{}, {0}}}};
  const ir::HostTensor x = Numbers({4, 6});
  for (const auto& from : specs) {
    for (const auto& to : specs) {
      plan::Plan plan;
      plan.model_fingerprint = ir::Fingerprint(step.module);
      plan.mesh = mesh;
      plan.inputs = {from};
      plan.outputs = {to};
      auto executable = Get(client->Compile(step, plan, {}));
      auto in = Get(client->Put(x, from, mesh));
      auto out = Get(executable->Run({in.get()}));
      const auto shards = Get(out[0]->ShardsToHost());
      for (int64_t d = 0; d < 6; ++d) {
        ir::HostTensor expected = ir::SliceBlock(x, sharding::ShardStart(to, x.shape(), mesh, d),
                                                 sharding::ShardShape(to, x.shape(), mesh).dims);
        for (float& v : expected.as<float>()) v *= 2;
        EXPECT_EQ(shards[static_cast<size_t>(d)], expected)
            << sharding::ToString(from, mesh) << " -> " << sharding::ToString(to, mesh);
      }
    }
  }
}

TEST(ClientErrors, DeviceCounts) {
  EXPECT_EQ(TheEngine().CreateCpuClient(0).error().code, Code::kInvalidArgument);
  EXPECT_EQ(TheEngine().CreateCpuClient(cluster::kMaxDevices + 1).error().code, Code::kInvalidArgument);
  const ImportedStep step = Get(TheEngine().Import(kStep, {"step.mlir"}));
  auto client = Get(TheEngine().CreateCpuClient(2));
  const auto executable = client->Compile(step, SplitBatch(step, 4), {});
  ASSERT_FALSE(executable.ok());
  EXPECT_EQ(executable.error().code, Code::kInvalidArgument);
}

TEST(ClientErrors, PlanOfAnotherModel) {
  const ImportedStep step = Get(TheEngine().Import(kStep, {"step.mlir"}));
  auto client = Get(TheEngine().CreateCpuClient(2));
  plan::Plan plan = SplitBatch(step, 2);
  plan.model_fingerprint ^= 1;
  EXPECT_EQ(client->Compile(step, plan, {}).error().code, Code::kMismatch);
}

TEST(ClientErrors, CustomCallWithoutImplementationIsNamedWithItsLine) {
  const ImportedStep step = Get(
      TheEngine().Import("HloModule m\nENTRY main {\n x = f32[2] parameter(0)\n ROOT y = f32[2] custom-call(x), "
                         "custom_call_target=\"my_gpu_kernel\", metadata={source_file=\"model.py\" source_line=7}\n}",
                         {"m.hlo"}));
  plan::Plan plan;
  plan.model_fingerprint = ir::Fingerprint(step.module);
  plan.mesh = cluster::MakeMesh({1});
  plan.inputs.resize(1);
  plan.outputs.resize(1);
  const auto executable = Get(TheEngine().CreateCpuClient(1))->Compile(step, plan, {});
  ASSERT_FALSE(executable.ok());
  EXPECT_EQ(executable.error().code, Code::kUnsupported);
  EXPECT_NE(executable.error().message.find("my_gpu_kernel"), std::string::npos);
  EXPECT_NE(executable.error().message.find("model.py:7"), std::string::npos);
}

TEST(PluginErrors, MissingForeignAndUnloadable) {
  const char* const engine = std::getenv("ALPA_XLA_LIBRARY");  // any shared library that is not a plugin; ctest sets it
  ASSERT_NE(engine, nullptr);
  auto message = [](const std::filesystem::path& p) {
    auto client = TheEngine().CreatePluginClient(p);
    EXPECT_FALSE(client.ok());
    EXPECT_EQ(client.error().code, Code::kEnvironment);
    return client.error().message;
  };
  EXPECT_NE(message("/no/such/plugin.so").find("no such file"), std::string::npos);
  EXPECT_NE(message(std::filesystem::path(ALPA_SOURCE_DIR) / "CMakeLists.txt").find("does not load"),
            std::string::npos);
  EXPECT_NE(message(engine).find("without GetPjrtApi"), std::string::npos);
}

}  // namespace
}  // namespace alpa::xla
