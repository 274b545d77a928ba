// Copies of blocks: how they are prepared, and how fast they are.
#include "alpa/reshard/block_copy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>

#include "alpa/reshard/test_support.h"

namespace alpa::reshard {
namespace {

using Dims = std::vector<BlockCopy::Dim>;

TEST(PrepareCopy, MakesOneRunOfWholeRows) {
  // Rows 2 and 3 of an 8 x 4 array, of bytes: from the whole to a shard that begins at row 2.
  const BlockCopy copy = PrepareCopy({{0, 0}, {8, 4}}, {{2, 0}, {4, 4}}, {2, 0}, {2, 4}, 1);
  EXPECT_EQ(copy, (BlockCopy{8, 0, 8, {}}));
}

TEST(PrepareCopy, MakesARunPerRowOfColumns) {
  // Columns 1 and 2 of all rows, 4 bytes an element.
  const BlockCopy copy = PrepareCopy({{0, 0}, {3, 4}}, {{0, 1}, {3, 2}}, {0, 1}, {3, 2}, 4);
  EXPECT_EQ(copy, (BlockCopy{4, 0, 8, Dims{{3, 16, 8}}}));
}

TEST(PrepareCopy, MergesOuterDimensionsThatContinueEachOther) {
  const BlockCopy copy = PrepareCopy({{0, 0, 0}, {5, 3, 4}}, {{0, 0, 2}, {5, 3, 2}}, {0, 0, 2}, {5, 3, 2}, 1);
  EXPECT_EQ(copy, (BlockCopy{2, 0, 2, Dims{{15, 4, 2}}}));
}

TEST(PrepareCopy, SkipsDimensionsOfOne) {
  const BlockCopy copy = PrepareCopy({{0, 0, 0}, {4, 2, 3}}, {{0, 1, 0}, {4, 1, 3}}, {1, 1, 0}, {1, 1, 3}, 1);
  EXPECT_EQ(copy, (BlockCopy{9, 3, 3, {}}));
}

TEST(PrepareCopy, CopiesAScalar) { EXPECT_EQ(PrepareCopy({}, {}, {}, {}, 8), (BlockCopy{0, 0, 8, {}})); }

TEST(PrepareCopy, CopiesNothingOfNothing) {
  const BlockCopy copy = PrepareCopy({{0}, {0}}, {{0}, {0}}, {0}, {0}, 4);
  EXPECT_EQ(copy.run, 0);
  copy.Run(nullptr, nullptr);
}

// Runs of every size that has code of its own, and others: columns 1 .. n of [4, 3, n + 2].
TEST(BlockCopy, CopiesRunsOfAnySize) {
  for (const int64_t n : {1, 2, 3, 4, 5, 8, 16, 17, 32, 64, 100}) {
    std::vector<std::byte> whole(static_cast<size_t>(4 * 3 * (n + 2)));
    for (size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<std::byte>(i % 251);
    std::vector<std::byte> part(static_cast<size_t>(2 * 2 * n), std::byte{255});
    PrepareCopy({{0, 0, 0}, {4, 3, n + 2}}, {{1, 1, 1}, {2, 2, n}}, {1, 1, 1}, {2, 2, n}, 1)
        .Run(whole.data(), part.data());
    for (int64_t i = 0; i < 2; ++i) {
      for (int64_t j = 0; j < 2; ++j) {
        for (int64_t k = 0; k < n; ++k) {
          ASSERT_EQ(part[static_cast<size_t>((i * 2 + j) * n + k)],
                    whole[static_cast<size_t>(((i + 1) * 3 + j + 1) * (n + 2) + k + 1)])
              << n;
        }
      }
    }
  }
}

double Milliseconds(const std::function<void()>& work) {
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

TEST(BlockCopy, IsAsFastAsMemcpyForRows) {
  constexpr int64_t kBytes = 64 << 20;
  std::vector<std::byte> from(2 * kBytes, std::byte{1});
  std::vector<std::byte> to(2 * kBytes, std::byte{2});
  // Half of the columns of a matrix whose rows have 2 * run bytes.
  const auto columns = [&](int64_t run) {
    const int64_t rows = kBytes / run;
    const BlockCopy copy = PrepareCopy({{0, 0}, {rows, 2 * run}}, {{0, 0}, {rows, run}}, {0, 0}, {rows, run}, 1);
    return Milliseconds([&] { copy.Run(from.data(), to.data()); });
  };
  const double plain = Milliseconds([&] { std::memcpy(to.data(), from.data(), kBytes); });
  const BlockCopy half = PrepareCopy({{0, 0}, {2, kBytes}}, {{1, 0}, {1, kBytes}}, {1, 0}, {1, kBytes}, 1);
  const double rows = Milliseconds([&] { half.Run(from.data(), to.data()); });
  std::printf("64 MiB: memcpy %.2f ms, rows %.2f ms", plain, rows);
  for (const int64_t run : {4096, 1024, 256, 64, 16, 4}) {
    std::printf(", runs of %d B %.2f ms", static_cast<int>(run), columns(run));
  }
  std::printf("\n");
  EXPECT_LT(rows, 3 * plain);  // other programs run beside this one
}

}  // namespace
}  // namespace alpa::reshard
