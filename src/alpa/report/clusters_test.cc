#include "alpa/report/clusters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace alpa::report {
namespace {

using cluster::Cluster;
using cluster::LoadCluster;
using testing::HasSubstr;

TEST(ClusterText, DescribesDevicesAndHosts) {
  EXPECT_EQ(ClusterText(*LoadCluster("p3.16xlarge:8")),
            "p3.16xlarge:8: 8 hosts, 64 devices\n"
            "\n"
            "V100-16GB\n"
            "  memory           14.50 GiB, 900.00 GB/s, of which kernels reach 83 %\n"
            "  matrix products  f64 7.80 TFLOP/s, f32 15.70 TFLOP/s, bf16 125.00 TFLOP/s, f16 125.00 TFLOP/s; large "
            "ones reach 66 %\n"
            "  everything else  15.70 TFLOP/s\n"
            "  launch           5.00 us\n"
            "\n"
            "hosts                 devices of each   within a host             network of a host\n"
            "host0 .. host7        8 V100-16GB       1.25 us + 123.00 GB/s     30.00 us + 3.12 GB/s\n");
}

TEST(ClusterText, KeepsUnequalHostsApart) {
  Cluster cluster = *LoadCluster("p4d.24xlarge:3");
  cluster.hosts[1].devices = 7;
  const std::string text = ClusterText(cluster);
  EXPECT_THAT(text, HasSubstr("3 hosts, 23 devices"));
  EXPECT_THAT(text, HasSubstr("\nhost0                 8 A100-40GB"));
  EXPECT_THAT(text, HasSubstr("\nhost1                 7 A100-40GB"));
  EXPECT_THAT(text, HasSubstr("20.00 us + 40.00 GB/s, 10.00 GB/s for one device"));
}

TEST(ClusterText, LeavesOutLinksThatNobodyUses) {
  EXPECT_THAT(ClusterText(*LoadCluster("p3.16xlarge:1x1")), HasSubstr("not used                  not used"));
}

TEST(ClusterListText, NamesEachKnownCluster) {
  const std::string text = ClusterListText(cluster::KnownClusters());
  EXPECT_THAT(text, HasSubstr("p3.16xlarge   AWS: 8 V100"));
  EXPECT_THAT(text, HasSubstr("local         this machine"));
}

}  // namespace
}  // namespace alpa::report
