#include "alpa/profile/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alpa/cluster/parse_cluster.h"

namespace alpa::profile {
namespace {

using sharding::CollectiveKind;

TEST(Median, IsTheMiddleAndTheLowerOfTwo) {
  EXPECT_EQ(Median({3, 1, 2}), 2);
  EXPECT_EQ(Median({4, 1, 3, 2}), 2);
}

// Latency 1 s, 0.5 s per byte: an all-reduce of nothing takes 2 log2 N steps; a ring of b bytes (N-1) and (N-1)/N b
// / 2.
TEST(FitLink, FindsTheLinkThatMadeTheTimes) {
  const std::vector<CollectiveTime> times = {
      {CollectiveKind::kAllReduce, 2, Bytes(1), Seconds(2)},
      {CollectiveKind::kAllReduce, 4, Bytes(1), Seconds(4)},
      {CollectiveKind::kAllReduce, 2, Bytes(8), Seconds(2 + 4)},
      {CollectiveKind::kAllGather, 4, Bytes(16), Seconds(3 + 6)},
      {CollectiveKind::kAllToAll, 2, Bytes(8), Seconds(1 + 2)},
  };
  EXPECT_EQ(FitLink(times, false), (LinkFit{Seconds(1), 0.5}));
}

TEST(FitLink, OnePointFarOffDoesNotCount) {
  std::vector<CollectiveTime> times = {{CollectiveKind::kAllReduce, 2, Bytes(1), Seconds(2)},
                                       {CollectiveKind::kAllReduce, 2, Bytes(8), Seconds(2 + 4)},
                                       {CollectiveKind::kAllGather, 2, Bytes(8), Seconds(1 + 2)},
                                       {CollectiveKind::kAllToAll, 2, Bytes(8), Seconds(1000)}};
  EXPECT_EQ(FitLink(times, false).beta, 0.5);
}

// On a machine that devices share, a message takes as many times the latency as there are devices.
TEST(FitLink, SharedDevicesTakeTurns) {
  const std::vector<CollectiveTime> times = {{CollectiveKind::kAllReduce, 4, Bytes(1), Seconds(16)},
                                             {CollectiveKind::kAllGather, 4, Bytes(16), Seconds(12 + 6)}};
  EXPECT_EQ(FitLink(times, true), (LinkFit{Seconds(1), 0.5}));
}

TEST(Machine, FileSaysWhatWasMeasured) {
  Machine m;
  m.name = "two cores";
  m.date = "today";
  m.devices = 4;
  m.memory = Bytes(int64_t{8} << 30);
  m.f32 = 200e9;
  m.bf16 = 100e9;
  m.vector = 30e9;
  m.bandwidth = 50e9;
  m.launch = Seconds(1e-6);
  m.slowdown = 3.9;
  m.link = {Seconds(4e-6), 1 / 2e9};
  m.copy = {"copy from mesh to mesh", 3e9, "B/s"};
  m.collectives = {{CollectiveKind::kAllReduce, 2, Bytes(4096), Seconds(2e-5), Seconds(4e-5)}};
  const auto file = cluster::ParseCluster(ToToml(m), "machine.toml");
  ASSERT_TRUE(file.ok()) << ToString(file.error());
  EXPECT_TRUE(file->is_virtual);
  const cluster::DeviceType& type = file->cluster.device_types.at("measured");
  EXPECT_EQ(type.memory, m.memory);
  EXPECT_DOUBLE_EQ(type.matrix_flops.at("f32"), 200e9);
  EXPECT_DOUBLE_EQ(type.matrix_flops.at("bf16"), 100e9);
  EXPECT_DOUBLE_EQ(type.memory_bandwidth, 50e9);
  EXPECT_DOUBLE_EQ(file->cluster.hosts[0].intra.beta, 1 / 2e9);
  EXPECT_DOUBLE_EQ(file->cluster.hosts[0].intra.alpha.value, 4e-6);
  EXPECT_EQ(file->cluster.device_count(), 4);
  EXPECT_THAT(ToToml(m), testing::HasSubstr("4 devices that multiply matrices at the same time take 3.90 x"));
  EXPECT_THAT(ToToml(m), testing::HasSubstr("factor of 2.00 in the middle"));
}

TEST(Machine, OneDeviceHasNoLinks) {
  Machine m;
  m.memory = Bytes(int64_t{8} << 30);
  m.f32 = m.bf16 = m.vector = m.bandwidth = 1e9;
  m.shared = false;
  const auto file = cluster::ParseCluster(ToToml(m), "machine.toml");
  ASSERT_TRUE(file.ok()) << ToString(file.error());
  EXPECT_FALSE(file->is_virtual);
  EXPECT_EQ(file->cluster.device_count(), 1);
}

}  // namespace
}  // namespace alpa::profile
