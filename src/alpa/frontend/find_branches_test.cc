#include "alpa/frontend/find_branches.h"

#include <gtest/gtest.h>

#include "alpa/frontend/step_test_support.h"

namespace alpa::frontend {
namespace {

using ir::DType;
using ir::GraphBuilder;
using ir::ValueId;

// `count` products of 256 FLOPs behind each other.
ValueId Tower(GraphBuilder& g, ValueId x, int count) {
  for (int k = 0; k < count; ++k) x = g.MatMul(x, g.Parameter({DType::kF32, {4, 4}}, "w"));
  return x;
}
ValueId Input(GraphBuilder& g) { return g.Parameter({DType::kF32, {8, 4}}, "batch['x']"); }

// "3 (4 | 2) 1": products in each part.
std::string Text(const ForwardGraph& graph, const std::vector<ForwardPart>& parts) {
  std::string out;
  for (const ForwardPart& part : parts) {
    if (!out.empty()) out += " ";
    if (part.branches.empty()) {
      out += std::to_string(std::count_if(part.ops.begin(), part.ops.end(),
                                          [&](ir::OpId op) { return graph.work[static_cast<size_t>(op)] > 0; }));
      continue;
    }
    out += "(";
    for (size_t b = 0; b < part.branches.size(); ++b) out += (b > 0 ? " | " : "") + Text(graph, part.branches[b]);
    out += ")";
  }
  return out;
}

std::string Branches(GraphBuilder& g, ValueId end, double least_work = 300) {
  const TestStep step = AnalyzedStep(g.Build({g.Reduce(end, {0, 1})}));
  const ForwardGraph graph = MakeForwardGraph(step.module, step.analysis);
  return Text(graph, FindBranches(step.module, graph, graph.order, least_work));
}

TEST(FindBranches, TowersFromTheInputs) {
  GraphBuilder g;
  const ValueId a = Tower(g, Input(g), 2);
  const ValueId b = Tower(g, Input(g), 3);
  EXPECT_EQ(Branches(g, g.Add(a, b)), "(3 | 2) 0");
}

TEST(FindBranches, BranchesBetweenTwoOps) {
  GraphBuilder g;
  const ValueId x = Tower(g, Input(g), 3);
  const ValueId y = g.Add(Tower(g, x, 2), Tower(g, x, 4));
  EXPECT_EQ(Branches(g, Tower(g, y, 1)), "3 (4 | 2) 1");
}

TEST(FindBranches, OneBehindTheOtherAndOneInsideTheOther) {
  GraphBuilder g;
  ValueId x = Tower(g, Input(g), 1);
  x = g.Add(Tower(g, x, 2), Tower(g, x, 2));
  x = Tower(g, x, 1);
  const ValueId inner = g.Add(Tower(g, Tower(g, x, 1), 2), Tower(g, Tower(g, x, 1), 3));
  EXPECT_EQ(Branches(g, inner), "1 (2 | 2) 1 (4 | 3) 0");

  GraphBuilder n;
  const ValueId start = Tower(n, Input(n), 1);
  const ValueId fork = Tower(n, start, 1);
  const ValueId both = Tower(n, n.Add(Tower(n, fork, 2), Tower(n, fork, 2)), 1);
  EXPECT_EQ(Branches(n, n.Add(both, Tower(n, start, 2))), "1 (1 (2 | 2) 1 | 2) 0");
}

TEST(FindBranches, NotSkipConnectionsNorShortcuts) {
  GraphBuilder g;
  ValueId x = Tower(g, Input(g), 1);
  x = g.Add(x, Tower(g, x, 3));
  EXPECT_EQ(Branches(g, x), "4");
  GraphBuilder h;
  x = Tower(h, Input(h), 1);
  x = h.Add(Tower(h, x, 1), Tower(h, x, 3));
  EXPECT_EQ(Branches(h, x), "5") << "one product is no branch";
}

TEST(FindBranches, NotWhatHasTooLittleWork) {
  GraphBuilder g;
  const ValueId x = Tower(g, Input(g), 1);
  EXPECT_EQ(Branches(g, g.Add(Tower(g, x, 2), Tower(g, x, 4)), 600), "7");
}

}  // namespace
}  // namespace alpa::frontend
