#include "alpa/inter/submeshes.h"

#include <gtest/gtest.h>

namespace alpa::inter {
namespace {

TEST(SizesWithinHost, PowersOfTwoAndDivisors) {
  EXPECT_EQ(SizesWithinHost(8), (std::vector<int>{1, 2, 4, 8}));
  EXPECT_EQ(SizesWithinHost(7), (std::vector<int>{1, 2, 4, 7}));
  EXPECT_EQ(SizesWithinHost(6), (std::vector<int>{1, 2, 3, 4, 6}));
}

TEST(PlacedByCount, OnlyEqualHostsWithSizesThatDivideEachOther) {
  EXPECT_TRUE(PlacedByCount({{0, {8, 8}}}));
  EXPECT_TRUE(PlacedByCount({{0, {1}}}));
  EXPECT_FALSE(PlacedByCount({{0, {7, 7}}}));
  EXPECT_FALSE(PlacedByCount({{0, {8, 7}}}));
  EXPECT_FALSE(PlacedByCount({{0, {8}}, {1, {8}}}));
}

TEST(HostOrders, PermutesRunsThatDiffer) {
  EXPECT_EQ(HostOrders({{0, {8, 8}}}).size(), 1u);
  EXPECT_EQ(HostOrders({{0, {8, 8}}, {1, {8}}}), (std::vector<std::vector<int>>{{0, 1, 2}, {2, 0, 1}}));
  // Runs 0 and 2 look alike: 3 orders instead of 6.
  EXPECT_EQ(HostOrders({{0, {8}}, {1, {8}}, {0, {8}}}).size(), 3u);
}

TEST(SubmeshChoices, PartsOfAHostAndWholeHosts) {
  EXPECT_EQ(SubmeshChoices({{0, {2, 2, 2}}}), (std::vector<Submesh>{{1, 1, 0}, {1, 2, 0}, {2, 2, 0}, {3, 2, 0}}));
  // 2 and 1 are no equal neighbours.
  EXPECT_EQ(SubmeshChoices({{0, {2, 1, 2}}}), (std::vector<Submesh>{{1, 1, 0}, {1, 2, 0}}));
}

// Hosts of 2, 1 and 2 devices; places count from the end.
TEST(MakePlaces, SkipsWhatDoesNotFit) {
  const std::vector<Hosts> hosts = {{0, {2, 1, 2}}};
  const Places places = MakePlaces(hosts, {0, 1, 2}, {{1, 1, 0}, {1, 2, 0}});
  EXPECT_EQ(places.devices, 5);
  // Two devices, one used: the last host has only one left, the middle one has only one; the first has two.
  ASSERT_EQ(places.At(1, 1).size(), 1u);
  EXPECT_EQ(places.At(1, 1)[0].used, 5);
  EXPECT_EQ(places.At(1, 1)[0].host, 0);
  // One device, one used: any host, at its end.
  ASSERT_EQ(places.At(1, 0).size(), 3u);
  EXPECT_TRUE(places.At(5, 0).empty());
}

TEST(PlaceStages, PacksByCountWithoutCrossingBorders) {
  const std::vector<Hosts> hosts = {{0, {4, 4, 4}}};
  const std::vector<Submesh> submeshes = SubmeshChoices(hosts);
  const Places places = MakePlaces(hosts, {0, 1, 2}, submeshes);
  std::vector<Stage> stages(4);
  stages[0].submesh = {1, 1, 0};
  stages[1].submesh = {2, 4, 0};
  stages[2].submesh = {1, 2, 0};
  stages[3].submesh = {1, 1, 0};
  PlaceStages(hosts, places, {1, 9, 11, 12}, &stages);
  EXPECT_EQ(stages[1].first_host, 0);
  EXPECT_EQ(stages[2].first_host, 2);
  EXPECT_EQ(stages[2].first_device, 0);
  EXPECT_EQ(stages[0].first_device, 2);
  EXPECT_EQ(stages[3].first_device, 3);
}

}  // namespace
}  // namespace alpa::inter
