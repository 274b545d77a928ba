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

TEST(SubmeshChoices, RectanglesAsWideAsTheSmallestHost) {
  EXPECT_EQ(SubmeshChoices({{0, {2, 2}}}, true),
            (std::vector<Submesh>{{1, 1, 0}, {1, 2, 0}, {2, 1, 0, true}, {2, 2, 0}}));
  const std::vector<Submesh> of_4_3 = SubmeshChoices({{0, {4, 3}}}, true);
  EXPECT_EQ(of_4_3,
            (std::vector<Submesh>{
                {1, 1, 0}, {1, 2, 0}, {2, 1, 0, true}, {1, 3, 0}, {1, 4, 0}, {2, 2, 0, true}, {2, 3, 0, true}}));
  // Hosts of two types do not mix.
  EXPECT_EQ(SubmeshChoices({{0, {1}}, {1, {1}}}, true).size(), 2u);
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
  PlaceStages(hosts, places, {{{1, -1}, 0}, {{9, -1}, 0}, {{11, -1}, 0}, {{12, -1}, 0}}, &stages);
  EXPECT_EQ(stages[1].first_host, 0);
  EXPECT_EQ(stages[2].first_host, 2);
  EXPECT_EQ(stages[2].first_device, 0);
  EXPECT_EQ(stages[0].first_device, 2);
  EXPECT_EQ(stages[3].first_device, 3);
}

// Two stages side by side on the first two hosts, one in front of them alone.
TEST(PlaceStages, PutsRectanglesSideBySide) {
  const std::vector<Hosts> hosts = {{0, {4, 4, 4}}};
  const std::vector<Submesh> submeshes = SubmeshChoices(hosts, true);
  const Places places = MakePlaces(hosts, {0, 1, 2}, submeshes);
  const Submesh wide = {2, 2, 0, true}, narrow = {2, 1, 0, true};
  const auto index = std::find(submeshes.begin(), submeshes.end(), wide) - submeshes.begin();
  ASSERT_EQ(places.At(0, static_cast<int>(index)).size(), 1u);
  const Place last = places.At(0, static_cast<int>(index))[0];
  EXPECT_EQ(last.used, 8);
  EXPECT_EQ(places.Free(last.host), 4);
  const std::optional<Place> beside = places.Beside(last, narrow);
  ASSERT_TRUE(beside.has_value());
  EXPECT_EQ(beside->used, 8);
  EXPECT_EQ(places.Free(beside->host), 2);
  EXPECT_FALSE(places.Beside(*beside, wide).has_value());
  EXPECT_FALSE(places.Beside(last, {3, 1, 0, true}).has_value());
  std::vector<Stage> stages(3);
  stages[0].submesh = {1, 4, 0};
  stages[1].submesh = narrow;
  stages[2].submesh = wide;
  PlaceStages(hosts, places, {{{12, -1}, 0}, {*beside, 0}, {last, 0}}, &stages);
  EXPECT_EQ(stages[1].first_host, stages[2].first_host);
  EXPECT_EQ(stages[2].first_device, 2);
  EXPECT_EQ(stages[1].first_device, 1);
  EXPECT_EQ(stages[0].first_device, 0);
  EXPECT_EQ(std::abs(stages[0].first_host - stages[1].first_host), stages[0].first_host == 2 ? 2 : 1);
}

}  // namespace
}  // namespace alpa::inter
