#include "alpa/driver/check.h"

#include <gtest/gtest.h>

#include <cmath>

namespace alpa::driver {
namespace {

TEST(NudgeLastBits, MovesNumbersByUpTo32UnitsAndKeepsZeros) {
  ir::HostTensor t(ir::Shape{ir::DType::kF32, {1000}});
  for (float& v : t.as<float>()) v = 1.0F;
  t.as<float>()[0] = 0;
  t.as<float>()[1] = -3.0F;
  NudgeLastBits(t, 5);
  EXPECT_EQ(t.as<float>()[0], 0);
  EXPECT_NE(t.as<float>()[1], -3.0F);
  EXPECT_NEAR(t.as<float>()[1], -3.0F, 33 * 0x1p-22);
  int up = 0;
  for (const float v : t.as<float>().subspan(2)) {
    EXPECT_NE(v, 1.0F);
    EXPECT_NEAR(v, 1.0F, 33 * 0x1p-23);
    up += v > 1.0F ? 1 : 0;
  }
  EXPECT_GT(up, 400);
  EXPECT_LT(up, 600);
}

TEST(NudgeLastBits, MovesBFloat16ByOneUnit) {
  ir::HostTensor t(ir::Shape{ir::DType::kBF16, {100}});
  for (uint16_t& v : t.as<uint16_t>()) v = 0x3f80;  // 1
  NudgeLastBits(t, 5);
  for (const uint16_t v : t.as<uint16_t>()) EXPECT_TRUE(v == 0x3f81 || v == 0x3f7f) << v;
}

TEST(NudgeLastBits, DependsOnTheSeedAndLeavesIntegersAlone) {
  ir::HostTensor a(ir::Shape{ir::DType::kF32, {64}});
  for (float& v : a.as<float>()) v = 2.0F;
  ir::HostTensor b = a;
  ir::HostTensor c = a;
  NudgeLastBits(a, 1);
  NudgeLastBits(b, 1);
  NudgeLastBits(c, 2);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
  ir::HostTensor ints(ir::Shape{ir::DType::kS32, {4}});
  ints.as<int32_t>()[1] = 9;
  const ir::HostTensor before = ints;
  NudgeLastBits(ints, 1);
  EXPECT_EQ(ints, before);
}

}  // namespace
}  // namespace alpa::driver
