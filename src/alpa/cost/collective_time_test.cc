// Times against the formulas of README.md with numbers that can be checked by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "alpa/cost/model.h"

namespace alpa::cost {
namespace {

using cluster::Cluster;
using cluster::MakeMesh;
using sharding::Collective;
using sharding::CollectiveKind;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr CollectiveKind kAllReduce = CollectiveKind::kAllReduce;
constexpr CollectiveKind kAllGather = CollectiveKind::kAllGather;
constexpr CollectiveKind kReduceScatter = CollectiveKind::kReduceScatter;
constexpr CollectiveKind kAllToAll = CollectiveKind::kAllToAll;
constexpr CollectiveKind kPermute = CollectiveKind::kCollectivePermute;
constexpr CollectiveKind kKinds[] = {kAllReduce, kAllGather, kReduceScatter, kAllToAll, kPermute};

constexpr double kFast = 100e9;  // bytes/s within a host; latency 1 us
constexpr double kSlow = 10e9;   // of the network; latency 20 us

// Hosts with these numbers of devices, round links, launches that take no time.
Cluster Hosts(const std::vector<int64_t>& devices) {
  Cluster c;
  c.name = "test";
  c.device_types["D"] = {.name = "D",
                         .memory = Bytes(int64_t{1} << 30),
                         .memory_bandwidth = 1e12,
                         .matrix_flops = {{"f32", 10e12}, {"f16", 100e12}},
                         .vector_flops = 5e12};
  for (size_t h = 0; h < devices.size(); ++h) {
    c.hosts.push_back({.name = "host" + std::to_string(h),
                       .device_type = "D",
                       .devices = devices[h],
                       .intra = {Seconds(1e-6), 1 / kFast},
                       .network = {Seconds(20e-6), 1 / kSlow}});
  }
  EXPECT_TRUE(Verify(c).ok());
  return c;
}

Model ModelOf(const Cluster& cluster, std::vector<int64_t> shape) {
  Result<Model> model = MakeModel(cluster, MakeMesh(std::move(shape)));
  EXPECT_TRUE(model.ok()) << model.error().message;
  return *std::move(model);
}

double Time(const Model& model, CollectiveKind kind, const std::vector<int>& axes, int64_t bytes) {
  const double time = CollectiveTime(model, Collective{kind, axes, Bytes(bytes)}).value;
  EXPECT_EQ(time, CollectiveTime(model, kind, MaskOf(axes), Bytes(bytes)).value);
  return time;
}

// ---------------------------------------------------------------- flat

TEST(CollectiveTime, FlatWithinAHost) {
  const Model model = ModelOf(Hosts({4}), {4});
  // 3 steps of 1 us, and 3/4 of 400 MB at 100 GB/s: 3 ms.
  EXPECT_DOUBLE_EQ(Time(model, kAllGather, {0}, 400'000'000), 3e-6 + 3e-3);
  EXPECT_DOUBLE_EQ(Time(model, kReduceScatter, {0}, 400'000'000), 3e-6 + 3e-3);
  EXPECT_DOUBLE_EQ(Time(model, kAllReduce, {0}, 400'000'000), 6e-6 + 6e-3);
  EXPECT_DOUBLE_EQ(Time(model, kAllToAll, {0}, 400'000'000), 3e-6 + 3e-3);
  EXPECT_DOUBLE_EQ(Time(model, kPermute, {0}, 400'000'000), 1e-6 + 4e-3);
}

TEST(CollectiveTime, SmallAllReducesTakeATree) {
  const Model model = ModelOf(Hosts({8}), {8});
  // Ring: 14 steps. Tree: 3 up, 3 down.
  EXPECT_DOUBLE_EQ(Time(model, kAllReduce, {0}, 0), 6e-6);
  EXPECT_DOUBLE_EQ(Time(model, kAllReduce, {0}, 1000), 6e-6 + 2e-8);
  // They meet where 8 us = 1/4 b / 100 GB/s: at 3.2 MB.
  EXPECT_DOUBLE_EQ(Time(model, kAllReduce, {0}, 3'000'000), 6e-6 + 6e-5);
  EXPECT_DOUBLE_EQ(Time(model, kAllReduce, {0}, 4'000'000), 14e-6 + 7e-5);
  EXPECT_DOUBLE_EQ(Time(ModelOf(Hosts({7}), {7}), kAllReduce, {0}, 0), 6e-6);  // as many levels as for 8
}

TEST(CollectiveTime, ALaunchIsAddedOnce) {
  Cluster cluster = Hosts({4});
  cluster.device_types["D"].launch = Seconds(5e-6);
  EXPECT_DOUBLE_EQ(Time(ModelOf(cluster, {4}), kPermute, {0}, 0), 6e-6);
  EXPECT_DOUBLE_EQ(Time(ModelOf(cluster, {4}), kAllReduce, {0}, 0), 9e-6);
}

TEST(CollectiveTime, OneDeviceCommunicatesNothing) {
  Cluster cluster = Hosts({4});
  cluster.device_types["D"].launch = Seconds(5e-6);
  const Model model = ModelOf(cluster, {1, 4});
  for (const CollectiveKind kind : kKinds) {
    EXPECT_EQ(Time(model, kind, {0}, 1 << 20), 0);
    EXPECT_EQ(Time(model, kind, {}, 1 << 20), 0);
    EXPECT_EQ(Time(model, kind, {0, 1}, 1 << 20), Time(model, kind, {1}, 1 << 20));
  }
}

// ---------------------------------------------------------------- over hosts

TEST(CollectiveTime, OneDevicePerHostHasTheNetworkForItself) {
  const Model model = ModelOf(Hosts({1, 1}), {2});
  EXPECT_DOUBLE_EQ(Time(model, kAllReduce, {0}, 10'000'000), 2 * 20e-6 + 1e-3);  // 2 * 1/2 * 10 MB at 10 GB/s
}

TEST(CollectiveTime, GroupsThatCrossHostsShareTheNetworkCard) {
  // Mesh 2x8 on 2 hosts of 8: 8 groups along x, each with one device per host. Each has 1/8 of 10 GB/s.
  const Model model = ModelOf(Hosts({8, 8}), {2, 8});
  EXPECT_DOUBLE_EQ(Time(model, kAllGather, {0}, 10'000'000), 20e-6 + 5e6 / (kSlow / 8));
  EXPECT_DOUBLE_EQ(Time(model, kPermute, {0}, 10'000'000), 20e-6 + 10e6 / (kSlow / 8));
  EXPECT_DOUBLE_EQ(Time(model, kAllGather, {1}, 8'000'000), 7e-6 + 7e6 / kFast);  // y stays within hosts
}

TEST(CollectiveTime, GoesOverTheNetworkOncePerHost) {
  // All 16 devices: reduce-scatter of 80 MB among 8 (7 us, 7/8 of 80 MB at 100 GB/s: 0.7 ms), all-reduce of the share
  // of 10 MB between 2 hosts at 1/8 of 10 GB/s (40 us + 8 ms), all-gather as the reduce-scatter.
  const Model model = ModelOf(Hosts({8, 8}), {2, 8});
  EXPECT_DOUBLE_EQ(Time(model, kAllReduce, {0, 1}, 80'000'000), 2 * (7e-6 + 0.7e-3) + 40e-6 + 8e-3);
  EXPECT_DOUBLE_EQ(Time(model, kAllReduce, {0, 1}, 80'000'000),
                   Time(ModelOf(Hosts({8, 8}), {16}), kAllReduce, {0}, 80'000'000));
  // The network card carries 80 MB each way, as in any good algorithm; a flat ring of 16 needs 2 * 15/16 of them.
  EXPECT_GT(2 * 15.0 / 16 * 80e6 / kSlow, 8e-3);
  EXPECT_DOUBLE_EQ(Time(model, kAllGather, {0, 1}, 80'000'000), 7e-6 + 0.7e-3 + 20e-6 + 4e-3);
  EXPECT_DOUBLE_EQ(Time(model, kAllToAll, {0, 1}, 80'000'000), 7e-6 + 0.7e-3 + 20e-6 + 32e-3);
}

TEST(CollectiveTime, AnAxisCanSpanDevicesAndHosts) {
  const Model model = ModelOf(Hosts({4, 4}), {8});
  EXPECT_THAT(model.level_of_axis, ElementsAre(ElementsAre(4, 2)));
  const Model split = ModelOf(Hosts({8, 8}), {4, 4});  // x: 2 devices on each of 2 hosts
  EXPECT_THAT(split.level_of_axis, ElementsAre(ElementsAre(2, 2), ElementsAre(4, 1)));
  // 8 devices send through each card; a group's share of 40 MB is 20 MB.
  EXPECT_DOUBLE_EQ(Time(split, kAllGather, {0}, 40'000'000), 1e-6 + 0.2e-3 + 20e-6 + 10e6 / (kSlow / 8));
}

TEST(CollectiveTime, AcceptsOddSizes) {
  const Model three = ModelOf(Hosts({3}), {3});
  EXPECT_DOUBLE_EQ(Time(three, kAllGather, {0}, 3'000'000), 2e-6 + 2e6 / kFast);
  const Model six = ModelOf(Hosts({6}), {2, 3});
  EXPECT_DOUBLE_EQ(Time(six, kAllGather, {1}, 3'000'000), 2e-6 + 2e6 / kFast);
  const Model seven = ModelOf(Hosts({7, 7}), {2, 7});
  EXPECT_THAT(seven.level_of_axis, ElementsAre(ElementsAre(1, 2), ElementsAre(7, 1)));
  EXPECT_DOUBLE_EQ(Time(seven, kAllGather, {0, 1}, 7'000'000), 6e-6 + 6e6 / kFast + 20e-6 + 0.5e6 / (kSlow / 7));
}

TEST(CollectiveTime, PricesAnAxisThatDoesNotLineUpAsARingOverTheNetwork) {
  // Mesh 2x3 on hosts of 4: rows {0 1 2}, {3 | 4 5}. The second row crosses, alone: 2 steps over the whole network.
  const Model model = ModelOf(Hosts({4, 4}), {2, 3});
  EXPECT_THAT(model.level_of_axis, ElementsAre(ElementsAre(1, 2), ElementsAre(1, 3)));
  EXPECT_FALSE(model.paths[2].aligned);
  EXPECT_DOUBLE_EQ(Time(model, kAllGather, {1}, 3'000'000), 2 * 20e-6 + 2e6 / kSlow);
  EXPECT_THAT(ToString(model), HasSubstr("3 devices across hosts, unevenly"));
  // 12 devices on hosts of 8: one ring, which goes through each card once.
  const Model twelve = ModelOf(Hosts({8, 8}), {12});
  EXPECT_DOUBLE_EQ(Time(twelve, kAllGather, {0}, 12'000'000), 11 * 20e-6 + 11e6 / kSlow);
  // An all-to-all sends from all devices at once.
  EXPECT_DOUBLE_EQ(Time(twelve, kAllToAll, {0}, 12'000'000), 11 * 20e-6 + 11e6 / (kSlow / 8));
}

TEST(CollectiveTime, ASingleDeviceReachesOnlyItsCards) {
  Cluster cluster = Hosts({8, 8});
  for (cluster::Host& host : cluster.hosts) host.device_network_beta = 8 / kSlow;  // each of 8 devices has its card
  const Model model = ModelOf(cluster, {2, 8});
  EXPECT_DOUBLE_EQ(Time(model, kAllGather, {0}, 10'000'000), 20e-6 + 5e6 / (kSlow / 8));  // as without
  cluster.hosts.resize(2);
  cluster.hosts[0].devices = cluster.hosts[1].devices = 1;
  EXPECT_DOUBLE_EQ(Time(ModelOf(cluster, {2}), kAllGather, {0}, 10'000'000), 20e-6 + 5e6 / (kSlow / 8));
}

TEST(CollectiveTime, WaitsForTheSlowestHost) {
  Cluster cluster = Hosts({4, 4});
  cluster.hosts[1].intra.beta *= 2;
  cluster.hosts[1].network.beta *= 3;
  const Model model = ModelOf(cluster, {2, 4});
  EXPECT_DOUBLE_EQ(Time(model, kAllGather, {1}, 4'000'000), 3e-6 + 3e6 / (kFast / 2));
  EXPECT_DOUBLE_EQ(Time(model, kAllGather, {0}, 4'000'000), 20e-6 + 2e6 / (kSlow / 12));
}

// ---------------------------------------------------------------- laws

TEST(CollectiveTime, GrowsWithBytes) {
  const Model model = ModelOf(Hosts({8, 8, 8}), {3, 2, 4});
  for (const CollectiveKind kind : kKinds) {
    for (AxisMask axes = 1; axes < 8; ++axes) {
      double last = 0;
      for (int64_t bytes = 1; bytes < int64_t{1} << 34; bytes *= 3) {
        const double time = CollectiveTime(model, kind, axes, Bytes(bytes)).value;
        EXPECT_GT(time, last);
        EXPECT_TRUE(std::isfinite(time));
        last = time;
      }
    }
  }
}

TEST(CollectiveTime, GrowsWithDevices) {
  for (const CollectiveKind kind : kKinds) {
    for (const int64_t bytes : {0, 1000, 1'000'000, 1'000'000'000}) {
      double last = 0;
      for (int64_t n = 2; n <= 64; ++n) {  // within a host
        const double time = Time(ModelOf(Hosts({64}), {n}), kind, {0}, bytes);
        EXPECT_GE(time, last) << n;
        last = time;
      }
      last = 0;
      for (int64_t n = 2; n <= 128; n *= 2) {  // over hosts of 8 that are used as a whole
        const double time = Time(ModelOf(Hosts(std::vector<int64_t>(16, 8)), {n}), kind, {0}, bytes);
        EXPECT_GE(time, last) << n;
        last = time;
      }
    }
  }
}

TEST(CollectiveTime, AReduceScatterIsBelowTheAllReduceThatItIsAPartOf) {
  for (const std::vector<int64_t>& hosts : {std::vector<int64_t>{8}, {8, 8, 8, 8}, {1, 1, 1, 1, 1, 1, 1, 1}}) {
    const Cluster cluster = Hosts(hosts);
    const Model model = ModelOf(cluster, {cluster.device_count()});
    for (const int64_t bytes : {1, 1000, 1'000'000, 1'000'000'000})
      EXPECT_LT(Time(model, kReduceScatter, {0}, bytes), Time(model, kAllReduce, {0}, bytes)) << bytes;
  }
  // Eight devices, one byte: seven steps of a ring, but three up and three down a tree.
  const double tree = Time(ModelOf(Hosts({8}), {8}), kAllReduce, {0}, 8);
  EXPECT_NEAR(Time(ModelOf(Hosts({8}), {8}), kReduceScatter, {0}, 8), tree, 1e-5 * tree);
}

TEST(CollectiveTime, AnAllReduceIsAtMostAReduceScatterAndAnAllGather) {
  const Model model = ModelOf(Hosts({8, 8}), {2, 2, 4});
  for (AxisMask axes = 1; axes < 8; ++axes) {
    for (const int64_t bytes : {1000, 10'000'000}) {
      EXPECT_LE(CollectiveTime(model, kAllReduce, axes, Bytes(bytes)).value,
                (CollectiveTime(model, kReduceScatter, axes, Bytes(bytes)) +
                 CollectiveTime(model, kAllGather, axes, Bytes(bytes)))
                        .value *
                    (1 + 1e-12));
    }
  }
}

// Bytes that must go through the network card of the busiest host, whatever the algorithm: counted from who is where.
double LeastNetworkBytes(const Cluster& cluster, const cluster::Mesh& mesh, CollectiveKind kind, AxisMask axes,
                         double b) {
  const std::vector<int> host_of = cluster.HostOfDevice();
  std::map<std::vector<int64_t>, std::map<int, double>> members;  // by group: devices on each host
  for (int64_t d = 0; d < mesh.size(); ++d) {
    std::vector<int64_t> group = mesh.Coordinates(d);
    for (size_t a = 0; a < group.size(); ++a) group[a] = (axes >> a & 1) ? 0 : group[a];
    ++members[group][host_of[static_cast<size_t>(d)]];
  }
  std::map<int, double> load;
  for (const auto& [group, hosts] : members) {
    double n = 0;
    for (const auto& [host, m] : hosts) n += m;
    for (const auto& [host, m] : hosts) {
      if (m == n) continue;
      if (kind == kAllReduce) load[host] += b;                                          // its sum out
      if (kind == kAllGather || kind == kReduceScatter) load[host] += (n - m) / n * b;  // what others have, in
      if (kind == kAllToAll) load[host] += m * (n - m) / n * b;
    }
  }
  double most = 0;
  for (const auto& [host, bytes] : load) most = std::max(most, bytes);
  return most;
}

TEST(CollectiveTime, NeverBeatsTheNetworkCard) {
  std::mt19937 random(1);
  auto below = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); };
  for (int round = 0; round < 2000; ++round) {
    std::vector<int64_t> devices;
    for (int64_t h = 2 + below(4); h > 0; --h) devices.push_back(round % 2 == 0 ? 4 : 1 + below(8));
    const Cluster cluster = Hosts(devices);
    const cluster::Mesh mesh = MakeMesh({1 + below(4), 1 + below(4), 1 + below(3)});
    const Result<Model> model = MakeModel(cluster, mesh);
    if (!model.ok()) continue;  // larger than the cluster
    for (const CollectiveKind kind : {kAllReduce, kAllGather, kReduceScatter, kAllToAll}) {
      for (AxisMask axes = 1; axes < 8; ++axes) {
        const double least = LeastNetworkBytes(cluster, mesh, kind, axes, 1e6) / kSlow;
        EXPECT_GE(CollectiveTime(*model, kind, axes, Bytes(1'000'000)).value, least * (1 - 1e-9))
            << ToString(*model) << static_cast<int>(kind) << " over " << axes;
      }
    }
  }
}

// ---------------------------------------------------------------- Alpa's formulas

TEST(AlphaBetaModel, HasAlpasFormulas) {
  // b = 1000, n = 4 along y with alpha 1 and beta 0.1: (n-1)/n b beta = 75.
  const Model model = MakeAlphaBetaModel(MakeMesh({2, 4}), {5, 1}, {0.01, 0.1});
  EXPECT_DOUBLE_EQ(Time(model, kAllGather, {1}, 1000), 1 + 75 + 0.1);
  EXPECT_DOUBLE_EQ(Time(model, kAllReduce, {1}, 1000), 1 + 150 + 0.01);
  EXPECT_DOUBLE_EQ(Time(model, kReduceScatter, {1}, 1000), 1 + 75 + 0.001);
  EXPECT_DOUBLE_EQ(Time(model, kAllToAll, {1}, 1000), 1 + 150 + 0.001);  // 3/16 of 4000 bytes, times 4/2
  EXPECT_DOUBLE_EQ(Time(model, kPermute, {1}, 1000), 1 + 100);
  EXPECT_DOUBLE_EQ(Time(model, kAllReduce, {0}, 1000), 5 + 10 + 0.01);
}

TEST(AlphaBetaModel, TakesAxesOneAfterTheOther) {
  const Model model = MakeAlphaBetaModel(MakeMesh({2, 4}), {5, 1}, {0.01, 0.1});
  EXPECT_DOUBLE_EQ(Time(model, kAllReduce, {0, 1}, 1000), (5 + 10 + 0.01) + (1 + 150 + 0.01));
  EXPECT_DOUBLE_EQ(Time(model, kAllGather, {0, 1}, 1000), (5 + 5 + 0.1) + (1 + 37.5 + 0.1));
}

TEST(AlphaBetaModel, ComputesForNothing) {
  const Model model = MakeAlphaBetaModel(MakeMesh({2, 4}), {1, 1}, {1, 1});
  EXPECT_EQ(ComputeTime(model, Flops(1e12), Bytes(1 << 30), ir::DType::kF32, true).value, 0);
  EXPECT_THAT(ToString(model), HasSubstr("y: alpha 1, beta 1"));
}

}  // namespace
}  // namespace alpa::cost
