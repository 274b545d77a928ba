#include "alpa/runtime/permutation.h"

#include <gtest/gtest.h>

#include <vector>

namespace alpa::runtime {
namespace {

std::vector<int64_t> All(int64_t size, uint64_t key) {
  const Permutation permutation(size, key);
  std::vector<int64_t> out;
  for (int64_t i = 0; i < size; ++i) out.push_back(permutation(i));
  return out;
}

TEST(Permutation, ContainsEachElementOnce) {
  for (int64_t size = 1; size <= 300; ++size) {
    std::vector<int> seen(static_cast<size_t>(size), 0);
    for (const int64_t v : All(size, static_cast<uint64_t>(size) * 7)) ++seen.at(static_cast<size_t>(v));
    EXPECT_EQ(seen, std::vector<int>(static_cast<size_t>(size), 1)) << size;
  }
}

TEST(Permutation, IsTheSameForTheSameKey) { EXPECT_EQ(All(100, 5), All(100, 5)); }

TEST(Permutation, DiffersBetweenKeysAndFromTheIdentity) {
  std::vector<int64_t> identity(100);
  for (int64_t i = 0; i < 100; ++i) identity[static_cast<size_t>(i)] = i;
  for (uint64_t key = 0; key < 20; ++key) {
    const auto a = All(100, key);
    const auto b = All(100, key + 1);
    int fixed = 0;
    int equal = 0;
    for (size_t i = 0; i < 100; ++i) {
      fixed += a[i] == identity[i] ? 1 : 0;
      equal += a[i] == b[i] ? 1 : 0;
    }
    EXPECT_LT(fixed, 10) << key;
    EXPECT_LT(equal, 10) << key;
  }
}

TEST(Permutation, ReachesEveryPlaceEquallyOften) {
  // Where element 0 of 8 comes to lie under 8000 keys: 1000 times each, within five standard deviations.
  std::vector<int> counts(8, 0);
  for (uint64_t key = 0; key < 8000; ++key) ++counts[static_cast<size_t>(Permutation(8, key)(0))];
  for (const int count : counts) EXPECT_NEAR(count, 1000, 150);
}

TEST(Permutation, HandlesLargeSizes) {
  const Permutation permutation(int64_t{1} << 40, 3);
  for (int64_t i = 0; i < 100; ++i) {
    EXPECT_GE(permutation(i), 0);
    EXPECT_LT(permutation(i), int64_t{1} << 40);
  }
}

}  // namespace
}  // namespace alpa::runtime
