// Plans written out, balance of senders and receivers, and the time that planning takes.
#include "alpa/reshard/transfer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <map>

#include "alpa/reshard/test_support.h"

namespace alpa::reshard {
namespace {

std::map<int, int64_t> BytesBySender(const Transfer& t) {
  std::map<int, int64_t> out;
  for (const Copy& copy : t.across) out[copy.from] += BytesOf(copy, t.shape).value;
  return out;
}

std::map<int, int64_t> BytesByReceiver(const Transfer& t) {
  std::map<int, int64_t> out;
  for (const Copy& copy : t.across) out[copy.to] += BytesOf(copy, t.shape).value;
  return out;
}

TEST(PlanTransfer, SendsWhatShardsHaveInCommon) {
  const Transfer t = Plan({4, 6}, "[x,]", PlaceOn({2}, 0, 2), "[,x]", PlaceOn({2}, 1, 2));
  EXPECT_EQ(ToString(t),
            "s32[4,6] [x,] on 2 to [,x] on 2\n"
            "0 -> 0 [0:2,0:3]\n"
            "1 -> 0 [2:4,0:3]\n"
            "0 -> 1 [0:2,3:6]\n"
            "1 -> 1 [2:4,3:6]");
}

TEST(PlanTransfer, SendsCopiesInPartsAndSpreadsThem) {
  // Alpa, figure 7: both devices of the target want all; each is sent half.
  const Transfer t = Plan({4}, "[-]", PlaceOn({2}, 0, 2), "[-]", PlaceOn({2}, 1, 2));
  EXPECT_EQ(ToString(t),
            "s32[4] [-] on 2 to [-] on 2\n"
            "0 -> 0 [0:2]\n"
            "1 -> 1 [2:4]\n"
            "local\n"
            "0 -> 1 [0:2]\n"
            "1 -> 0 [2:4]");
}

TEST(PlanTransfer, SendsAllToEachWithoutLocalGather) {
  const Transfer t = Plan({4}, "[-]", PlaceOn({2}, 0, 2), "[-]", PlaceOn({2}, 1, 2), {.local_gather = false});
  EXPECT_EQ(ToString(t),
            "s32[4] [-] on 2 to [-] on 2\n"
            "0 -> 0 [0:4]\n"
            "1 -> 1 [0:4]");
}

TEST(PlanTransfer, LeavesSlicesWholeWhereTheyGoRound) {
  // Two slices for two devices: one each, not halves of both.
  const Transfer t = Plan({4}, "[x]", PlaceOn({2}, 0, 2), "[-]", PlaceOn({2}, 1, 2));
  EXPECT_EQ(ToString(t),
            "s32[4] [x] on 2 to [-] on 2\n"
            "0 -> 0 [0:2]\n"
            "1 -> 1 [2:4]\n"
            "local\n"
            "0 -> 1 [0:2]\n"
            "1 -> 0 [2:4]");
}

TEST(PlanTransfer, CutsOddExtentsIntoPartsThatDifferByARow) {
  const Transfer t = Plan({5}, "[-]", PlaceOn({1}, 0, 1), "[-]", PlaceOn({3}, 1, 3));
  EXPECT_EQ(BytesByReceiver(t), (std::map<int, int64_t>{{0, 4}, {1, 8}, {2, 8}}));
}

TEST(PlanTransfer, CutsSeveralDimensionsWhereOneIsTooShort) {
  const Transfer t = Plan({2, 3}, "[,]", PlaceOn({1}, 0, 1), "[,]", PlaceOn({6}, 1, 6));
  EXPECT_EQ(t.across.size(), 6u);
}

TEST(PlanTransfer, TakesFromTheSameHostWhatIsThere) {
  // Hosts 0 and 1 hold a half each; the target's devices, one on each, want the other dimension's halves.
  const Transfer t = Plan({2, 2}, "[x,]", PlaceOn({2}, 0, 1), "[,x]", PlaceOn({2}, 0, 1));
  const LinkBytes bytes = BytesPerLink(t);
  EXPECT_EQ(bytes.within.value, 8);
  EXPECT_EQ(bytes.across.value, 8);
  EXPECT_EQ(bytes.out, (std::map<int, Bytes>{{0, Bytes(4)}, {1, Bytes(4)}}));
  EXPECT_EQ(bytes.in, (std::map<int, Bytes>{{0, Bytes(4)}, {1, Bytes(4)}}));
}

TEST(PlanTransfer, KeepsWhatADeviceHas) {
  Place place = PlaceOn({2}, 0, 2);
  place.devices = {6, 7};
  EXPECT_EQ(ToString(Plan({4}, "[-]", place, "[x]", place)),
            "s32[4] [-] on 2 to [x] on 2\n"
            "0 -> 0 [0:2]\n"
            "1 -> 1 [2:4]");
  const LinkBytes bytes = BytesPerLink(Plan({4}, "[x]", place, "[-]", place));
  EXPECT_EQ(bytes.kept.value, 16);
  EXPECT_EQ(bytes.within.value, 16);
}

TEST(PlanTransfer, CrossesOnceIntoAPlaceOfSeveralHosts) {
  // 64 bytes from host 0 to two hosts of two devices: they leave host 0 once and are passed on, half each way.
  const LinkBytes bytes = BytesPerLink(Plan({16}, "[x]", PlaceOn({4}, 0, 4), "[-]", PlaceOn({4}, 1, 2)));
  EXPECT_EQ(bytes.across.value, 64);
  EXPECT_EQ(bytes.spread_across.value, 64);
  EXPECT_EQ(bytes.spread_within.value, 128);
  EXPECT_EQ(bytes.out, (std::map<int, Bytes>{{0, Bytes(64)}, {1, Bytes(32)}, {2, Bytes(32)}}));
  EXPECT_EQ(bytes.in, (std::map<int, Bytes>{{1, Bytes(64)}, {2, Bytes(64)}}));
}

TEST(PlanTransfer, BalancesSendersReceiversAndHosts) {
  const Place source = PlaceOn({2, 4}, 0, 4);
  const Place target = PlaceOn({2, 4}, 2, 4);
  for (const char* from : {"[,]", "[x,]", "[,x]", "[y,]", "[xy,]", "[x,y]", "[y,x]"}) {
    for (const char* to : {"[,]", "[x,]", "[,x]", "[y,]", "[xy,]", "[x,y]", "[y,x]"}) {
      const Transfer t = Plan({16, 16}, from, source, to, target);
      for (const auto& bytes : {BytesBySender(t), BytesByReceiver(t)}) {
        EXPECT_EQ(bytes.size(), 8u) << ToString(t);
        for (const auto& [device, sum] : bytes) EXPECT_EQ(sum, 128) << ToString(t);
      }
      const LinkBytes links = BytesPerLink(t);
      EXPECT_EQ(links.across.value, 1024) << ToString(t);
      EXPECT_EQ(links.out.at(0), links.out.at(1)) << ToString(t);
      EXPECT_EQ(links.in.at(2), links.in.at(3)) << ToString(t);
    }
  }
}

// No sender has more than its share and a slice, wherever all of them could have sent.
TEST(PlanTransfer, KeepsSendersWithinASliceOfTheMean) {
  for (const int target_devices : {1, 2, 3, 4, 5, 6, 7, 8}) {
    const Transfer t = Plan({840}, "[-]", PlaceOn({4}, 0, 4), "[x]", PlaceOn({target_devices}, 1, 8));
    const int64_t slice = 840 * 4 / target_devices;
    for (const auto& [device, sum] : BytesBySender(t)) EXPECT_LE(sum, (840 * 4 + 3) / 4 + slice);
    EXPECT_EQ(BytesBySender(t).size(), static_cast<size_t>(std::min(4, target_devices)));
  }
}

double Milliseconds(const std::function<void()>& work) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

// Limits are ten times what was measured: this test runs beside others.
TEST(PlanTransfer, TakesMillisecondsForManyDevices) {
  const Place a = PlaceOn({8, 8}, 0, 8);
  const Place b = PlaceOn({8, 8}, 8, 8);
  double worst = 0;
  for (const char* from : {"[,]", "[x,y]", "[xy,]", "[,xy]"}) {
    for (const char* to : {"[,]", "[x,y]", "[xy,]", "[,xy]"}) {
      const double ms = Milliseconds([&] { Plan({1024, 4096}, from, a, to, b); });
      std::printf("8x8 %-6s to %-6s %.2f ms\n", from, to, ms);
      worst = std::max(worst, ms);
    }
  }
  EXPECT_LT(worst, 20);
  const Place c = PlaceOn({64, 8}, 0, 8);
  const Place d = PlaceOn({64, 8}, 64, 8);
  for (const auto& specs : {std::pair("[x,y]", "[x,y]"), {"[xy,]", "[,xy]"}, {"[y,]", "[,y]"}, {"[,]", "[,]"}}) {
    const double ms = Milliseconds([&] { Plan({1024, 4096}, specs.first, c, specs.second, d); });
    std::printf("64x8 %-6s to %-6s %.2f ms\n", specs.first, specs.second, ms);
  }
}

}  // namespace
}  // namespace alpa::reshard
