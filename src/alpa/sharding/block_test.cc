#include "alpa/sharding/block.h"

#include <gtest/gtest.h>

namespace alpa::sharding {
namespace {

ir::Shape F32Shape(std::vector<int64_t> dims) { return {ir::DType::kF32, std::move(dims)}; }

TEST(Block, IsWrittenAsNumPyDoes) {
  EXPECT_EQ(ToString(Block{{0, 8}, {4, 8}}), "[0:4,8:16]");
  EXPECT_EQ(ToString(WholeBlock(F32Shape({}))), "[]");
}

TEST(Block, IntersectsAsElementsDo) {
  // Every pair of blocks of a 3 x 3 array, against counting the elements that lie in both.
  std::vector<Block> all;
  for (int64_t a = 0; a < 3; ++a) {
    for (int64_t b = 0; b < 3; ++b) {
      for (int64_t m = 0; a + m <= 3; ++m) {
        for (int64_t n = 0; b + n <= 3; ++n) all.push_back({{a, b}, {m, n}});
      }
    }
  }
  const auto has = [](const Block& block, int64_t i, int64_t j) {
    return i >= block.start[0] && i < block.start[0] + block.extent[0] && j >= block.start[1] &&
           j < block.start[1] + block.extent[1];
  };
  for (const Block& x : all) {
    for (const Block& y : all) {
      const auto common = Intersect(x, y);
      for (int64_t i = 0; i < 3; ++i) {
        for (int64_t j = 0; j < 3; ++j) {
          ASSERT_EQ(common && has(*common, i, j), has(x, i, j) && has(y, i, j)) << ToString(x) << ToString(y);
        }
      }
    }
  }
}

TEST(Block, LiesInAnArrayOrNot) {
  EXPECT_TRUE(LiesIn({{2}, {2}}, F32Shape({4})));
  EXPECT_TRUE(LiesIn({{4}, {0}}, F32Shape({4})));
  EXPECT_FALSE(LiesIn({{3}, {2}}, F32Shape({4})));
  EXPECT_FALSE(LiesIn({{-1}, {2}}, F32Shape({4})));
  EXPECT_FALSE(LiesIn({{INT64_MAX}, {2}}, F32Shape({4})));
  EXPECT_FALSE(LiesIn({{}, {}}, F32Shape({4})));
}

TEST(CheckCovers, AcceptsEachElementOnce) {
  EXPECT_TRUE(CheckCovers({{{0, 0}, {2, 1}}, {{0, 1}, {1, 2}}, {{1, 1}, {1, 2}}}, F32Shape({2, 3})).ok());
  EXPECT_TRUE(CheckCovers({{{}, {}}}, F32Shape({})).ok());
  EXPECT_TRUE(CheckCovers({{{0}, {0}}}, F32Shape({0})).ok());
}

TEST(CheckCovers, SaysWhatIsWrong) {
  const auto error = [](const std::vector<Block>& blocks) {
    const Status status = CheckCovers(blocks, F32Shape({4}));
    return status.ok() ? "it is right" : status.error().message;
  };
  EXPECT_EQ(error({{{0}, {2}}, {{1}, {2}}}), "[1:2] is there twice");
  EXPECT_EQ(error({{{0}, {3}}}), "1 of 4 elements are missing");
  EXPECT_EQ(error({{{2}, {3}}}), "block [2:5] does not lie in f32[4]");
  EXPECT_EQ(error({}), "4 of 4 elements are missing");
}

TEST(HeldBlocks, NameAllHolders) {
  const cluster::Mesh mesh = cluster::MakeMesh({2, 2});
  EXPECT_EQ(HeldBlocks(F32Shape({4}), SplitDim(1, 0, 1), mesh),
            (std::vector<HeldBlock>{{{{0}, {2}}, {0, 2}}, {{{2}, {2}}, {1, 3}}}));
  EXPECT_EQ(HeldBlocks(F32Shape({}), Spec{}, mesh), (std::vector<HeldBlock>{{{{}, {}}, {0, 1, 2, 3}}}));
}

TEST(OwnedBlocks, HaveOneOwnerEach) {
  // 2 x 2 devices, rows split over the first axis: devices 0 and 1 hold rows 0 and 1, devices 2 and 3 rows 2 and 3.
  const cluster::Mesh mesh = cluster::MakeMesh({2, 2});
  const Spec rows = SplitDim(1, 0, 0);
  EXPECT_EQ(OwnedBlocks(0, F32Shape({4}), rows, mesh), (std::vector<OwnedBlock>{{{{0}, {2}}, 0}, {{{2}, {2}}, 2}}));
  EXPECT_EQ(OwnedBlocks(1, F32Shape({4}), rows, mesh), (std::vector<OwnedBlock>{{{{0}, {2}}, 1}, {{{2}, {2}}, 3}}))
      << "the next tensor falls to the other copies";
  EXPECT_EQ(OwnedBlocks(6, F32Shape({}), Spec{}, mesh), (std::vector<OwnedBlock>{{{{}, {}}, 2}}));
}

}  // namespace
}  // namespace alpa::sharding
