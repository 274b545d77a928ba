#include "alpa/simulate/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace alpa::simulate {
namespace {

using ::testing::ElementsAre;

// Hosts of 4 devices: 1 s per byte within, latency 1 s; 10 s per byte over the network cards, latency 2 s.
Costs Hosts(int count) {
  Costs costs;
  costs.hosts.resize(static_cast<size_t>(count));
  for (cluster::Host& host : costs.hosts) {
    host.devices = 4;
    host.intra = {Seconds(1), 1};
    host.network = {Seconds(2), 10};
  }
  return costs;
}

TEST(MakeRoute, SplitsBytesOverDevicesWithinAHost) {
  Costs costs = Hosts(1);
  costs.meshes = {{{0, 1}}, {{0, 3}}};
  const Route route = MakeRoute(costs, 0, 1, 12);
  EXPECT_TRUE(route.shares.empty());
  // One device sends all of it.
  EXPECT_DOUBLE_EQ(StaySeconds(route), 1 + 12);
  costs.meshes = {{{0, 2}}, {{0, 2}}};
  EXPECT_DOUBLE_EQ(StaySeconds(MakeRoute(costs, 0, 1, 12)), 1 + 6);
}

TEST(MakeRoute, CountsEachByteOnceOverTheNetwork) {
  Costs costs = Hosts(3);
  costs.meshes = {{{0, 4}}, {{1, 4}, {2, 4}}};
  const Route route = MakeRoute(costs, 0, 1, 80);
  ASSERT_EQ(route.shares.size(), 3U);
  EXPECT_EQ(route.shares[0].link, 1);  // out of host 0
  EXPECT_DOUBLE_EQ(route.shares[0].bytes, 80);
  EXPECT_DOUBLE_EQ(route.shares[0].seconds, 800);
  EXPECT_EQ(route.shares[1].link, 5);  // into host 1
  EXPECT_DOUBLE_EQ(route.shares[1].bytes, 40);
  EXPECT_EQ(route.shares[2].link, 8);  // into host 2
  EXPECT_DOUBLE_EQ(route.latency, 2);
  EXPECT_TRUE(route.stays.empty());
}

TEST(MakeRoute, KeepsBytesWithinTheirHost) {
  Costs costs = Hosts(2);
  costs.meshes = {{{0, 2}, {1, 2}}, {{1, 2}}};
  // Host 1 has half of the bytes already; the other half comes from host 0.
  const Route route = MakeRoute(costs, 0, 1, 40);
  ASSERT_EQ(route.stays.size(), 1U);
  EXPECT_EQ(route.stays[0].link, 3);
  EXPECT_DOUBLE_EQ(route.stays[0].bytes, 20);
  EXPECT_DOUBLE_EQ(route.stays[0].seconds, 1 + 10);
  ASSERT_EQ(route.shares.size(), 2U);
  EXPECT_DOUBLE_EQ(route.shares[0].bytes, 20);
  EXPECT_DOUBLE_EQ(route.shares[1].bytes, 20);
}

TEST(MakeRoute, DevicesReachOnlySomeOfTheCards) {
  Costs costs = Hosts(2);
  costs.hosts[0].device_network_beta = 40;
  costs.meshes = {{{0, 2}}, {{1, 2}}};
  const Route route = MakeRoute(costs, 0, 1, 8);
  EXPECT_DOUBLE_EQ(route.shares[0].seconds, 80);
  EXPECT_DOUBLE_EQ(route.shares[0].least, 4 * 40);
  EXPECT_DOUBLE_EQ(route.shares[1].least, 0);
}

TEST(MakeRoute, EmptyMessagesHaveLatency) {
  Costs costs = Hosts(2);
  costs.meshes = {{{0, 2}}, {{1, 2}}};
  const Route route = MakeRoute(costs, 0, 1, 0);
  EXPECT_DOUBLE_EQ(route.latency, 2);
  EXPECT_EQ(route.shares.size(), 2U);
}

// A route over these links that takes `seconds` on each.
Route Over(const std::vector<int32_t>& links, double seconds) {
  Route route;
  for (const int32_t link : links) route.shares.push_back({link, 1, seconds, 0});
  return route;
}

struct Start {
  double time = 0;
  Route route;
};

// When each of these transfers ends, in order; the network's own account of the links' busy time goes to `busy`.
std::vector<double> Ends(const std::vector<Start>& starts, size_t links, std::vector<double>* busy = nullptr) {
  Network network(links);
  std::vector<double> ends(starts.size(), -1);
  std::map<int32_t, size_t> start_of;
  std::vector<Network::Finish> planned;
  size_t next = 0;
  for (;;) {
    std::erase_if(planned, [&](const Network::Finish& finish) { return !network.Holds(finish); });
    auto first =
        std::min_element(planned.begin(), planned.end(), [](const auto& a, const auto& b) { return a.time < b.time; });
    if (next < starts.size() && (first == planned.end() || starts[next].time <= first->time)) {
      start_of[network.Enter(&starts[next].route, starts[next].time, &planned)] = next;
      ++next;
    } else if (first != planned.end()) {
      const Network::Finish finish = *first;
      ends[start_of.at(finish.transfer)] = finish.time;
      network.Leave(finish.transfer, finish.time, &planned);
    } else {
      break;
    }
  }
  for (size_t link = 0; busy != nullptr && link < links; ++link) busy->push_back(network.Busy(link));
  return ends;
}

TEST(Network, OneTransferHasTheLinkForItself) { EXPECT_THAT(Ends({{3, Over({0}, 5)}}, 1), ElementsAre(8)); }

TEST(Network, TwoShareALinkEqually) {
  EXPECT_THAT(Ends({{0, Over({0}, 1)}, {0, Over({0}, 1)}}, 1), ElementsAre(2, 2));
  // The first is half done when the second comes; both then run at half the rate until 1.5.
  std::vector<double> busy;
  EXPECT_THAT(Ends({{0, Over({0}, 1)}, {0.5, Over({0}, 1)}}, 1, &busy), ElementsAre(1.5, 2));
  EXPECT_THAT(busy, ElementsAre(2));
  // A short one overtakes.
  EXPECT_THAT(Ends({{0, Over({0}, 4)}, {1, Over({0}, 1)}}, 1), ElementsAre(5, 3));
}

TEST(Network, DifferentLinksDoNotDisturb) {
  std::vector<double> busy;
  EXPECT_THAT(Ends({{0, Over({0}, 1)}, {0, Over({1}, 2)}, {4, Over({0}, 1)}}, 3, &busy), ElementsAre(1, 2, 5));
  EXPECT_THAT(busy, ElementsAre(2, 2, 0));
}

TEST(Network, TheSlowestShareSetsThePace) {
  // The first uses 0 and 1, the others share 1 with it: three at a time.
  EXPECT_THAT(Ends({{0, Over({0, 1}, 2)}, {0, Over({1}, 2)}, {0, Over({1}, 2)}}, 2), ElementsAre(6, 6, 6));
  // A limit of its own does not grow with the number of sharers.
  Route limited = Over({0}, 1);
  limited.shares[0].least = 3;
  EXPECT_THAT(Ends({{0, limited}, {0, Over({0}, 1)}}, 1), ElementsAre(3, 2));
}

// Against fixed small steps of time: every transfer ends when its bytes have passed at the rates of the rule.
TEST(Network, AgreesWithSmallSteps) {
  std::mt19937 random(3);
  auto draw = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  for (int round = 0; round < 30; ++round) {
    std::vector<Start> starts;
    double time = 0;
    for (int i = 0; i < 8; ++i) {
      time += draw(0, 4) * 0.25;
      std::vector<int32_t> links = {draw(0, 1)};
      if (draw(0, 1) == 1) links.push_back(draw(2, 3));
      starts.push_back({time, Over(links, draw(1, 12) * 0.25)});
    }
    const std::vector<double> ends = Ends(starts, 4);
    const double step = 1.0 / 4096;
    std::vector<double> left(starts.size(), 1), ended(starts.size(), 0);
    for (double now = 0; std::any_of(left.begin(), left.end(), [](double l) { return l > 0; }); now += step) {
      std::map<int32_t, int> sharing;
      for (size_t i = 0; i < starts.size(); ++i) {
        for (const auto& share : starts[i].route.shares) sharing[share.link] += starts[i].time <= now && left[i] > 0;
      }
      for (size_t i = 0; i < starts.size(); ++i) {
        if (starts[i].time > now || left[i] <= 0) continue;
        double seconds = 0;
        for (const auto& share : starts[i].route.shares)
          seconds = std::max(seconds, share.seconds * sharing[share.link]);
        left[i] -= step / seconds;
        ended[i] = now + step;
      }
    }
    for (size_t i = 0; i < starts.size(); ++i) EXPECT_NEAR(ends[i], ended[i], 20 * step) << i;
  }
}

}  // namespace
}  // namespace alpa::simulate
