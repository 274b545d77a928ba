// That the partitioner carries out what sharding::Reshard says: from every layout of an array to every other.
#include <gtest/gtest.h>

#include <numeric>

#include "alpa/sharding/reshard.h"
#include "alpa/sharding/strategy.h"
#include "alpa/xla/engine_test_support.h"

namespace alpa::xla {
namespace {

// y = x + x, x in the layout `from`, y in `to`: the sum is taken in `from`.
plan::Plan DoublePlan(const ImportedStep& step, const cluster::Mesh& mesh, const sharding::Spec& from,
                      const sharding::Spec& to) {
  plan::Plan plan;
  plan.model_fingerprint = ir::Fingerprint(step.module);
  plan.mesh = mesh;
  plan.inputs = {from};
  plan.outputs = {to};
  plan.ops[step.module.producer(step.module.outputs[0]).name] = from;
  return plan;
}

std::vector<plan::CollectiveTotal> Predicted(const std::vector<sharding::ReshardStep>& steps) {
  std::vector<plan::CollectiveTotal> out;
  for (const auto& step : steps) {
    for (const auto& c : step.collectives) out.push_back({c.kind, c.axes, 1, c.bytes});
  }
  return Added(out);
}

class EveryReshard : public testing::TestWithParam<std::vector<int64_t>> {};

TEST_P(EveryReshard, InsertsWhatReshardSays) {
  const cluster::Mesh mesh = cluster::MakeMesh(GetParam());
  const ImportedStep step =
      Get(TheEngine().Import(R"(module { func.func public @main(%x: tensor<12x24xf32>) -> tensor<12x24xf32> {
    %y = stablehlo.add %x, %x : tensor<12x24xf32>
    return %y : tensor<12x24xf32> } })",
                             {"double.mlir"}));
  const ir::Shape& shape = step.module.shape(step.module.inputs[0]);
  auto client = Get(TheEngine().CreateCpuClient(mesh.size()));
  ir::HostTensor x(shape);
  std::iota(x.as<float>().begin(), x.as<float>().end(), 0.0F);
  for (const auto& from : sharding::Specs(shape, mesh)) {
    for (const auto& to : sharding::Specs(shape, mesh)) {
      SCOPED_TRACE(sharding::ToString(from, mesh) + " -> " + sharding::ToString(to, mesh));
      const plan::Plan plan = DoublePlan(step, mesh, from, to);
      const auto steps = sharding::Reshard({from, {}, sharding::Combiner::kSum}, to, shape, mesh);
      const auto counted = Get(TheEngine().CountCollectives(step, plan));
      EXPECT_EQ(Describe(counted, mesh), Describe(Predicted(steps), mesh));
      auto executable = Get(client->Compile(step, plan, {}));
      EXPECT_EQ(Describe(executable->stats().executed, mesh), Describe(counted, mesh));
      auto in = Get(client->Put(x, from, mesh));
      auto out = Get(executable->Run({in.get()}));
      const auto shards = Get(out[0]->ShardsToHost());
      for (int64_t d = 0; d < mesh.size(); ++d) {
        ir::HostTensor expected =
            ir::SliceBlock(x, sharding::ShardStart(to, shape, mesh, d), sharding::ShardShape(to, shape, mesh).dims);
        for (float& v : expected.as<float>()) v *= 2;
        EXPECT_EQ(shards[static_cast<size_t>(d)], expected) << "device " << d;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Meshes, EveryReshard,
                         testing::Values(std::vector<int64_t>{2}, std::vector<int64_t>{1, 3},
                                         std::vector<int64_t>{2, 2}, std::vector<int64_t>{2, 3},
                                         std::vector<int64_t>{2, 4}),
                         [](const auto& info) {
                           std::string name;
                           for (const int64_t n : info.param) name += (name.empty() ? "" : "x") + std::to_string(n);
                           return "Mesh" + name;
                         });

}  // namespace
}  // namespace alpa::xla
