// Whether XLA's SPMD partitioner communicates as the strategies say: each op is compiled for a mesh with operands and
// result laid out as one strategy wants them, and its collectives are counted.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ostream>
#include <random>
#include <set>

#include "alpa/sharding/reshard.h"
#include "alpa/sharding/rule.h"
#include "alpa/sharding/strategy.h"
#include "alpa/xla/engine_test_support.h"
#include "sharding/cases.h"
#include "sharding/hlo_text.h"

namespace alpa::test {
namespace {

// Collectives of the program that runs, in the order of CollectiveKind.
std::vector<int> CountsByKind(const xla::ExecutableStats& stats) {
  std::vector<int> counts(5, 0);
  for (const plan::CollectiveTotal& total : stats.executed)
    counts[static_cast<size_t>(total.kind)] += static_cast<int>(total.count);
  return counts;
}

using cluster::MakeMesh;
using cluster::Mesh;
using ir::HostTensor;
using sharding::Rule;
using sharding::RuleOf;
using sharding::Strategy;
using xla::Get;

struct Count {
  int all_reduces = 0, permutes = 0, others = 0;
  bool operator==(const Count&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Count& c) {
  return out << c.all_reduces << " all-reduces, " << c.permutes << " permutes, " << c.others << " others";
}

// What the strategy claims: an exchange per halo, and for partial results one all-reduce each. Where several contracted
// factors are split GSPMD joins over one factor's axes after the other's; the engine makes one all-reduce of those.
Count Claimed(const Strategy& s, const Rule& rule) {
  const bool partial = std::any_of(s.factor_of_axis.begin(), s.factor_of_axis.end(), [&](int f) {
    return f >= 0 && rule.factors[static_cast<size_t>(f)].kind == sharding::FactorKind::kContracted;
  });
  return {partial ? static_cast<int>(s.results.size()) : 0, static_cast<int>(s.halo.size()), 0};
}

xla::ImportedStep Import(const OpCase& c) {
  HloText text;
  std::vector<ir::Shape> operands;
  std::vector<ir::Shape> results;
  for (const ir::ValueId v : c.op().operands) operands.push_back(c.module.shape(v));
  for (const ir::ValueId v : c.op().results) results.push_back(c.module.shape(v));
  text.Add(c.op(), operands, results);
  // A second op, so that the step returns a tuple of its own and not that of an op with several results.
  ir::Op second;
  second.kind = ir::OpKind::kNegate;
  text.Add(second, {{ir::DType::kF32, {}}}, {{ir::DType::kF32, {}}});
  return Get(xla::TheEngine().Import(text.Module(), {.source = "op.hlo"}));
}

// The plan that gives the op of `c` its operands and lays its results as said.
plan::Plan PlanOf(const xla::ImportedStep& step, const OpCase& c, const std::vector<sharding::Spec>& operands,
                  const std::vector<sharding::Spec>& results, const Mesh& mesh) {
  plan::Plan plan;
  plan.model_fingerprint = Fingerprint(step.module);
  plan.mesh = mesh;
  plan.inputs = operands;
  plan.inputs.emplace_back();
  plan.outputs = results;
  plan.outputs.emplace_back();
  for (const ir::Op& op : step.module.ops) {
    if (op.kind == c.op().kind && op.results.size() == 1) plan.ops[op.name] = results[0];
  }
  return plan;
}

Count Compiled(xla::Client& client, const xla::ImportedStep& step, const OpCase& c, const Strategy& s,
               const Mesh& mesh) {
  std::vector<sharding::Spec> results;
  for (const auto& layout : s.results) results.push_back(layout.spec);
  const auto executable = Get(client.Compile(step, PlanOf(step, c, s.operands, results, mesh), {}));
  const std::vector<int> counts = CountsByKind(executable->stats());
  const auto count = [&](sharding::CollectiveKind kind) { return counts[static_cast<size_t>(kind)]; };
  using enum sharding::CollectiveKind;
  return {count(kAllReduce), count(kCollectivePermute), count(kAllGather) + count(kReduceScatter) + count(kAllToAll)};
}

// x and y are alike: of two strategies that differ by swapping them one is enough.
bool IsFirstOfTwins(const Strategy& s) { return s.factor_of_axis[0] >= s.factor_of_axis[1]; }

void CheckAll(const std::vector<OpCase>& cases) {
  const Mesh mesh = MakeMesh({2, 2});
  static auto* client = Get(xla::TheEngine().CreateCpuClient(4)).release();
  for (const OpCase& c : cases) {
    const Rule rule = RuleOf(c.module, c.op());
    const xla::ImportedStep step = Import(c);
    for (const Strategy& s : Strategies(rule, c.module, c.op(), mesh)) {
      if (s.parallelism == 1 || !IsFirstOfTwins(s)) continue;
      const Count claimed = Claimed(s, rule);
      const Count compiled = Compiled(*client, step, c, s, mesh);
      EXPECT_EQ(claimed, compiled) << c.name << ", " << ToString(rule) << ", " << Describe(s, rule, mesh);
    }
  }
}

TEST(Gspmd, CommunicatesAsRulesOfContractionSay) {
  CheckAll(DotCases());
  CheckAll(ReduceCases());
}
TEST(Gspmd, CommunicatesAsRulesOfMovementSay) {
  CheckAll(MovementCases());
  CheckAll(ReshapeCases());
}
TEST(Gspmd, CommunicatesAsRulesOfIndexedOpsSay) {
  CheckAll(GatherCases());
  CheckAll(ScatterCases());
}
TEST(Gspmd, CommunicatesAsRulesOfConvolutionSay) {
  CheckAll(ConvolutionCases());
  CheckAll(ConvolutionGradientCases());
  CheckAll(GroupedConvolutionCases());
}
TEST(Gspmd, CommunicatesAsRulesOfWindowsSay) { CheckAll(WindowCases()); }
TEST(Gspmd, CommunicatesAsRulesOfOtherOpsSay) { CheckAll(OtherCases()); }

// A matrix product whose contracted dimension is split, with a result that is wanted split too: a reduce-scatter.
TEST(Gspmd, ScattersPartialResults) {
  const Mesh mesh = MakeMesh({2});
  const OpCase c = DotCases()[0];
  const xla::ImportedStep step = Import(c);
  const auto client = Get(xla::TheEngine().CreateCpuClient(2));
  Strategy s;
  s.operands = {sharding::SplitDim(2, 1, 0), sharding::SplitDim(2, 0, 0)};
  s.results = {{sharding::SplitDim(2, 0, 0), {}}};
  EXPECT_EQ(Compiled(*client, step, c, s, mesh), (Count{0, 0, 1}));
}

// The results of the op when its operands and results lie as `plan` says.
std::vector<HostTensor> Computed(xla::Client& client, const xla::ImportedStep& step, const OpCase& c,
                                 const plan::Plan& plan) {
  const auto executable = Get(client.Compile(step, plan, {}));
  std::vector<std::unique_ptr<xla::Array>> arrays;
  std::vector<xla::Array*> arguments;
  std::vector<HostTensor> operands = c.operands;
  operands.emplace_back(ir::Shape{ir::DType::kF32, {}});
  for (size_t k = 0; k < operands.size(); ++k) {
    arrays.push_back(Get(client.Put(operands[k], plan.inputs[k], plan.mesh)));
    arguments.push_back(arrays.back().get());
  }
  std::vector<HostTensor> out;
  for (const auto& result : Get(executable->Run(arguments))) out.push_back(Get(result->ToHost()));
  out.pop_back();
  return out;
}

// The partitioner has ways of its own for convolutions, of which not all are right: what comes out is checked.
void ComputeAll(const std::vector<OpCase>& cases) {
  static auto* client = Get(xla::TheEngine().CreateCpuClient(6)).release();
  for (const OpCase& c : cases) {
    const Rule rule = RuleOf(c.module, c.op());
    const xla::ImportedStep step = Import(c);
    const HostTensor expected = Computed(*client, step, c, plan::Replicated(step.module, MakeMesh({1})))[0];
    const Mesh mesh = MakeMesh({2, 3});
    for (const Strategy& s : Strategies(rule, c.module, c.op(), mesh)) {
      const plan::Plan plan = PlanOf(step, c, s.operands, {s.results[0].spec}, mesh);
      EXPECT_LT(LargestDifference(Computed(*client, step, c, plan)[0], expected), 1e-5)
          << c.name << ", " << ToString(rule) << ", " << Describe(s, rule, mesh);
    }
  }
}

TEST(Gspmd, ComputesConvolutions) {
  ComputeAll(ConvolutionCases());
  ComputeAll(ConvolutionGradientCases());
  ComputeAll(GroupedConvolutionCases());
}

// Layouts that no strategy asks for come from plans written by hand.
void ComputeInAnyLayouts(const std::vector<OpCase>& cases, int count) {
  static auto* client = Get(xla::TheEngine().CreateCpuClient(6)).release();
  std::mt19937 dice(7);
  const Mesh mesh = MakeMesh({2, 3});
  for (const OpCase& c : cases) {
    const xla::ImportedStep step = Import(c);
    const HostTensor expected = Computed(*client, step, c, plan::Replicated(step.module, MakeMesh({1})))[0];
    for (int k = 0; k < count; ++k) {
      const auto any = [&](const ir::Shape& shape) {
        const auto specs = sharding::Specs(shape, mesh);
        return specs[dice() % specs.size()];
      };
      std::vector<sharding::Spec> operands;
      for (const ir::ValueId v : c.op().operands) operands.push_back(any(c.module.shape(v)));
      const sharding::Spec result = any(c.module.shape(c.op().results[0]));
      const plan::Plan plan = PlanOf(step, c, operands, {result}, mesh);
      std::string layouts;
      for (const auto& spec : operands) layouts += ToString(spec, mesh) + " ";
      EXPECT_LT(LargestDifference(Computed(*client, step, c, plan)[0], expected), 1e-5)
          << c.name << " of " << layouts << "to " << ToString(result, mesh);
    }
  }
}

TEST(Gspmd, ComputesConvolutionsInAnyLayouts) {
  const char* samples = std::getenv("ALPA_LAYOUTS");
  const int count = samples == nullptr ? 4 : std::stoi(samples);
  ComputeInAnyLayouts(ConvolutionCases(), count);
  ComputeInAnyLayouts(ConvolutionGradientCases(), count);
  ComputeInAnyLayouts(GroupedConvolutionCases(), count);
}

// Each step on the ways between all specs, as the layout of an op and then that of the step's output.
TEST(Gspmd, CarriesOutStepsOfResharding) {
  const ir::Shape shape{ir::DType::kF32, {24, 24}};
  HloText text;
  ir::Op negate;
  negate.kind = ir::OpKind::kNegate;
  text.Add(negate, {shape}, {shape});
  const auto step = Get(xla::TheEngine().Import(text.Module(), {.source = "op.hlo"}));
  const auto client = Get(xla::TheEngine().CreateCpuClient(6));
  for (const Mesh& mesh : {MakeMesh({2, 2}), MakeMesh({2, 3})}) {
    std::set<std::string> tried;
    const auto specs = sharding::Specs(shape, mesh);
    for (const auto& begin : specs) {
      for (const auto& end : specs) {
        sharding::Spec from = begin;
        for (const auto& reshard : sharding::Reshard({begin, {}}, end, shape, mesh)) {
          const std::string name = ToString(from, mesh) + " to " + ToString(reshard.spec, mesh);
          plan::Plan plan;
          plan.model_fingerprint = Fingerprint(step.module);
          plan.mesh = mesh;
          plan.inputs = {from};
          plan.outputs = {reshard.spec};
          plan.ops[step.module.ops[1].name] = from;
          from = reshard.spec;
          if (!tried.insert(name).second) continue;
          const auto executable = Get(client->Compile(step, plan, {}));
          const std::vector<int> compiled = CountsByKind(executable->stats());
          std::vector<int> claimed(compiled.size(), 0);
          for (const auto& c : reshard.collectives) ++claimed[static_cast<size_t>(c.kind)];
          EXPECT_EQ(compiled, claimed) << ToString(mesh) << " " << name;
        }
      }
    }
    EXPECT_GT(tried.size(), 25U);
  }
}

}  // namespace
}  // namespace alpa::test
