#include "alpa/base/units.h"

#include <gtest/gtest.h>

#include <limits>

namespace alpa {
namespace {

TEST(Quantity, AddsAndScalesWithinItsUnit) {
  Bytes total(10);
  total += Bytes(5);
  total -= Bytes(1);
  EXPECT_EQ(total, Bytes(14));
  EXPECT_EQ(Bytes(6) + Bytes(4) - Bytes(3), Bytes(7));
  EXPECT_EQ(Bytes(6) * 2, 2 * Bytes(6));
  EXPECT_DOUBLE_EQ(Bytes(6) / Bytes(4), 1.5);  // a ratio has no unit
  EXPECT_LT(Seconds(0.5), Seconds(1));
  EXPECT_EQ(Seconds(), Seconds(0));
}

TEST(Units, PrintBytesInPowersOf1024) {
  EXPECT_EQ(ToString(Bytes(0)), "0 B");
  EXPECT_EQ(ToString(Bytes(640)), "640 B");
  EXPECT_EQ(ToString(Bytes(1023)), "1023 B");
  EXPECT_EQ(ToString(Bytes(1024)), "1.00 KiB");
  EXPECT_EQ(ToString(Bytes(1536)), "1.50 KiB");
  EXPECT_EQ(ToString(Bytes(int64_t{3} << 29)), "1.50 GiB");
  EXPECT_EQ(ToString(Bytes(-2048)), "-2.00 KiB");
  EXPECT_EQ(ToString(Bytes(std::numeric_limits<int64_t>::max())), "8192.00 PiB");
}

TEST(Units, PrintSecondsFromMicrosecondsUp) {
  EXPECT_EQ(ToString(Seconds(0)), "0.00 us");
  EXPECT_EQ(ToString(Seconds(2.5e-6)), "2.50 us");
  EXPECT_EQ(ToString(Seconds(12.3e-3)), "12.30 ms");
  EXPECT_EQ(ToString(Seconds(4.2)), "4.20 s");
  EXPECT_EQ(ToString(Seconds(90)), "90.00 s");
}

TEST(Units, PrintFlopsInPowersOf1000) {
  EXPECT_EQ(ToString(Flops(820)), "820 FLOP");
  EXPECT_EQ(ToString(Flops(1.23e12)), "1.23 TFLOP");
  EXPECT_EQ(ToString(Flops(5e21)), "5000.00 EFLOP");
}

// 1048575 B are 1023.999 KiB; with two digits that would read "1024.00 KiB".
TEST(Units, GoToTheNextUnitWhenRoundingReachesIt) {
  EXPECT_EQ(ToString(Bytes((1 << 20) - 1)), "1.00 MiB");
  EXPECT_EQ(ToString(Seconds(0.9999999)), "1.00 s");
  EXPECT_EQ(ToString(Seconds(0.0009999999)), "1.00 ms");
  EXPECT_EQ(ToString(Flops(999999)), "1.00 MFLOP");
}

}  // namespace
}  // namespace alpa
