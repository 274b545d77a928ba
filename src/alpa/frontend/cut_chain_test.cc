#include "alpa/frontend/cut_chain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

namespace alpa::frontend {
namespace {

constexpr double kNoBound = 1e9;
using Cuts = std::vector<int>;

TEST(CutChain, TakesTheNarrowPlaces) {
  //                        work                bytes between: the 2s are narrow
  const ChainToCut chain{{1, 1, 1, 1, 1, 1}, {9, 2, 9, 2, 9}, kNoBound, kNoBound};
  EXPECT_EQ(CutChain(chain, 1), Cuts{});
  EXPECT_EQ(CutChain(chain, 3), (Cuts{1, 3}));
}

TEST(CutChain, BalancesWhereBytesAreEqual) {
  const ChainToCut chain{{1, 1, 1, 1, 2, 2}, {5, 5, 5, 5, 5}, kNoBound, kNoBound};
  EXPECT_EQ(CutChain(chain, 2), (Cuts{3})) << "4 and 4";
  EXPECT_EQ(CutChain(chain, 4), (Cuts{1, 3, 4})) << "2, 2, 2, 2";
}

TEST(CutChain, ObeysItsBounds) {
  const ChainToCut chain{{1, 1, 1, 5}, {1, 9, 9}, 3, 5};
  EXPECT_EQ(CutChain(chain, 2), (Cuts{2})) << "a single piece of 5 is allowed, 1 + 5 is not";
  EXPECT_EQ(CutChain({{1, 1, 1, 5}, {1, 9, 9}, 3, 4}, 2), std::nullopt);
  EXPECT_EQ(CutChain({{1, 1}, {1}, 3, 3}, 3), std::nullopt) << "more layers than pieces";
}

TEST(CutChain, AgreesWithBruteForce) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const int n = 1 + static_cast<int>(random() % 9);
    ChainToCut chain;
    for (int i = 0; i < n; ++i) chain.work.push_back(static_cast<double>(1 + random() % 6));
    for (int i = 0; i + 1 < n; ++i) chain.bytes.push_back(static_cast<int64_t>(random() % 4));
    chain.bound = static_cast<double>(3 + random() % 12);
    chain.single_bound = chain.bound + static_cast<double>(random() % 3);
    const int count = 1 + static_cast<int>(random() % static_cast<uint64_t>(n));
    auto cost_of = [&](const Cuts& cuts) -> std::optional<std::pair<int64_t, double>> {
      std::pair<int64_t, double> cost = {0, 0};
      int start = 0;
      for (size_t k = 0; k <= cuts.size(); ++k) {
        const int end = k < cuts.size() ? cuts[k] + 1 : n;
        const double work = std::accumulate(chain.work.begin() + start, chain.work.begin() + end, 0.0);
        if (work > (end - start == 1 ? chain.single_bound : chain.bound)) return std::nullopt;
        if (k < cuts.size()) cost.first += chain.bytes[static_cast<size_t>(cuts[k])];
        cost.second += work * work;
        start = end;
      }
      return cost;
    };
    std::optional<std::pair<int64_t, double>> best;
    for (int mask = 0; mask < 1 << (n - 1); ++mask) {
      Cuts cuts;
      for (int place = 0; place + 1 < n; ++place) {
        if ((mask >> place & 1) != 0) cuts.push_back(place);
      }
      if (static_cast<int>(cuts.size()) + 1 != count) continue;
      const auto cost = cost_of(cuts);
      if (cost.has_value() && (!best.has_value() || *cost < *best)) best = cost;
    }
    const auto cuts = CutChain(chain, count);
    ASSERT_EQ(cuts.has_value(), best.has_value()) << round;
    if (cuts.has_value()) EXPECT_EQ(cost_of(*cuts), best) << round;
  }
}

TEST(LeastLargest, IsWhatTheBestCutsGive) {
  EXPECT_DOUBLE_EQ(LeastLargest({1, 1, 1, 1}, 2), 2);
  EXPECT_NEAR(LeastLargest({3, 1, 1, 3}, 2), 4, 1e-6);
  EXPECT_DOUBLE_EQ(LeastLargest({1, 7, 1}, 3), 7);
  EXPECT_NEAR(LeastLargest({2, 2, 2}, 2), 4, 1e-6);
}

}  // namespace
}  // namespace alpa::frontend
