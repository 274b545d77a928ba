#include "alpa/cluster/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "alpa/base/file.h"

namespace alpa::cluster {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Key;

Cluster Load(std::string_view text, int64_t default_devices = 1) {
  Result<Cluster> cluster = LoadCluster(text, default_devices);
  EXPECT_TRUE(cluster.ok()) << text << ": " << cluster.error().message;
  return cluster.ok() ? *std::move(cluster) : Cluster{};
}

std::string Message(std::string_view text) {
  const Result<Cluster> cluster = LoadCluster(text);
  EXPECT_FALSE(cluster.ok()) << text;
  return cluster.ok() ? "" : ToString(cluster.error());
}

TEST(LoadCluster, CutsAFileOfOneHostAnew) {
  const std::string path = testing::TempDir() + "/machine.toml";
  ASSERT_TRUE(WriteFileAtomic(path, KnownClusterFile("local").value()).ok());
  const Cluster four = Load(path + ":1x4");
  EXPECT_EQ(four.device_count(), 4);
  EXPECT_EQ(four.device_types, Load("local:1x4").device_types);
  EXPECT_THAT(Message(path + ":4"), HasSubstr("is no size"));
}

TEST(LoadCluster, KnowsItsNames) {
  std::vector<std::string> names;
  for (const auto& [name, description] : KnownClusters()) {
    names.push_back(name);
    EXPECT_FALSE(description.empty()) << name;
    EXPECT_TRUE(Verify(Load(name)).ok());
    EXPECT_TRUE(Verify(Load(name + ":3x2")).ok());
    EXPECT_EQ(Load(name + ":3x2").device_count(), 6);
  }
  EXPECT_THAT(names, ElementsAre("dgx-a100", "dgx-h100", "dgx-h200", "local", "p3.16xlarge", "p4d.24xlarge",
                                 "p5.48xlarge", "tpu-v4", "tpu-v5p"));
}

TEST(LoadCluster, RepeatsHosts) {
  EXPECT_EQ(Load("p3.16xlarge").device_count(), 8);
  const Cluster eight = Load("p3.16xlarge:8");
  EXPECT_EQ(eight.name, "p3.16xlarge:8");
  EXPECT_EQ(eight.hosts.size(), 8U);
  EXPECT_EQ(eight.device_count(), 64);
  EXPECT_EQ(eight.hosts[7].name, "host7");
  EXPECT_EQ(eight.hosts[7].device_type, "V100-16GB");
  EXPECT_DOUBLE_EQ(1 / eight.hosts[7].network.beta, 25e9 / 8);  // 25 Gbit/s, the paper's
  const Cluster part = Load("p3.16xlarge:2x4");
  EXPECT_EQ(part.hosts.size(), 2U);
  EXPECT_EQ(part.device_count(), 8);
}

TEST(LoadCluster, SharesThisMachine) {
  const Cluster one = Load("local");
  const Cluster eight = Load("local:2x4");
  EXPECT_EQ(one.device_count(), 1);
  EXPECT_EQ(Load("local", 6).hosts.size(), 1U);
  EXPECT_EQ(Load("local", 6).device_count(), 6);
  EXPECT_EQ(eight.hosts.size(), 2U);
  EXPECT_EQ(eight.hosts[1].devices, 4);
  const DeviceType& whole = one.device_types.at("CPU");
  const DeviceType& part = eight.device_types.at("CPU");
  EXPECT_DOUBLE_EQ(part.matrix_flops.at("f32") * 8, whole.matrix_flops.at("f32"));
  EXPECT_DOUBLE_EQ(part.memory_bandwidth * 8, whole.memory_bandwidth);
  EXPECT_EQ(part.memory.value, whole.memory.value / 8);
}

TEST(LoadCluster, RefusesBadNames) {
  EXPECT_THAT(Message("p3.16xlarge:0"),
              AllOf(HasSubstr("cluster p3.16xlarge:0: \"0\" is no size"), HasSubstr("p3.16xlarge:8 (8 hosts)")));
  for (const char* const text : {"local:2x", "local:x2", "local:", "local:2", "local:2x4x1", "local:-2x4", "local:0x4",
                                 "local:2 x4", "local:2x4 ", "local:99999999999999999999x1"}) {
    EXPECT_THAT(Message(text), AllOf(HasSubstr("is no size"), HasSubstr("local:2x4 (2 hosts of 4 devices)"))) << text;
  }
  for (const char* const text : {"p3.16xlarge:", "p3.16xlarge:x", "p3.16xlarge:2x0", "p3.16xlarge:1.5"}) {
    EXPECT_THAT(Message(text), HasSubstr("is no size")) << text;
  }
  EXPECT_THAT(Message("p3.16xlarge:2x9"), HasSubstr("each host has 8 devices, not 9"));
  EXPECT_THAT(Message("p3.16xlarge:10000"), HasSubstr("more than 65536 devices"));
  EXPECT_THAT(Message("p3.16xlarge:65536x8"), HasSubstr("more than 65536 devices"));
  EXPECT_THAT(Message("foo"), AllOf(HasSubstr("there is no cluster \"foo\""), HasSubstr("known: dgx-a100, ")));
  EXPECT_THAT(Message("p3.16large:8"), HasSubstr("did you mean p3.16xlarge?"));
  EXPECT_THAT(Message(""), HasSubstr("there is no cluster \"\""));
  EXPECT_THAT(Message("src"), HasSubstr("there is no cluster \"src\""));  // a folder is no file
}

TEST(LoadCluster, ReadsFiles) {
  const std::string path = testing::TempDir() + "/lab.toml";
  const Result<std::string> text = KnownClusterFile("p3.16xlarge");
  ASSERT_TRUE(text.ok());
  ASSERT_TRUE(WriteFileAtomic(path, *text).ok());
  EXPECT_EQ(Load(path).device_types, Load("p3.16xlarge").device_types);

  ASSERT_TRUE(WriteFileAtomic(path,
                              "[[host]]\nlike = \"p3.16xlarge\"\n[[host]]\ndevice = \"A100-40GB\"\ndevices = 1\n"
                              "network = { latency = \"5 us\", bandwidth = \"10 Gbit/s\" }\n")
                  .ok());
  const Cluster mixed = Load(path);
  EXPECT_EQ(mixed.device_count(), 9);
  EXPECT_THAT(mixed.device_types, Contains(Key("A100-40GB")));

  ASSERT_TRUE(WriteFileAtomic(path, "[[host]]\ndevice = \"V100\"\n").ok());
  EXPECT_THAT(Message(path), AllOf(HasSubstr("lab.toml:2: host.device: unknown device type \"V100\""),
                                   HasSubstr("A100-40GB, A100-80GB")));
  std::filesystem::remove(path);
  const Result<Cluster> missing = LoadCluster(path);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::kNotFound);
}

TEST(LoadCluster, SharesTheMachineOfAVirtualFile) {
  const std::string path = testing::TempDir() + "/virtual.toml";
  std::string text = *KnownClusterFile("local");
  text.replace(text.find("devices = 1"), 11, "devices = 4");
  ASSERT_TRUE(WriteFileAtomic(path, text).ok());
  EXPECT_EQ(Load(path).device_types, Load("local:1x4").device_types);
  std::filesystem::remove(path);
}

TEST(Cluster, VerifyRefusesWhatCannotBe) {
  const Cluster good = Load("p3.16xlarge:2");
  auto message = [&](auto change) {
    Cluster cluster = good;
    change(&cluster);
    const Status status = Verify(cluster);
    return status.ok() ? "" : status.error().message;
  };
  auto type = [](Cluster* c) -> DeviceType& { return c->device_types.at("V100-16GB"); };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(message([](Cluster*) {}), "");
  EXPECT_THAT(message([](Cluster* c) { c->hosts.clear(); }), HasSubstr("has no host"));
  EXPECT_THAT(message([&](Cluster* c) { type(c).memory = Bytes(0); }), HasSubstr("memory"));
  EXPECT_THAT(message([&](Cluster* c) { type(c).memory_bandwidth = kNan; }), HasSubstr("memory_bandwidth"));
  EXPECT_THAT(message([&](Cluster* c) { type(c).matrix_flops.clear(); }), HasSubstr("f32"));
  EXPECT_THAT(message([&](Cluster* c) { type(c).matrix_flops["tf32"] = 1; }), HasSubstr("tf32"));
  EXPECT_THAT(message([&](Cluster* c) { type(c).matrix_flops["f16"] = -1; }), HasSubstr("matrix.f16"));
  EXPECT_THAT(message([&](Cluster* c) { type(c).vector_flops = 0; }), HasSubstr("vector"));
  EXPECT_THAT(message([&](Cluster* c) { type(c).matrix_efficiency = 1.5; }), HasSubstr("matrix_efficiency"));
  EXPECT_THAT(message([&](Cluster* c) { type(c).bandwidth_efficiency = 0; }), HasSubstr("bandwidth_efficiency"));
  EXPECT_THAT(message([&](Cluster* c) { type(c).launch = Seconds(-1); }), HasSubstr("launch"));
  EXPECT_THAT(message([](Cluster* c) { c->hosts[1].devices = 0; }), HasSubstr("host1: must have at least 1 device"));
  EXPECT_THAT(message([](Cluster* c) { c->hosts[1].device_type = "T4"; }), HasSubstr("unknown device type T4"));
  EXPECT_THAT(message([](Cluster* c) { c->hosts[1].intra.beta = 0; }), HasSubstr("intra: its bandwidth"));
  EXPECT_THAT(message([](Cluster* c) { c->hosts[1].network.alpha = Seconds(-1); }), HasSubstr("network: its latency"));
  EXPECT_THAT(message([](Cluster* c) { c->hosts[1].device_network_beta = kNan; }), HasSubstr("bandwidth_per_device"));
  EXPECT_THAT(message([](Cluster* c) { c->hosts[1].devices = 1 << 20; }), HasSubstr("more than 65536 devices"));
}

}  // namespace
}  // namespace alpa::cluster
