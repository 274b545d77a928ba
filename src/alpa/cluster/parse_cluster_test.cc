// Each test text is a good file with one thing wrong; the messages name file, line and key.
#include "alpa/cluster/parse_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace alpa::cluster {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// Lines are counted from 1.
constexpr std::string_view kGood = R"(name = "lab"
[device.V100]
memory = "16 GiB"
memory_bandwidth = "900 GB/s"
matrix = { f16 = "125 TFLOP/s", f32 = "15.7 TFLOP/s" }
vector = "15.7 TFLOP/s"
matrix_efficiency = 0.5
launch = "5 us"

[[host]]
device = "V100"
count = 2
devices = 8
intra = { latency = "1 us", bandwidth = "100 GB/s" }
network = { latency = "30 us", bandwidth = "25 Gbit/s", bandwidth_per_device = "10 Gbit/s" }
)";

Result<ClusterFile> Parse(std::string_view text) { return ParseCluster(text, "lab.toml"); }

// The message for kGood with `from` replaced by `to`.
std::string Message(std::string_view from, std::string_view to) {
  std::string text(kGood);
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  const Result<ClusterFile> file = Parse(text);
  EXPECT_FALSE(file.ok()) << text;
  if (file.ok()) return "";
  EXPECT_EQ(file.error().code, Code::kInvalidInput);
  return ToString(file.error());
}

TEST(ParseCluster, ReadsAllOfAFile) {
  const Result<ClusterFile> file = Parse(kGood);
  ASSERT_TRUE(file.ok()) << file.error().message;
  const Cluster& cluster = file->cluster;
  EXPECT_EQ(cluster.name, "lab");
  const DeviceType& v100 = cluster.device_types.at("V100");
  EXPECT_EQ(v100.memory, Bytes(int64_t{16} << 30));
  EXPECT_EQ(v100.memory_bandwidth, 900e9);
  EXPECT_EQ(v100.matrix_flops, (std::map<std::string, double>{{"f16", 125e12}, {"f32", 15.7e12}}));
  EXPECT_EQ(v100.vector_flops, 15.7e12);
  EXPECT_EQ(v100.matrix_efficiency, 0.5);
  EXPECT_EQ(v100.bandwidth_efficiency, 1);  // not given
  EXPECT_EQ(v100.launch, Seconds(5e-6));
  ASSERT_EQ(cluster.hosts.size(), 2U);
  EXPECT_EQ(cluster.device_count(), 16);
  EXPECT_EQ(cluster.hosts[0].name, "host0-0");
  EXPECT_EQ(cluster.hosts[1].name, "host0-1");
  EXPECT_EQ(cluster.hosts[1].intra, (Link{Seconds(1e-6), 1 / 100e9}));
  EXPECT_EQ(cluster.hosts[1].network, (Link{Seconds(30e-6), 1 / 3.125e9}));
  EXPECT_EQ(cluster.hosts[1].device_network_beta, 1 / 1.25e9);
}

TEST(ParseCluster, ReadsHostsOfSeveralKinds) {
  const std::string text = std::string(kGood) + R"([[host]]
name = "broken"
device = "V100"
devices = 7
intra = { latency = "1 us", bandwidth = "100 GB/s" }
network = { latency = "30 us", bandwidth = "25 Gbit/s" }
)";
  const Result<ClusterFile> file = Parse(text);
  ASSERT_TRUE(file.ok()) << file.error().message;
  ASSERT_EQ(file->cluster.hosts.size(), 3U);
  EXPECT_EQ(file->cluster.hosts[2].name, "broken");
  EXPECT_EQ(file->cluster.hosts[2].devices, 7);
  EXPECT_THAT(file->cluster.HostOfDevice(),
              ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2));
}

TEST(ParseCluster, TakesHostsLikeKnownOnes) {
  const ClusterFile good = *Parse(kGood);
  const KnownParts known{good.cluster.device_types, {{"big", good.cluster.hosts[0]}}};
  const Result<ClusterFile> file =
      ParseCluster("[[host]]\nlike = \"big\"\ncount = 3\n[[host]]\nlike = \"big\"\ndevices = 7\n", "x.toml", known);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->cluster.device_count(), 31);
  EXPECT_EQ(file->cluster.hosts[3].devices, 7);
  EXPECT_EQ(file->cluster.hosts[3].intra, good.cluster.hosts[0].intra);
  EXPECT_EQ(file->cluster.device_types, good.cluster.device_types);

  const Result<ClusterFile> unknown = ParseCluster("[[host]]\nlike = \"bug\"\n", "x.toml", known);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(ToString(unknown.error()),
            "x.toml:2: host.like: no cluster \"bug\" ships with alpa\n  did you mean big? known: big");
}

TEST(ParseCluster, OneDeviceNeedsNoLinks) {
  std::string text(kGood.substr(0, kGood.find("count")));
  const Result<ClusterFile> file = Parse(text);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->cluster.device_count(), 1);
}

TEST(ParseCluster, NamesMissingKeysAndWhereTheirTableBegins) {
  EXPECT_EQ(Message("memory = \"16 GiB\"\n", ""),
            "lab.toml:2: device.V100.memory: is missing\n  add memory = \"16 GiB\"");
  EXPECT_THAT(Message("memory_bandwidth = \"900 GB/s\"\n", ""), StartsWith("lab.toml:2: device.V100.memory_bandwidth"));
  EXPECT_THAT(Message("matrix = { f16 = \"125 TFLOP/s\", f32 = \"15.7 TFLOP/s\" }\n", ""),
              StartsWith("lab.toml:2: device.V100.matrix: is missing"));
  EXPECT_THAT(Message(", f32 = \"15.7 TFLOP/s\"", ""), StartsWith("lab.toml:5: device.V100.matrix.f32: is missing"));
  EXPECT_THAT(Message("vector = \"15.7 TFLOP/s\"\n", ""), StartsWith("lab.toml:2: device.V100.vector: is missing"));
  EXPECT_THAT(Message("launch = \"5 us\"\n", ""), StartsWith("lab.toml:2: device.V100.launch: is missing"));
  EXPECT_THAT(Message("device = \"V100\"\n", ""), StartsWith("lab.toml:10: host.device: is missing"));
  EXPECT_THAT(Message("intra = { latency = \"1 us\", bandwidth = \"100 GB/s\" }\n", ""),
              StartsWith("lab.toml:10: host: lacks intra, the way between its 8 devices"));
  EXPECT_THAT(Message("latency = \"1 us\", ", ""), StartsWith("lab.toml:14: host.intra.latency: is missing"));
  EXPECT_THAT(Message(", bandwidth = \"25 Gbit/s\"", ""),
              StartsWith("lab.toml:15: host.network.bandwidth: is missing"));
}

TEST(ParseCluster, NeedsANetworkBetweenHosts) {
  const std::string line =
      "network = { latency = \"30 us\", bandwidth = \"25 Gbit/s\", bandwidth_per_device = \"10 Gbit/s\" }\n";
  EXPECT_THAT(Message(line, ""), StartsWith("lab.toml:10: host: lacks network, the way to the other hosts"));
}

TEST(ParseCluster, RefusesNumbersThatCannotBe) {
  EXPECT_EQ(Message("\"16 GiB\"", "\"-16 GiB\""), "lab.toml:3: device.V100.memory: \"-16 GiB\" is negative");
  EXPECT_EQ(Message("\"900 GB/s\"", "\"0 GB/s\""),
            "lab.toml:4: device.V100.memory_bandwidth: \"0 GB/s\" must be above 0");
  EXPECT_THAT(Message("\"900 GB/s\"", "\"nan GB/s\""), HasSubstr("does not begin with a number"));
  EXPECT_THAT(Message("\"900 GB/s\"", "\"inf GB/s\""), HasSubstr("does not begin with a number"));
  EXPECT_THAT(Message("\"16 GiB\"", "\"1e18 GiB\""), StartsWith("lab.toml:3: device.V100.memory: is out of range"));
  EXPECT_THAT(Message("\"16 GiB\"", "\"0.1 B\""), StartsWith("lab.toml:3: device.V100.memory: is out of range"));
  EXPECT_THAT(Message("f16 = \"125 TFLOP/s\"", "f16 = \"-1 TFLOP/s\""),
              StartsWith("lab.toml:5: device.V100.matrix.f16: \"-1 TFLOP/s\" is negative"));
  EXPECT_THAT(Message("\"5 us\"", "\"-5 us\""), StartsWith("lab.toml:8: device.V100.launch: \"-5 us\" is negative"));
  for (const char* const share : {"0", "0.0", "-0.5", "1.01", "nan", "inf"}) {
    EXPECT_THAT(Message("0.5", share),
                AllOf(StartsWith("lab.toml:7: device.V100.matrix_efficiency: "), HasSubstr("at most 1")));
  }
  EXPECT_THAT(Message("count = 2", "count = 0"), StartsWith("lab.toml:12: host.count: 0 is not from 1 to 65536"));
  EXPECT_THAT(Message("devices = 8", "devices = -8"),
              StartsWith("lab.toml:13: host.devices: -8 is not from 1 to 1024"));
  EXPECT_THAT(Message("count = 2", "count = 60000"), HasSubstr("host: the cluster has more than 65536 devices"));
}

TEST(ParseCluster, RefusesValuesOfAnotherKind) {
  EXPECT_EQ(
      Message("\"16 GiB\"", "17179869184"),
      "lab.toml:3: device.V100.memory: must be a string with a unit, is a plain number\n  write memory = \"16 GiB\"");
  EXPECT_THAT(Message("\"16 GiB\"", "\"16\""), StartsWith("lab.toml:3: device.V100.memory: \"16\" has no unit"));
  EXPECT_THAT(Message("\"16 GiB\"", "\"16 GB/s\""), HasSubstr("a unit that does not fit here"));
  EXPECT_THAT(Message("0.5", "\"0.5\""), HasSubstr("must be a number above 0 and at most 1, is a string"));
  EXPECT_THAT(Message("devices = 8", "devices = \"8\""),
              HasSubstr("host.devices: must be a whole number, is a string"));
  EXPECT_THAT(Message("devices = 8", "devices = 8.5"), HasSubstr("must be a whole number, is a plain number"));
  EXPECT_THAT(Message("name = \"lab\"", "name = 7"), StartsWith("lab.toml:1: name: must be a string"));
  EXPECT_THAT(Message("name = \"lab\"", "virtual = 1"), StartsWith("lab.toml:1: virtual: must be true or false"));
  EXPECT_THAT(Message("intra = { latency = \"1 us\", bandwidth = \"100 GB/s\" }", "intra = \"fast\""),
              StartsWith("lab.toml:14: host.intra: must be a table, is a string"));
  EXPECT_THAT(Message("[[host]]", "[host]"), StartsWith("lab.toml:10: host: must be an array of tables"));
}

TEST(ParseCluster, RefusesUnknownKeysWithASuggestion) {
  EXPECT_THAT(Message("memory_bandwidth", "memory_bandwith"),
              AllOf(StartsWith("lab.toml:4: device.V100.memory_bandwith: unknown key"),
                    HasSubstr("did you mean memory_bandwidth?")));
  EXPECT_THAT(Message("f16", "fp16"),
              AllOf(StartsWith("lab.toml:5: device.V100.matrix.fp16: unknown key"), HasSubstr("did you mean f16?")));
  EXPECT_THAT(Message("count", "cuont"), StartsWith("lab.toml:12: host.cuont: unknown key"));
  EXPECT_THAT(Message("latency = \"30 us\"", "delay = \"30 us\""),
              AllOf(StartsWith("lab.toml:15: host.network.delay: unknown key"),
                    HasSubstr("\n  known: latency, bandwidth, bandwidth_per_device")));
  EXPECT_THAT(Message("name = \"lab\"", "nodes = 3"), StartsWith("lab.toml:1: nodes: unknown key"));
}

TEST(ParseCluster, RefusesUnknownDeviceTypesAndListsTheKnown) {
  EXPECT_EQ(Message("device = \"V100\"", "device = \"V10\""),
            "lab.toml:11: host.device: unknown device type \"V10\"\n  did you mean V100? known: V100");
}

TEST(ParseCluster, RefusesFilesWithoutHosts) {
  EXPECT_EQ(ToString(Parse("").error()),
            "lab.toml:1: the cluster has no host\n  add a table [[host]] for each kind of host");
  EXPECT_THAT(ToString(Parse("host = []").error()), StartsWith("lab.toml:1: host: is empty"));
  EXPECT_THAT(ToString(Parse("host = [1]").error()), StartsWith("lab.toml:1: host: must be an array of tables"));
}

TEST(ParseCluster, RefusesWhatIsNoToml) {
  EXPECT_THAT(Message("[device.V100]", "[device.V100"), StartsWith("lab.toml:2: "));
  EXPECT_THAT(Message("vector = \"15.7 TFLOP/s\"", "memory = \"1 GiB\""), StartsWith("lab.toml:6: "));  // twice
  EXPECT_THAT(ToString(Parse("\xff\xfe").error()), StartsWith("lab.toml:1: "));
}

TEST(ParseCluster, SurvivesDamagedFiles) {
  // Each text is kGood with one byte replaced, left out or doubled; whatever it means, there is a cluster or a message.
  int refused = 0;
  for (size_t at = 0; at < kGood.size(); ++at) {
    for (const std::string& piece :
         {std::string("9"), std::string("\""), std::string("-"), std::string("\n"), std::string("="), std::string("]"),
          std::string("\xff"), std::string(1, '\0'), std::string(), std::string(2, kGood[at])}) {
      std::string text(kGood);
      text.replace(at, 1, piece);
      const Result<ClusterFile> file = Parse(text);
      if (file.ok()) {
        EXPECT_TRUE(Verify(file->cluster).ok());
      } else {
        ++refused;
        EXPECT_THAT(file.error().message, testing::MatchesRegex("lab.toml:[0-9]+: .*")) << text;
      }
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(ShareMachine, GivesEachDeviceItsPart) {
  Cluster cluster = Parse(kGood)->cluster;  // 16 devices
  ShareMachine(&cluster);
  const DeviceType& type = cluster.device_types.at("V100");
  EXPECT_EQ(type.memory, Bytes(int64_t{1} << 30));
  EXPECT_DOUBLE_EQ(type.memory_bandwidth, 900e9 / 16);
  EXPECT_DOUBLE_EQ(type.matrix_flops.at("f16"), 125e12 / 16);
  EXPECT_DOUBLE_EQ(type.vector_flops, 15.7e12 / 16);
  EXPECT_DOUBLE_EQ(type.launch.value, 80e-6);
  EXPECT_DOUBLE_EQ(cluster.hosts[0].intra.alpha.value, 16e-6);
  EXPECT_DOUBLE_EQ(1 / cluster.hosts[0].intra.beta, 100e9);
  EXPECT_DOUBLE_EQ(cluster.hosts[0].network.alpha.value, 480e-6);
  EXPECT_DOUBLE_EQ(1 / cluster.hosts[0].network.beta, 8 * 3.125e9);  // each of 8 devices has 25 Gbit/s
}

}  // namespace
}  // namespace alpa::cluster
