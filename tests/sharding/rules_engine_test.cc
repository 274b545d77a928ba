// Each rule against XLA: for every strategy of an op on several meshes, every device computes the op on its piece, the
// results are joined as the layout says, and the whole must be what the unsharded op gives.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "alpa/sharding/rule.h"
#include "alpa/sharding/strategy.h"
#include "alpa/xla/engine_test_support.h"
#include "sharding/cases.h"
#include "sharding/hlo_text.h"
#include "sharding/simulate.h"

namespace alpa::test {
namespace {

using cluster::MakeMesh;
using cluster::Mesh;
using ir::HostTensor;
using sharding::Rule;
using sharding::RuleOf;
using sharding::Strategy;
using xla::Get;

// ---------------------------------------------------------------- running

// Runs a module of one device, several times with other arguments; outputs run by run.
std::vector<std::vector<HostTensor>> RunAll(const std::string& text, const std::vector<std::vector<HostTensor>>& runs) {
  auto& engine = xla::TheEngine();
  static auto* client = Get(engine.CreateCpuClient(1)).release();
  const auto step = Get(engine.Import(text, {.source = "ops.hlo"}));
  const plan::Plan plan = plan::Replicated(step.module, MakeMesh({1}));
  const auto executable = Get(client->Compile(step, plan, {}));
  std::vector<std::vector<HostTensor>> out;
  for (const auto& arguments : runs) {
    std::vector<std::unique_ptr<xla::Array>> arrays;
    std::vector<xla::Array*> pointers;
    for (const HostTensor& t : arguments) {
      arrays.push_back(Get(client->Put(t, {}, plan.mesh)));
      pointers.push_back(arrays.back().get());
    }
    out.emplace_back();
    for (const auto& result : Get(executable->Run(pointers))) out.back().push_back(Get(result->ToHost()));
  }
  return out;
}

struct Tried {
  Mesh mesh;
  Strategy strategy;
  LocalOps local;
  size_t first_output = 0;  // in the results of a run
};

// Tries all cases, in one module; `least` strategies must have been tried, or a rule has become poorer.
void TryAll(const std::vector<OpCase>& cases, size_t least) {
  HloText text;
  std::vector<std::vector<HostTensor>> runs(6);  // by device; a smaller mesh repeats its first
  std::vector<std::vector<Tried>> tried(cases.size());
  size_t outputs = 0;
  size_t count = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    const OpCase& c = cases[i];
    const Rule rule = RuleOf(c.module, c.op());
    const Status valid = Verify(rule, c.module, c.op());
    ASSERT_TRUE(valid.ok()) << valid.error().message;
    for (const Mesh& mesh : {MakeMesh({2, 2}), MakeMesh({2, 3}), MakeMesh({4})}) {
      for (const Strategy& s : Strategies(rule, c.module, c.op(), mesh)) {
        if (!tried[i].empty() && s.parallelism == 1) continue;  // the replicated one, once
        Tried t{mesh, s, Localize(c, rule, s, mesh), outputs};
        text.Add(t.local.op, t.local.operand_shapes, t.local.result_shapes);
        for (size_t run = 0; run < runs.size(); ++run) {
          const auto& operands = t.local.operands[run < static_cast<size_t>(mesh.size()) ? run : 0];
          runs[run].insert(runs[run].end(), operands.begin(), operands.end());
        }
        outputs += s.results.size();
        ++count;
        tried[i].push_back(std::move(t));
      }
    }
  }
  EXPECT_GE(count, least);
  const auto results = RunAll(text.Module(), runs);
  for (size_t i = 0; i < cases.size(); ++i) {
    const OpCase& c = cases[i];
    double largest = 0;
    for (const Tried& t : tried[i]) {
      for (size_t r = 0; r < t.strategy.results.size(); ++r) {
        std::vector<HostTensor> pieces;
        for (int64_t d = 0; d < t.mesh.size(); ++d) {
          pieces.push_back(results[static_cast<size_t>(d)][t.first_output + r]);
          EXPECT_EQ(pieces.back().shape(), t.local.result_shapes[r]);
        }
        const HostTensor& expected = results[0][tried[i][0].first_output + r];  // the replicated strategy
        const double difference = LargestDifference(Join(c, r, t.strategy, t.mesh, pieces), expected);
        EXPECT_LT(difference, 1e-5) << c.name << " on " << ToString(t.mesh) << ": "
                                    << Describe(t.strategy, RuleOf(c.module, c.op()), t.mesh) << ", rule "
                                    << ToString(RuleOf(c.module, c.op()));
        largest = std::max(largest, difference);
      }
    }
    fmt::print("{:<28} {:>3} strategies, largest difference {:.1e}: {}\n", c.name, tried[i].size(), largest,
               ToString(RuleOf(c.module, c.op())));
  }
}

TEST(Rules, OfElementwiseOpsAgreeWithXla) { TryAll(ElementwiseCases(), 250); }
TEST(Rules, OfMovementAgreeWithXla) { TryAll(MovementCases(), 200); }
TEST(Rules, OfReshapeAgreeWithXla) { TryAll(ReshapeCases(), 80); }
TEST(Rules, OfDotAgreeWithXla) { TryAll(DotCases(), 150); }
TEST(Rules, OfReduceAgreeWithXla) { TryAll(ReduceCases(), 150); }
TEST(Rules, OfConvolutionAgreeWithXla) { TryAll(ConvolutionCases(), 320); }
TEST(Rules, OfConvolutionGradientsAgreeWithXla) { TryAll(ConvolutionGradientCases(), 250); }
TEST(Rules, OfGroupedConvolutionAgreeWithXla) { TryAll(GroupedConvolutionCases(), 60); }
TEST(Rules, OfWindowsAgreeWithXla) { TryAll(WindowCases(), 130); }
TEST(Rules, OfGatherAgreeWithXla) { TryAll(GatherCases(), 150); }
TEST(Rules, OfScatterAgreeWithXla) { TryAll(ScatterCases(), 130); }
TEST(Rules, OfOtherOpsAgreeWithXla) { TryAll(OtherCases(), 50); }

}  // namespace
}  // namespace alpa::test
