// One mesh across processes gives the numbers of one process: each process runs these tests (mpirun -n 2 ...), with 4
// devices in all. Exit status 77: not started by mpirun.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <sstream>

#include "alpa/process/agree.h"
#include "alpa/process/open_world.h"
#include "alpa/xla/engine_test_support.h"

namespace alpa::xla {
namespace {

constexpr int64_t kDevices = 4;
process::Group* world = nullptr;

int64_t LocalDevices() { return kDevices / world->size(); }

std::unique_ptr<Client> across, alone;

Client& Across() {
  if (across == nullptr) {
    across = Get(TheEngine().CreateCpuClient(LocalDevices(), process::Duplicate(*world, "mesh")));
  }
  return *across;
}
Client& Alone() {
  if (alone == nullptr) alone = Get(TheEngine().CreateCpuClient(kDevices));
  return *alone;
}

ir::HostTensor Numbers(const ir::Shape& shape) {
  ir::HostTensor t(shape);
  for (int64_t i = 0; i < shape.elements(); ++i) t.as<float>()[static_cast<size_t>(i)] = static_cast<float>(i % 7) - 2;
  return t;
}

plan::Plan MakePlan(const ImportedStep& step, const cluster::Mesh& mesh, std::vector<sharding::Spec> inputs,
                    std::vector<sharding::Spec> outputs) {
  plan::Plan plan;
  plan.model_fingerprint = ir::Fingerprint(step.module);
  plan.mesh = mesh;
  plan.inputs = std::move(inputs);
  plan.outputs = std::move(outputs);
  return plan;
}

struct Outcome {
  std::vector<ir::HostTensor> outputs;
  std::vector<std::vector<ir::HostTensor>> shards;  // of this process, by output
  std::vector<plan::CollectiveTotal> collectives;
};

Outcome Execute(Client& client, const ImportedStep& step, const plan::Plan& plan) {
  auto executable = Get(client.Compile(step, plan, {}));
  std::vector<std::unique_ptr<Array>> inputs;
  std::vector<Array*> arguments;
  for (size_t i = 0; i < plan.inputs.size(); ++i) {
    inputs.push_back(Get(client.Put(Numbers(step.module.shape(step.module.inputs[i])), plan.inputs[i], plan.mesh)));
    arguments.push_back(inputs.back().get());
  }
  Outcome out;
  out.collectives = executable->stats().collectives;
  for (auto& array : Get(executable->Run(arguments))) {
    out.outputs.push_back(Get(array->ToHost()));
    out.shards.push_back(Get(array->ShardsToHost()));
  }
  return out;
}

// Runs it on all processes and on this one alone.
void ExpectSame(const ImportedStep& step, const plan::Plan& plan, sharding::CollectiveKind expected) {
  const Outcome many = Execute(Across(), step, plan);
  const Outcome one = Execute(Alone(), step, plan);
  EXPECT_TRUE(
      std::any_of(many.collectives.begin(), many.collectives.end(), [&](const auto& c) { return c.kind == expected; }))
      << "only " << Describe(many.collectives, plan.mesh);
  const auto first = static_cast<size_t>(Across().first_local_device());
  for (size_t o = 0; o < many.outputs.size(); ++o) {
    EXPECT_EQ(many.outputs[o], one.outputs[o]) << "output " << o;
    ASSERT_EQ(many.shards[o].size(), static_cast<size_t>(LocalDevices()));
    for (size_t d = 0; d < many.shards[o].size(); ++d) {
      EXPECT_EQ(many.shards[o][d], one.shards[o][first + d]) << "output " << o << ", device " << first + d;
    }
  }
}

struct Element {
  const char* name;     // in StableHLO
  const char* convert;  // %v: tensor<8x4xTYPE> of %x: tensor<8x4xf32>
};

std::string Module(const Element& type, const std::string& result, const std::string& body) {
  const std::string t = type.name;
  return "module { func.func public @main(%x: tensor<8x4xf32>) -> tensor<" + result + "x" + t + "> {\n" + type.convert +
         "\n" + body + " } }";
}

std::string ReduceModule(const Element& type, const std::string& op, const std::string& zero) {
  const std::string t = type.name;
  return Module(type, "4",
                "%zero = stablehlo.constant dense<" + zero + "> : tensor<" + t + ">\n" +
                    "%r = stablehlo.reduce(%v init: %zero) applies stablehlo." + op +
                    " across dimensions = [0] : (tensor<8x4x" + t + ">, tensor<" + t + ">) -> tensor<4x" + t +
                    ">\nreturn %r : tensor<4x" + t + ">");
}

#define ALPA_CONVERT(T) \
  Element { T, "%v = stablehlo.convert %x : (tensor<8x4xf32>) -> tensor<8x4x" T ">" }
const std::vector<Element> kReals = {ALPA_CONVERT("f32"), ALPA_CONVERT("f64"), ALPA_CONVERT("bf16"),
                                     ALPA_CONVERT("f16"), ALPA_CONVERT("i8"),  ALPA_CONVERT("i16"),
                                     ALPA_CONVERT("i32"), ALPA_CONVERT("i64")};
// Of the absolute value: what a negative number is as an unsigned one is not said.
#define ALPA_UNSIGNED(T)                                                                                             \
  Element {                                                                                                          \
    T, "%a = stablehlo.abs %x : tensor<8x4xf32>\n%v = stablehlo.convert %a : (tensor<8x4xf32>) -> tensor<8x4x" T ">" \
  }
const std::vector<Element> kUnsigned = {ALPA_UNSIGNED("ui8"), ALPA_UNSIGNED("ui16"), ALPA_UNSIGNED("ui32"),
                                        ALPA_UNSIGNED("ui64")};
const Element kPred = ALPA_CONVERT("i1");
const std::vector<Element> kComplex = {
    {"complex<f32>", "%v = stablehlo.complex %x, %x : tensor<8x4xcomplex<f32>>"},
    {"complex<f64>",
     "%d = stablehlo.convert %x : (tensor<8x4xf32>) -> tensor<8x4xf64>\n%v = stablehlo.complex %d, %d : "
     "tensor<8x4xcomplex<f64>>"}};

// Plus or minus 1 + 2i, whose powers have no zeros in them: the sign of a zero depends on the order of the products.
const std::vector<Element> kComplexWithoutZeros = {
    {"complex<f32>",
     "%h = stablehlo.constant dense<0.5> : tensor<8x4xf32>\n%b = stablehlo.add %x, %h : tensor<8x4xf32>\n"
     "%s = stablehlo.sign %b : tensor<8x4xf32>\n%t = stablehlo.add %s, %s : tensor<8x4xf32>\n"
     "%v = stablehlo.complex %s, %t : tensor<8x4xcomplex<f32>>"},
    {"complex<f64>",
     "%h = stablehlo.constant dense<0.5> : tensor<8x4xf32>\n%b = stablehlo.add %x, %h : tensor<8x4xf32>\n"
     "%s = stablehlo.sign %b : tensor<8x4xf32>\n%d = stablehlo.convert %s : (tensor<8x4xf32>) -> tensor<8x4xf64>\n"
     "%t = stablehlo.add %d, %d : tensor<8x4xf64>\n%v = stablehlo.complex %d, %t : tensor<8x4xcomplex<f64>>"}};

std::vector<Element> All() {
  std::vector<Element> out = kReals;
  out.insert(out.end(), kUnsigned.begin(), kUnsigned.end());
  out.push_back(kPred);
  out.insert(out.end(), kComplex.begin(), kComplex.end());
  return out;
}

const std::vector<cluster::Mesh>& Meshes() {
  static const std::vector<cluster::Mesh> kMeshes = {cluster::MakeMesh({4}), cluster::MakeMesh({2, 2})};
  return kMeshes;
}

sharding::Spec Over(std::vector<std::vector<int>> axes) { return sharding::Spec{std::move(axes)}; }

// The rows of [8, 4] are split over all devices, so the sum over rows is an all-reduce.
void AllReduces(const Element& type, const std::string& op, const std::string& zero) {
  SCOPED_TRACE(std::string(op) + " of " + type.name);
  const ImportedStep step = Get(TheEngine().Import(ReduceModule(type, op, zero), {"reduce.mlir"}));
  ExpectSame(step, MakePlan(step, Meshes()[0], {Over({{0}, {}})}, {Over({{}})}), sharding::CollectiveKind::kAllReduce);
}

TEST(AcrossProcesses, SumsOfEveryType) {
  for (const Element& type : kReals) AllReduces(type, "add", type.name[0] == 'i' ? "0" : "0.0");
  for (const Element& type : kUnsigned) AllReduces(type, "add", "0");
  for (const Element& type : kComplex) AllReduces(type, "add", "(0.0, 0.0)");
}

TEST(AcrossProcesses, ProductsMinimaAndMaximaOfEveryType) {
  for (const std::vector<Element>& types : {kReals, kUnsigned}) {
    for (const Element& type : types) {
      const bool integer = type.name[0] == 'i' || type.name[0] == 'u';
      AllReduces(type, "multiply", integer ? "1" : "1.0");
      AllReduces(type, "maximum", integer ? "0" : "0.0");
      AllReduces(type, "minimum", integer ? "3" : "3.0");
    }
  }
  for (const Element& type : kComplexWithoutZeros) AllReduces(type, "multiply", "(1.0, 0.0)");
}

TEST(AcrossProcesses, AndAndOrOfPred) {
  AllReduces(kPred, "or", "false");
  AllReduces(kPred, "and", "true");
}

// Of [8, 4] by rows and columns over the axes of 2x2: sums along either axis, within and between processes.
TEST(AcrossProcesses, SumsAlongOneAxis) {
  const ImportedStep step = Get(TheEngine().Import(ReduceModule(kReals[0], "add", "0.0"), {"reduce.mlir"}));
  for (const int axis : {0, 1}) {
    ExpectSame(step, MakePlan(step, Meshes()[1], {Over({{axis}, {1 - axis}})}, {Over({{1 - axis}})}),
               sharding::CollectiveKind::kAllReduce);
  }
}

TEST(AcrossProcesses, ReduceScattersEveryType) {
  for (const Element& type : All()) {
    SCOPED_TRACE(type.name);
    if (std::string(type.name) == "i1") continue;  // XLA makes an all-reduce of "or"
    const bool complex = type.name[0] == 'c';
    const bool integer = type.name[0] == 'i' || type.name[0] == 'u';
    const std::string zero = complex ? "(0.0, 0.0)" : integer ? "0" : "0.0";
    const ImportedStep step = Get(TheEngine().Import(ReduceModule(type, "add", zero), {"reduce.mlir"}));
    ExpectSame(step, MakePlan(step, Meshes()[0], {Over({{0}, {}})}, {Over({{0}})}),
               sharding::CollectiveKind::kReduceScatter);
  }
}

void Reshards(const sharding::Spec& from, const sharding::Spec& to, const cluster::Mesh& mesh,
              sharding::CollectiveKind kind) {
  for (const Element& type : All()) {
    SCOPED_TRACE(type.name);
    const std::string t = type.name;
    const ImportedStep step =
        Get(TheEngine().Import(Module(type, "8x4", "return %v : tensor<8x4x" + t + ">"), {"reshard.mlir"}));
    ExpectSame(step, MakePlan(step, mesh, {from}, {to}), kind);
  }
}

TEST(AcrossProcesses, AllGathersEveryType) {
  Reshards(Over({{0}, {}}), Over({{}, {}}), Meshes()[0], sharding::CollectiveKind::kAllGather);
  Reshards(Over({{0}, {1}}), Over({{}, {1}}), Meshes()[1], sharding::CollectiveKind::kAllGather);
}
TEST(AcrossProcesses, AllToAllsEveryType) {
  Reshards(Over({{0}, {}}), Over({{}, {0}}), Meshes()[0], sharding::CollectiveKind::kAllToAll);
}
TEST(AcrossProcesses, PermutesEveryType) {
  Reshards(Over({{0, 1}, {}}), Over({{1, 0}, {}}), Meshes()[1], sharding::CollectiveKind::kCollectivePermute);
}

TEST(AcrossProcesses, EachBlockHasOneOwner) {
  const ir::HostTensor numbers = Numbers({ir::DType::kF32, {8, 4}});
  for (const sharding::Spec& spec : {Over({{}, {}}), Over({{0}, {}}), Over({{1}, {}}), Over({{1}, {0}})}) {
    const auto array = Get(Across().Put(numbers, spec, Meshes()[1]));
    std::vector<std::string> all;
    for (size_t number = 0; number < 4; ++number) {
      std::string mine;
      for (const ArrayBlock& b : Get(array->OwnBlocksToHost(number))) {
        EXPECT_EQ(b.value, ir::SliceBlock(numbers, b.block.start, b.block.extent));
        mine += fmt::format("{} ", fmt::join(b.block.start, " ")) + fmt::format("{}\n", fmt::join(b.block.extent, " "));
      }
      std::vector<sharding::Block> blocks;
      for (const std::string& one : Get(process::GatherTexts(*world, mine))) {
        std::istringstream text(one);
        for (sharding::Block b{{0, 0}, {0, 0}}; text >> b.start[0] >> b.start[1] >> b.extent[0] >> b.extent[1];) {
          blocks.push_back(b);
        }
        all.push_back(one);
      }
      const Status covers = sharding::CheckCovers(blocks, numbers.shape());
      EXPECT_TRUE(covers.ok()) << covers.error().message;
    }
    // Of copies, each process has a turn.
    if (spec.replicated()) {
      for (int r = 0; r < world->size(); ++r) {
        bool wrote = false;
        for (size_t i = static_cast<size_t>(r); i < all.size(); i += static_cast<size_t>(world->size())) {
          wrote = wrote || !all[i].empty();
        }
        EXPECT_TRUE(wrote) << "process " << r;
      }
    }
  }
}

// A small network: contractions over split dimensions, layouts that change on the way; run 30 times without waiting.
TEST(AcrossProcesses, KeepsTheOrderOfManyLaunches) {
  const ImportedStep step = Get(TheEngine().Import(R"(module {
    func.func public @main(%w: tensor<8x8xf32>, %x: tensor<8x8xf32>) -> (tensor<8x8xf32>, tensor<8x8xf32>) {
      %h = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
      %t = stablehlo.tanh %h : tensor<8x8xf32>
      %g = stablehlo.dot_general %t, %x, contracting_dims = [0] x [0] : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
      %n = stablehlo.subtract %w, %g : tensor<8x8xf32>
      return %n, %t : tensor<8x8xf32>, tensor<8x8xf32>
    } })",
                                                   {"net.mlir"}));
  const plan::Plan plan =
      MakePlan(step, Meshes()[1], {Over({{1}, {}}), Over({{0}, {1}})}, {Over({{1}, {}}), Over({{0}, {}})});
  const auto train = [&](Client& client) {
    auto executable = Get(client.Compile(step, plan, {{{0, 0}}}));
    auto w = Get(client.Put(Numbers(step.module.shape(step.module.inputs[0])), plan.inputs[0], plan.mesh));
    const auto x = Get(client.Put(Numbers(step.module.shape(step.module.inputs[1])), plan.inputs[1], plan.mesh));
    for (int i = 0; i < 30; ++i) {
      auto out = Get(executable->Run({w.get(), x.get()}));
      w = std::move(out[0]);
    }
    return Get(w->ToHost());
  };
  const ir::HostTensor many = train(Across());
  const ir::HostTensor one = train(Alone());
  double worst = 0;
  for (int64_t i = 0; i < 64; ++i) {
    worst = std::max(worst, std::abs(ir::ElementAsDouble(many, i) - ir::ElementAsDouble(one, i)));
  }
  EXPECT_LE(worst, 1e-4) << "largest difference";
}

// Two meshes that both span all processes, launched in another order by every second process.
TEST(AcrossProcesses, TwoMeshesDoNotWaitForEachOthersLaunches) {
  const ImportedStep step = Get(TheEngine().Import(ReduceModule(kReals[0], "add", "0.0"), {"reduce.mlir"}));
  const plan::Plan plan = MakePlan(step, Meshes()[0], {Over({{0}, {}})}, {Over({{}})});
  const std::unique_ptr<Client> clients[] = {
      // NOLINT(modernize-avoid-c-arrays)
      Get(TheEngine().CreateCpuClient(LocalDevices(), process::Duplicate(*world, "first"))),
      Get(TheEngine().CreateCpuClient(LocalDevices(), process::Duplicate(*world, "second")))};
  std::vector<std::unique_ptr<Executable>> executables;
  std::vector<std::unique_ptr<Array>> inputs;
  for (const auto& client : clients) {
    executables.push_back(Get(client->Compile(step, plan, {})));
    inputs.push_back(Get(client->Put(Numbers(step.module.shape(step.module.inputs[0])), plan.inputs[0], plan.mesh)));
  }
  for (int round = 0; round < 50; ++round) {
    std::vector<std::unique_ptr<Array>> outputs[2];  // NOLINT(modernize-avoid-c-arrays)
    for (int i = 0; i < 2; ++i) {
      const auto mesh = static_cast<size_t>((i + world->rank()) % 2);
      outputs[mesh] = Get(executables[mesh]->Run({inputs[mesh].get()}));
    }
    for (auto& out : outputs) {
      // Column 0 of the numbers -2 .. 4, again and again: -2, 2, -1, 3, 0, 4, 1, -2.
      EXPECT_EQ(Get(out[0]->ToHost()).as<float>()[0], 5.0F);
    }
  }
}

TEST(AcrossProcesses, RefusesAMeshThatIsNotAllDevices) {
  const ImportedStep step = Get(TheEngine().Import(ReduceModule(kReals[0], "add", "0.0"), {"reduce.mlir"}));
  const auto refused =
      Across().Compile(step, MakePlan(step, cluster::MakeMesh({2}), {Over({{0}, {}})}, {Over({{}})}), {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  const auto pieces = Across().CompileMicrobatched(step, {2, {}, false}, {});
  ASSERT_FALSE(pieces.ok());
  EXPECT_EQ(pieces.error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace alpa::xla

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  auto opened = alpa::process::OpenWorld();
  if (!opened.ok()) {
    std::fprintf(stderr, "%s\n", alpa::ToString(opened.error()).c_str());
    return 2;
  }
  if (*opened == nullptr) return 77;
  alpa::xla::world = opened->get();
  const int status = RUN_ALL_TESTS();
  alpa::xla::across = nullptr;  // before the group that it uses
  return status;
}
