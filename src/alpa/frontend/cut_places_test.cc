#include "alpa/frontend/cut_places.h"

#include <gtest/gtest.h>

#include "alpa/frontend/step_test_support.h"

namespace alpa::frontend {
namespace {

using ir::DType;
using ir::ValueId;
using Places = std::vector<int>;

// y = x + (x a) b with x [8, 4], a [4, 16], b [16, 4]; then the same again; the loss sums up y c.
struct Residual {
  TestStep step;
  ForwardGraph graph;

  Residual() {
    ir::GraphBuilder g("residual");
    ValueId x = g.Parameter({DType::kF32, {8, 4}}, "batch['x']");
    x = g.Multiply(x, x);
    for (int block = 0; block < 2; ++block) {
      const ValueId a = g.Parameter({DType::kF32, {4, 16}}, "a");
      const ValueId b = g.Parameter({DType::kF32, {16, 4}}, "b");
      x = g.Add(x, g.MatMul(g.MatMul(x, a), b));
    }
    step = AnalyzedStep(g.Build({g.Reduce(x, {0, 1})}));
    graph = MakeForwardGraph(step.module, step.analysis);
  }
};

TEST(CutPlaces, LieBetweenOpsThatDoWorkWhereLeastFlows) {
  const Residual r;
  const CutPlaces places = FindCutPlaces(r.step.module, r.graph, r.graph.order, 100);
  // x is alive within a block (128 B), beside the product (8 x 16 x 4 = 512 B).
  EXPECT_EQ(places.bytes, (std::vector<int64_t>{640, 128, 640}));
  EXPECT_EQ(places.largest, (std::vector<int64_t>{512, 128, 512}));
  EXPECT_EQ(places.work, (std::vector<double>{1024, 1024, 1024, 1024}));
  EXPECT_EQ(NarrowPlaces(places), (Places{1}));
  // Behind the sum that ends the first block.
  const ir::OpId last = r.graph.order[static_cast<size_t>(places.position[1]) - 1];
  EXPECT_EQ(r.step.module.op(last).kind, ir::OpKind::kAdd);
}

TEST(CutPlaces, AreThinnedToTheBestOfEachShareOfTheWork) {
  const Residual r;
  const CutPlaces places = FindCutPlaces(r.step.module, r.graph, r.graph.order, 2);
  EXPECT_LE(places.bytes.size(), 2U);
  EXPECT_NE(std::find(places.bytes.begin(), places.bytes.end(), 128), places.bytes.end());
}

TEST(ForwardGraph, EarlyOpsHaveNoWorkInFrontOfThem) {
  const Residual r;
  int early = 0;
  for (const ir::OpId op : r.graph.order) early += r.graph.early[static_cast<size_t>(op)];
  EXPECT_EQ(early, 1) << "the square of x";
}

// Narrow pieces of one unit of work each, told apart by a letter; one op each unless capital letters (four).
CutPlaces Pieces(const std::string& letters, double head_work = 1) {
  CutPlaces out;
  for (size_t k = 0; k < letters.size(); ++k) {
    out.work.push_back(k + 1 == letters.size() ? head_work : 1);
    out.content.push_back(static_cast<uint64_t>(letters[k]));
    out.workers.push_back(letters[k] < 'a' ? 4 : 1);
    if (k == 0) continue;
    out.position.push_back(static_cast<int>(k));
    out.bytes.push_back(1);
    out.largest.push_back(1);
  }
  return out;
}

TEST(BlockPlaces, AttentionAndMlpAreOneBlock) {
  EXPECT_EQ(BlockPlaces(Pieces("AMAMAM")), (Places{1, 3}));
  EXPECT_EQ(BlockPlaces(Pieces("AMAMAMh")), (Places{1, 3})) << "the head belongs to the last block";
  EXPECT_EQ(BlockPlaces(Pieces("eAMAMAMh")), (Places{2, 4})) << "so does the embedding to the first";
}

TEST(BlockPlaces, ExpertsAndMlpMayTakeTurns) { EXPECT_EQ(BlockPlaces(Pieces("AXAMAXAMh")), (Places{1, 3, 5})); }

TEST(BlockPlaces, ResidualBlocksOfSeveralKinds) {
  EXPECT_EQ(BlockPlaces(Pieces("sPAAQBBBRCCh")), (Places{1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(BlockPlaces, LayersOfAnMlpAreBlocks) {
  EXPECT_EQ(BlockPlaces(Pieces("abbc")), (Places{0, 1, 2}));
  EXPECT_EQ(BlockPlaces(Pieces("abbc", 0.1)), (Places{0, 1})) << "a small head is no layer";
  EXPECT_EQ(BlockPlaces(Pieces("a")), Places{});
}

}  // namespace
}  // namespace alpa::frontend
