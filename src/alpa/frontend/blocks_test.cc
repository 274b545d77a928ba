#include "alpa/frontend/blocks.h"

#include <gtest/gtest.h>

namespace alpa::frontend {
namespace {

using Dims = std::vector<int64_t>;

TEST(ReshapeBlocks, MergesAndSplits) {
  // 16 examples of 32 tokens, as one list of tokens, and back.
  EXPECT_EQ(ReshapeBlocks({16, 32}, {512}, {0, 16}), (Blocks{0, 16}));
  EXPECT_EQ(ReshapeBlocks({512}, {16, 32}, {0, 16}), (Blocks{0, 16}));
  EXPECT_EQ(ReshapeBlocks({16, 32, 8}, {16, 32, 2, 4}, {0, 16}), (Blocks{0, 16}));
  EXPECT_EQ(ReshapeBlocks({3, 16, 5}, {3, 16, 1, 5}, {1, 16}), (Blocks{1, 16}));
  EXPECT_EQ(ReshapeBlocks({16, 5}, {1, 16, 5}, {0, 16}), (Blocks{1, 16}));
}

TEST(ReshapeBlocks, RegroupingLeavesCommonDivisors) {
  // GShard: 16 examples of 32 tokens into 8 groups of 64: two examples share a group.
  EXPECT_EQ(ReshapeBlocks({16, 32, 4}, {8, 64, 4}, {0, 16}), (Blocks{0, 8}));
  EXPECT_EQ(ReshapeBlocks({6, 4}, {8, 3}, {0, 6}), (Blocks{0, 2}));
  EXPECT_EQ(ReshapeBlocks({12}, {4, 3}, {0, 12}), (Blocks{0, 4}));
}

TEST(ReshapeBlocks, FailsWhenBlocksAreNotContiguous) {
  EXPECT_FALSE(ReshapeBlocks({4, 16}, {64}, {1, 16}).has_value());
  EXPECT_FALSE(ReshapeBlocks({3, 4}, {4, 3}, {0, 3}).has_value());
}

TEST(ReshapeBlocks, OneExampleStaysOneExample) { EXPECT_EQ(ReshapeBlocks({1, 32}, {32}, {0, 1}), (Blocks{0, 1})); }

TEST(ReshapeRepeats, FollowsMergesAndSplits) {
  // A row of 32 positions broadcast to 16 examples: 16 copies, also as one list of 512.
  EXPECT_EQ(ReshapeRepeats({16, 32}, {512}, {16, 1}), (Dims{16}));
  EXPECT_EQ(ReshapeRepeats({512}, {16, 32}, {16}), (Dims{16, 1}));
  // All equal stays all equal.
  EXPECT_EQ(ReshapeRepeats({16, 32}, {512}, {16, 32}), (Dims{512}));
  EXPECT_EQ(ReshapeRepeats({512}, {16, 32}, {512}), (Dims{16, 32}));
  // Differs along the outer dimension: nothing repeats.
  EXPECT_EQ(ReshapeRepeats({16, 32}, {512}, {1, 32}), (Dims{1}));
  // Period 2 in rows of 4.
  EXPECT_EQ(ReshapeRepeats({12}, {3, 4}, {6}), (Dims{3, 2}));
  EXPECT_EQ(ReshapeRepeats({2, 0}, {0}, {2, 1}), (Dims{1}));
}

}  // namespace
}  // namespace alpa::frontend
