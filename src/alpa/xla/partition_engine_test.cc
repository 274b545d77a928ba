// Plans written by hand: what the partitioner inserts, what runs, and that the numbers are those of one device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "alpa/xla/engine_test_support.h"

namespace alpa::xla {
namespace {

using enum sharding::CollectiveKind;
using sharding::Spec;
using testing::ElementsAre;
using testing::IsEmpty;

// The names of the ops of one kind, in order.
std::vector<std::string> NamesOf(const ImportedStep& step, ir::OpKind kind) {
  std::vector<std::string> out;
  for (const ir::Op& op : step.module.ops) {
    if (op.kind == kind) out.push_back(op.name);
  }
  return out;
}

plan::Plan PlanFor(const ImportedStep& step, std::vector<int64_t> mesh) {
  return plan::Replicated(step.module, cluster::MakeMesh(std::move(mesh)));
}

// Small whole numbers: sums of them are exact in any order, also in 16 bits.
ir::HostTensor Numbers(const ir::Shape& shape, int64_t seed) {
  ir::HostTensor t(shape);
  for (int64_t i = 0; i < shape.elements(); ++i) {
    const auto value = static_cast<float>((i * 7 + seed * 3) % 3 - 1);
    if (shape.dtype == ir::DType::kF32) {
      t.as<float>()[static_cast<size_t>(i)] = value;
    } else {  // bf16: the upper half of a float
      const auto bits = static_cast<uint16_t>(value == 0 ? 0 : value > 0 ? 0x3f80 : 0xbf80);
      std::copy_n(reinterpret_cast<const std::byte*>(&bits), 2, t.bytes().begin() + 2 * i);
    }
  }
  return t;
}

struct Outcome {
  std::vector<ir::HostTensor> outputs;
  ExecutableStats stats;
};

Outcome RunOnce(const ImportedStep& step, const plan::Plan& plan, const CompileOptions& options = {}) {
  auto client = Get(TheEngine().CreateCpuClient(plan.mesh.size()));
  auto executable = Get(client->Compile(step, plan, options));
  std::vector<std::unique_ptr<Array>> arrays;
  std::vector<Array*> arguments;
  for (size_t i = 0; i < plan.inputs.size(); ++i) {
    const ir::Shape& shape = step.module.shape(step.module.inputs[i]);
    arrays.push_back(Get(client->Put(Numbers(shape, static_cast<int64_t>(i)), plan.inputs[i], plan.mesh)));
    arguments.push_back(arrays.back().get());
  }
  Outcome out;
  for (const auto& array : Get(executable->Run(arguments))) out.outputs.push_back(Get(array->ToHost()));
  out.stats = executable->stats();
  return out;
}

// Kinds, axes and counts. Of bytes: XLA's CPU back end communicates 16-bit floats as 32-bit ones.
std::vector<plan::CollectiveTotal> WithoutBytes(std::vector<plan::CollectiveTotal> totals) {
  for (auto& total : totals) total.bytes = {};
  return totals;
}

// Runs the plan; its outputs are those of one device, and what runs is what was partitioned. Returns what it inserted.
std::vector<plan::CollectiveTotal> Inserted(const ImportedStep& step, const plan::Plan& plan,
                                            const CompileOptions& options = {}) {
  const Outcome one = RunOnce(step, PlanFor(step, {1}));
  const Outcome many = RunOnce(step, plan, options);
  EXPECT_EQ(many.outputs, one.outputs);
  EXPECT_EQ(WithoutBytes(many.stats.executed), WithoutBytes(many.stats.collectives));
  return many.stats.collectives;
}

// ---------------------------------------------------------------- tensor parallelism (Megatron)

constexpr const char* kMlp = R"(module { func.func public @main(%x: tensor<12x16xf32>, %a: tensor<16x24xf32>,
    %b: tensor<24x16xf32>) -> tensor<12x16xf32> {
  %h = stablehlo.dot_general %x, %a, contracting_dims = [1] x [0] : (tensor<12x16xf32>, tensor<16x24xf32>) -> tensor<12x24xf32>
  %t = stablehlo.maximum %h, %h : tensor<12x24xf32>
  %y = stablehlo.dot_general %t, %b, contracting_dims = [1] x [0] : (tensor<12x24xf32>, tensor<24x16xf32>) -> tensor<12x16xf32>
  return %y : tensor<12x16xf32> } })";

// The first product split by columns, the second by rows: one sum in the forward pass, whatever splits the batch.
TEST(TensorParallel, OneAllReduceInTheForwardPass) {
  const ImportedStep step = Get(TheEngine().Import(kMlp, {"mlp.mlir"}));
  const auto dots = NamesOf(step, ir::OpKind::kDot);
  const std::string maximum = NamesOf(step, ir::OpKind::kMaximum)[0];
  for (const std::vector<int64_t>& mesh : {std::vector<int64_t>{1, 2}, {2, 2}, {1, 3}, {2, 3}, {2, 4}, {1, 8}}) {
    plan::Plan plan = PlanFor(step, mesh);
    plan.inputs = {{{{0}, {}}}, {{{}, {1}}}, {{{1}, {}}}};
    plan.outputs = {{{{0}, {}}}};
    plan.ops = {{dots[0], {{{0}, {1}}}}, {maximum, {{{0}, {1}}}}, {dots[1], {{{0}, {}}}}};
    const Bytes part(12 * 16 * 4 / mesh[0]);
    EXPECT_THAT(Inserted(step, plan), ElementsAre(plan::CollectiveTotal{kAllReduce, {1}, 1, part}));
  }
}

// The result wanted in parts: the sum is scattered, over one axis or over both.
TEST(TensorParallel, ReduceScatterWhereAPartOfTheSumIsWanted) {
  const ImportedStep step = Get(TheEngine().Import(kMlp, {"mlp.mlir"}));
  const auto dots = NamesOf(step, ir::OpKind::kDot);
  plan::Plan plan = PlanFor(step, {2, 3});
  plan.inputs = {{}, {{{}, {0, 1}}}, {{{0, 1}, {}}}};
  plan.ops = {{dots[0], {{{}, {0, 1}}}}, {NamesOf(step, ir::OpKind::kMaximum)[0], {{{}, {0, 1}}}}};
  const Bytes whole(12 * 16 * 4);
  plan.ops[dots[1]] = plan.outputs[0] = {{{0, 1}, {}}};
  EXPECT_THAT(Inserted(step, plan), ElementsAre(plan::CollectiveTotal{kReduceScatter, {0, 1}, 1, whole}));
  plan.ops[dots[1]] = plan.outputs[0] = {{{1}, {}}};  // scattered over y, then summed over x
  EXPECT_THAT(Inserted(step, plan), ElementsAre(plan::CollectiveTotal{kAllReduce, {0}, 1, Bytes(whole.value / 3)},
                                                plan::CollectiveTotal{kReduceScatter, {1}, 1, whole}));
}

// ---------------------------------------------------------------- ZeRO

// loss-free step: g = x^T (x w), w' = w - g.
std::string Update(const std::string& type) {
  std::string text = R"(module { func.func public @main(%w: tensor<12x5xT>, %x: tensor<24x12xT>) -> tensor<12x5xT> {
  %y = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<24x12xT>, tensor<12x5xT>) -> tensor<24x5xT>
  %s = stablehlo.sign %y : tensor<24x5xT>
  %g = stablehlo.dot_general %x, %s, contracting_dims = [0] x [0] : (tensor<24x12xT>, tensor<24x5xT>) -> tensor<12x5xT>
  %n = stablehlo.subtract %w, %g : tensor<12x5xT>
  return %n : tensor<12x5xT> } })";
  for (size_t at; (at = text.find("xT>")) != std::string::npos;) text.replace(at, 3, "x" + type + ">");
  return text;
}

// Parameters in parts: gathered for the forward pass, their gradients scattered; the update replaces the part in place.
class Zero : public testing::TestWithParam<std::string> {};

TEST_P(Zero, GathersParametersAndScattersGradients) {
  const ImportedStep step = Get(TheEngine().Import(Update(GetParam()), {"update.mlir"}));
  const auto dots = NamesOf(step, ir::OpKind::kDot);
  const int64_t width = GetParam() == "f32" ? 4 : 2;
  for (const std::vector<int64_t>& mesh : {std::vector<int64_t>{2}, {3}, {2, 2}, {2, 3}}) {
    std::vector<int> axes(mesh.size());
    for (size_t a = 0; a < axes.size(); ++a) axes[a] = static_cast<int>(a);
    const Spec rows{{axes, {}}};
    plan::Plan plan = PlanFor(step, mesh);
    plan.inputs = {rows, rows};
    plan.outputs = {rows};
    plan.ops = {{dots[0], rows}, {dots[1], rows}};
    plan.ops[NamesOf(step, ir::OpKind::kSubtract)[0]] = rows;
    plan.operands[dots[0]] = {std::nullopt, Spec{{{}, {}}}};
    const Bytes whole(12 * 5 * width);
    EXPECT_THAT(Inserted(step, plan, {{{0, 0}}}), ElementsAre(plan::CollectiveTotal{kAllGather, axes, 1, whole},
                                                              plan::CollectiveTotal{kReduceScatter, axes, 1, whole}));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Zero, testing::Values("f32", "bf16"), [](const auto& info) { return info.param; });

// ---------------------------------------------------------------- experts

TEST(ExpertParallel, AllToAllBringsTokensToTheirExperts) {
  const ImportedStep step = Get(TheEngine().Import(
      R"(module { func.func public @main(%x: tensor<6x12x4xf32>, %w: tensor<6x4x8xf32>) -> tensor<6x12x8xf32> {
  %y = stablehlo.dot_general %x, %w, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<6x12x4xf32>, tensor<6x4x8xf32>) -> tensor<6x12x8xf32>
  return %y : tensor<6x12x8xf32> } })",
      {"experts.mlir"}));
  const std::string dot = NamesOf(step, ir::OpKind::kDot)[0];
  for (const std::vector<int64_t>& mesh : {std::vector<int64_t>{1, 2}, {1, 3}, {2, 3}}) {
    plan::Plan plan = PlanFor(step, mesh);
    plan.inputs = {{{{}, {1}, {}}}, {{{1}, {}, {}}}};
    plan.outputs = {{{{}, {1}, {}}}};
    plan.ops[dot] = {{{1}, {}, {}}};
    plan.operands[dot] = {Spec{{{1}, {}, {}}}, std::nullopt};
    const int64_t n = mesh[1];
    EXPECT_THAT(Inserted(step, plan),
                ElementsAre(plan::CollectiveTotal{kAllToAll, {1}, 2, Bytes(6 * 12 * 4 * 4 / n + 6 * 12 * 8 * 4 / n)}));
  }
}

// ---------------------------------------------------------------- what costs nothing, what is shared

TEST(Annotate, ConstantsAndMasksAreMadeWhereTheyAreNeeded) {
  const ImportedStep step = Get(TheEngine().Import(
      R"(module { func.func public @main(%x: tensor<12x12xf32>) -> (tensor<12x12xf32>, tensor<12x12xf32>) {
  %i = stablehlo.iota dim = 0 : tensor<12x12xi32>
  %j = stablehlo.iota dim = 1 : tensor<12x12xi32>
  %m = stablehlo.compare GE, %i, %j : (tensor<12x12xi32>, tensor<12x12xi32>) -> tensor<12x12xi1>
  %z = stablehlo.constant dense<0.0> : tensor<12x12xf32>
  %a = stablehlo.select %m, %x, %z : tensor<12x12xi1>, tensor<12x12xf32>
  %b = stablehlo.select %m, %z, %x : tensor<12x12xi1>, tensor<12x12xf32>
  return %a, %b : tensor<12x12xf32>, tensor<12x12xf32> } })",
      {"mask.mlir"}));
  const auto selects = NamesOf(step, ir::OpKind::kSelect);
  plan::Plan plan = PlanFor(step, {2, 3});
  const Spec rows{{{0}, {}}};
  const Spec columns{{{}, {1}}};
  plan.outputs = {rows, columns};
  plan.ops = {{selects[0], rows}, {selects[1], columns}};
  plan.operands = {{selects[0], {rows, rows, rows}}, {selects[1], {columns, columns, columns}}};
  EXPECT_THAT(Inserted(step, plan), IsEmpty());
}

TEST(Annotate, UsersOfOneLayoutShareTheWayThere) {
  const ImportedStep step = Get(TheEngine().Import(
      R"(module { func.func public @main(%x: tensor<12x6xf32>) -> (tensor<12x6xf32>, tensor<12x6xf32>) {
  %a = stablehlo.negate %x : tensor<12x6xf32>
  %b = stablehlo.sign %x : tensor<12x6xf32>
  return %a, %b : tensor<12x6xf32>, tensor<12x6xf32> } })",
      {"users.mlir"}));
  plan::Plan plan = PlanFor(step, {2, 3});
  plan.inputs = {{{{0}, {}}}};
  for (const ir::OpKind kind : {ir::OpKind::kNegate, ir::OpKind::kSign}) {
    const std::string name = NamesOf(step, kind)[0];
    plan.ops[name] = {};
    plan.operands[name] = {Spec{}};
  }
  EXPECT_THAT(Inserted(step, plan), ElementsAre(plan::CollectiveTotal{kAllGather, {0}, 1, Bytes(12 * 6 * 4)}));
}

// Loops stay whole computations of their own: their bodies follow by propagation.
TEST(Partition, LoopsAndOpsWithSeveralResults) {
  const ImportedStep step = Get(TheEngine().Import(
      R"(module { func.func public @main(%x: tensor<12x6xf32>, %n: tensor<i32>) -> (tensor<12x6xf32>, tensor<i32>) {
  %r:2 = stablehlo.while(%i = %n, %v = %x) : tensor<i32>, tensor<12x6xf32>
    cond { %c = stablehlo.constant dense<3> : tensor<i32>
           %p = stablehlo.compare LT, %i, %c : (tensor<i32>, tensor<i32>) -> tensor<i1>
           stablehlo.return %p : tensor<i1> }
    do { %one = stablehlo.constant dense<1> : tensor<i32>
         %k = stablehlo.add %i, %one : tensor<i32>
         %w = stablehlo.add %v, %v : tensor<12x6xf32>
         stablehlo.return %k, %w : tensor<i32>, tensor<12x6xf32> }
  return %r#1, %r#0 : tensor<12x6xf32>, tensor<i32> } })",
      {"loop.mlir"}));
  auto client = Get(TheEngine().CreateCpuClient(4));
  plan::Plan plan = PlanFor(step, {2, 2});
  plan.inputs[0] = plan.outputs[0] = {{{0}, {1}}};
  const std::string loop = NamesOf(step, ir::OpKind::kWhile)[0];
  plan.ops[loop + "#0"] = {};
  plan.ops[loop + "#1"] = {{{0}, {1}}};
  auto executable = Get(client->Compile(step, plan, {}));
  EXPECT_THAT(executable->stats().collectives, IsEmpty());
  ir::HostTensor n(ir::Shape{ir::DType::kS32, {}});
  auto x = Get(client->Put(Numbers(step.module.shape(step.module.inputs[0]), 1), plan.inputs[0], plan.mesh));
  auto start = Get(client->Put(n, plan.inputs[1], plan.mesh));
  auto out = Get(executable->Run({x.get(), start.get()}));
  ir::HostTensor expected = Numbers(step.module.shape(step.module.inputs[0]), 1);
  for (float& v : expected.as<float>()) v *= 8;
  EXPECT_EQ(Get(out[0]->ToHost()), expected);
}

// Counting needs no devices, so it works for meshes larger than this machine.
TEST(CountCollectives, WorksWithoutDevices) {
  const ImportedStep step = Get(TheEngine().Import(kMlp, {"mlp.mlir"}));
  plan::Plan plan = PlanFor(step, {4, 8});
  plan.inputs = {{{{0}, {}}}, {{{}, {1}}}, {{{1}, {}}}};
  plan.outputs = {{{{0}, {}}}};
  const auto dots = NamesOf(step, ir::OpKind::kDot);
  plan.ops = {{dots[0], {{{0}, {1}}}}, {NamesOf(step, ir::OpKind::kMaximum)[0], {{{0}, {1}}}}, {dots[1], {{{0}, {}}}}};
  EXPECT_THAT(Get(TheEngine().CountCollectives(step, plan)),
              ElementsAre(plan::CollectiveTotal{kAllReduce, {1}, 1, Bytes(3 * 16 * 4)}));
  plan.model_fingerprint ^= 1;
  EXPECT_EQ(TheEngine().CountCollectives(step, plan).error().code, Code::kMismatch);
}

}  // namespace
}  // namespace alpa::xla
