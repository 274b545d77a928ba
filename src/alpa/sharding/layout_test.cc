#include "alpa/sharding/layout.h"

#include <gtest/gtest.h>

#include "alpa/sharding/collective.h"

namespace alpa::sharding {
namespace {

using cluster::MakeMesh;

constexpr int kX = 0;
constexpr int kY = 1;

TEST(Layout, Prints) {
  const auto mesh = MakeMesh({2, 3});
  EXPECT_EQ(ToString(Layout{{{{kX}, {}}}, {}}, mesh), "[x,]");
  EXPECT_EQ(ToString(Layout{{{{kX}, {}}}, {kY}}, mesh), "[x,] sum over y");
  EXPECT_EQ(ToString(Layout{{{{}, {}}}, {kX, kY}, Combiner::kMax}, mesh), "[,] max over xy");
}

TEST(Layout, VerifyNamesEachViolation) {
  const auto mesh = MakeMesh({2, 3});
  const ir::Shape shape{ir::DType::kF32, {4, 6}};
  EXPECT_TRUE(Verify(Layout{{{{kX}, {}}}, {kY}}, shape, mesh).ok());
  EXPECT_TRUE(Verify(Layout{{}, {kX, kY}, Combiner::kMin}, shape, mesh).ok());
  const std::pair<Layout, std::string> cases[] = {
      {{{{{kY}, {}}}, {}}, "sharding [y,] of f32[4,6] on mesh 2x3: dimension 0 of size 4 is not divisible by 3"},
      {{{}, {2}}, "layout of f32[4,6] on mesh 2x3: there is no axis 2"},
      {{{}, {kY, kX}}, "layout of f32[4,6] on mesh 2x3: the partial axes are not ascending"},
      {{{{{kX}, {}}}, {kX}}, "layout of f32[4,6] on mesh 2x3: axis 'x' is both split and partial"},
      {{{}, {}, Combiner::kMax}, "layout of f32[4,6] on mesh 2x3: a combiner but nothing partial"},
  };
  for (const auto& [layout, message] : cases) {
    const Status status = Verify(layout, shape, mesh);
    ASSERT_FALSE(status.ok()) << message;
    EXPECT_EQ(status.error().message, message);
  }
}

TEST(Collective, PrintsAndCountsItsGroup) {
  const auto mesh = MakeMesh({2, 3});
  const Collective c{CollectiveKind::kAllReduce, {kY}, Bytes(1536 * 1024)};
  EXPECT_EQ(ToString(c, mesh), "all-reduce over y, 1.50 MiB");
  EXPECT_EQ(GroupSize(c, mesh), 3);
  const Collective all{CollectiveKind::kAllGather, {kX, kY}, Bytes(12)};
  EXPECT_EQ(ToString(all, mesh), "all-gather over xy, 12 B");
  EXPECT_EQ(GroupSize(all, mesh), 6);
}

}  // namespace
}  // namespace alpa::sharding
