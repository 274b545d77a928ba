// Sums over microbatches: devices add up their own parts in every run, and join them once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alpa/xla/engine_test_support.h"

namespace alpa::xla {
namespace {

using enum sharding::CollectiveKind;
using plan::CollectiveTotal;
using sharding::Spec;
using testing::ElementsAre;
using testing::IsEmpty;

const cluster::Mesh& TwoByTwo() {
  static const auto* mesh = new cluster::Mesh(cluster::MakeMesh({2, 2}));
  return *mesh;
}

// One run: the accumulator and x^T y, and what `more` (of %dot) makes of it.
ImportedStep Run(const std::string& more) {
  return Get(TheEngine().Import(R"(module { func.func public @main(%sum: tensor<4x6xf32>, %x: tensor<8x4xf32>,
    %y: tensor<8x6xf32>) -> (tensor<4x6xf32>, tensor<f32>) {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %dot = stablehlo.dot_general %x, %y, contracting_dims = [0] x [0] : (tensor<8x4xf32>, tensor<8x6xf32>) -> tensor<4x6xf32>
  )" + more + R"(
  return %out, %other : tensor<4x6xf32>, tensor<f32> } })",
                                {"run.mlir"}));
}

const char* const kPlain = R"(%out = stablehlo.add %sum, %dot : tensor<4x6xf32>
  %other = stablehlo.negate %zero : tensor<f32>)";

ImportedStep Once() {
  return Get(TheEngine().Import(R"(module { func.func public @main(%sum: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %out = stablehlo.negate %sum : tensor<4x6xf32>
  return %out : tensor<4x6xf32> } })",
                                {"once.mlir"}));
}

plan::Plan PlanFor(const ImportedStep& step, std::vector<Spec> inputs) {
  plan::Plan plan = plan::Replicated(step.module, TwoByTwo());
  plan.inputs = std::move(inputs);
  return plan;
}

std::unique_ptr<Executable> Compiled(Client& client, const std::string& more) {
  const ImportedStep step = Run(more);
  CompileOptions options;
  options.accumulate = {{0, 0}};
  return Get(client.Compile(step, PlanFor(step, {{}, {{{0}, {}}}, {{{0}, {}}}}), options));
}

TEST(PartialSums, AreLeftToTheDevicesAndJoinedOnce) {
  const auto client = Get(TheEngine().CreateCpuClient(4));
  const auto run = Compiled(*client, kPlain);
  EXPECT_THAT(run->stats().parts, ElementsAre(ElementsAre(0)));
  EXPECT_THAT(run->stats().collectives, IsEmpty());

  const ImportedStep once_step = Once();
  CompileOptions options;
  options.parts = {{0, {0}}};
  plan::Plan whole = PlanFor(once_step, {{}});
  const auto once = Get(client->Compile(once_step, whole, options));
  EXPECT_THAT(once->stats().collectives, ElementsAre(CollectiveTotal{kAllReduce, {0}, 1, Bytes(96)}));
  // Wanted in parts they come by reduce-scatter.
  whole.ops[once_step.module.ops[1].name] = whole.outputs[0] = Spec{{{0}, {}}};
  EXPECT_THAT(Get(client->Compile(once_step, whole, options))->stats().collectives,
              ElementsAre(CollectiveTotal{kReduceScatter, {0}, 1, Bytes(96)}));

  // Two runs with the same numbers from zero on, and the negated sum.
  ir::HostTensor x(ir::Shape{ir::DType::kF32, {8, 4}});
  ir::HostTensor y(ir::Shape{ir::DType::kF32, {8, 6}});
  for (size_t i = 0; i < 32; ++i) x.as<float>()[i] = static_cast<float>(i % 5);
  for (size_t i = 0; i < 48; ++i) y.as<float>()[i] = static_cast<float>(i % 7);
  const Spec rows{{{0}, {}}};
  const auto on_x = Get(client->Put(x, rows, TwoByTwo()));
  const auto on_y = Get(client->Put(y, rows, TwoByTwo()));
  auto sum = Get(client->Put(ir::HostTensor(ir::Shape{ir::DType::kF32, {4, 6}}), {}, TwoByTwo()));
  for (int k = 0; k < 2; ++k) sum = std::move(Get(run->Run({sum.get(), on_x.get(), on_y.get()}))[0]);
  const ir::HostTensor out = Get(Get(once->Run({sum.get()}))[0]->ToHost());
  for (size_t i = 0; i < 4; ++i) {
    for (size_t j = 0; j < 6; ++j) {
      float expected = 0;
      for (size_t b = 0; b < 8; ++b) expected -= 2 * x.as<float>()[b * 4 + i] * y.as<float>()[b * 6 + j];
      EXPECT_EQ(out.as<float>()[i * 6 + j], expected);
    }
  }
}

TEST(PartialSums, AreFollowedThroughWhatIsLinear) {
  const auto client = Get(TheEngine().CreateCpuClient(4));
  const auto run = Compiled(*client, R"(%n = stablehlo.negate %dot : tensor<4x6xf32>
  %out = stablehlo.add %n, %sum : tensor<4x6xf32>
  %other = stablehlo.negate %zero : tensor<f32>)");
  EXPECT_THAT(run->stats().parts, ElementsAre(ElementsAre(0)));
  EXPECT_THAT(run->stats().collectives, IsEmpty());
}

// Each of these needs the whole sum in every run.
TEST(PartialSums, AreJoinedWhereSomethingElseNeedsThem) {
  const auto client = Get(TheEngine().CreateCpuClient(4));
  const std::string body[] = {// not linear
                              R"(%s = stablehlo.multiply %dot, %dot : tensor<4x6xf32>
  %out = stablehlo.add %sum, %s : tensor<4x6xf32>
  %other = stablehlo.negate %zero : tensor<f32>)",
                              // another reader
                              R"(%out = stablehlo.add %sum, %dot : tensor<4x6xf32>
  %s = stablehlo.multiply %dot, %dot : tensor<4x6xf32>
  %other = stablehlo.reduce(%s init: %zero) applies stablehlo.add across dimensions = [0, 1]
    : (tensor<4x6xf32>, tensor<f32>) -> tensor<f32>)",
                              // a part that is the same on all devices
                              R"(%one = stablehlo.constant dense<1.0> : tensor<4x6xf32>
  %s = stablehlo.add %dot, %one : tensor<4x6xf32>
  %out = stablehlo.add %sum, %s : tensor<4x6xf32>
  %other = stablehlo.negate %zero : tensor<f32>)"};
  for (const std::string& more : body) {
    const auto run = Compiled(*client, more);
    EXPECT_THAT(run->stats().parts, ElementsAre(IsEmpty())) << more;
    EXPECT_THAT(run->stats().collectives, testing::Contains(CollectiveTotal{kAllReduce, {0}, 1, Bytes(96)})) << more;
  }
}

}  // namespace
}  // namespace alpa::xla
