// Probes contain the collectives that they are there for, one more per link.
#include <gtest/gtest.h>

#include "alpa/driver/time_probe.h"

namespace alpa::driver {
namespace {

using sharding::CollectiveKind;

class CollectiveProbe : public testing::TestWithParam<CollectiveKind> {};

TEST_P(CollectiveProbe, CommunicatesInEveryLink) {
  const auto engine = xla::LoadEngine();
  ASSERT_TRUE(engine.ok());
  const auto client = (*engine)->CreateCpuClient(4);
  ASSERT_TRUE(client.ok());
  int64_t inside[2] = {};
  for (const int i : {0, 1}) {
    const auto time = TimeProbe(**engine, **client, profile::Collectives(GetParam(), 4, 1024, 1 + 3 * i), 4,
                                profile::LayoutOf(GetParam()), GetParam());
    ASSERT_TRUE(time.ok()) << ToString(time.error());
    EXPECT_GT(time->seconds, 0);
    inside[i] = time->inside;
  }
  EXPECT_EQ(inside[1] - inside[0], GetParam() == CollectiveKind::kAllToAll ? 6 : 3);
}

INSTANTIATE_TEST_SUITE_P(Kinds, CollectiveProbe,
                         testing::Values(CollectiveKind::kAllReduce, CollectiveKind::kAllGather,
                                         CollectiveKind::kAllToAll));

}  // namespace
}  // namespace alpa::driver
