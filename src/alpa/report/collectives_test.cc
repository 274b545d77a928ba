#include "alpa/report/collectives.h"

#include <gtest/gtest.h>

namespace alpa::report {
namespace {

using enum sharding::CollectiveKind;

plan::Plan PlanThatPredicts(std::vector<plan::CollectiveTotal> totals) {
  plan::Plan plan;
  plan.mesh = cluster::MakeMesh({2, 4});
  plan.prediction.emplace().collectives = std::move(totals);
  return plan;
}

TEST(ByteDifference, AddsUpKindByKindAndAxesByAxes) {
  const std::vector<plan::CollectiveTotal> predicted = {{kAllReduce, {0}, 2, Bytes(100)},
                                                        {kAllGather, {1}, 1, Bytes(100)}};
  EXPECT_EQ(ByteDifference(predicted, predicted), 0);
  // 10 bytes more here, and the all-gather over the other axis: 100 gone, 100 new.
  EXPECT_DOUBLE_EQ(ByteDifference(predicted, {{kAllReduce, {0}, 2, Bytes(110)}, {kAllGather, {0}, 1, Bytes(100)}}),
                   210.0 / 200.0);
  EXPECT_EQ(ByteDifference({}, {}), 0);
  EXPECT_EQ(ByteDifference({}, {{kAllToAll, {0}, 1, Bytes(8)}}), 1);
}

TEST(CollectivesLine, SaysWhatAStageCommunicates) {
  const plan::Plan plan = PlanThatPredicts({{kAllReduce, {0}, 12, Bytes(1536)}});
  EXPECT_EQ(CollectivesLine(plan, {{kAllReduce, {0}, 12, Bytes(1536)}, {kAllGather, {1}, 1, Bytes(512)}}),
            "13 collectives of 2.00 KiB per step and device (planned: 1.50 KiB)");
  EXPECT_EQ(CollectivesLine(PlanThatPredicts({}), {}), "");
  plan::Plan by_hand = plan;
  by_hand.prediction.reset();
  EXPECT_EQ(CollectivesLine(by_hand, {{kAllReduce, {0}, 2, Bytes(16)}}), "2 collectives of 16 B per step and device");
}

TEST(CollectivesTable, PutsPredictionAndInsertionSideBySide) {
  const plan::Plan plan = PlanThatPredicts({{kAllReduce, {0}, 12, Bytes(1536)}, {kAllGather, {0, 1}, 2, Bytes(64)}});
  EXPECT_EQ(CollectivesTable(plan, {{kAllReduce, {0}, 12, Bytes(1536)},
                                    {kAllGather, {0, 1}, 3, Bytes(96)},
                                    {kAllToAll, {}, 1, Bytes(16)}}),
            "collectives per step and device              predicted          inserted\n"
            "  all-reduce over x                     12    1.50 KiB    12    1.50 KiB\n"
            "  all-gather over xy                     2        64 B     3        96 B  +50.0 %\n"
            "  all-to-all among other groups          0           -     1        16 B  not predicted\n"
            "inserted bytes differ from the prediction by 3.0 % (1.56 KiB predicted, 1.61 KiB inserted)\n");
}

TEST(CollectivesTable, ShowsWhatIsThereWithoutAPrediction) {
  plan::Plan plan;
  plan.mesh = cluster::MakeMesh({2});
  EXPECT_EQ(CollectivesTable(plan, {}), "no collectives\n");
  EXPECT_EQ(CollectivesTable(plan, {{kReduceScatter, {0}, 1, Bytes(8)}}),
            "collectives per step and device               inserted\n"
            "  reduce-scatter over x                  1         8 B\n");
}

}  // namespace
}  // namespace alpa::report
