#include "alpa/driver/state_layout.h"

#include <gtest/gtest.h>

namespace alpa::driver {
namespace {

// Two hosts of two devices: 1 s per byte within a host, 10 s over its network.
cluster::Cluster TwoByTwo() {
  cluster::Cluster c;
  c.name = "test";
  for (const char* name : {"a", "b"}) c.hosts.push_back({name, "t", 2, {Seconds(0), 1}, {Seconds(0), 10}, 0});
  return c;
}

const std::vector<ir::Shape> kShapes = {{ir::DType::kF32, {4}}};  // 16 bytes

StateLayout OnFour(const sharding::Spec& spec) { return {{{cluster::MakeMesh({2, 2}), spec, {0, 1, 2, 3}}}}; }

TEST(SwitchTime, EqualLayoutsCostNothing) {
  const StateLayout split = OnFour(sharding::SplitDim(1, 0, 0));
  EXPECT_EQ(SwitchTime(split, split, kShapes, TwoByTwo()).value, 0);
}

TEST(SwitchTime, PiecesOfTheOtherHostComeOverTheNetwork) {
  // Each host holds one half; each device needs the other half: 2 devices x 8 bytes x 10 s.
  const StateLayout split = OnFour(sharding::SplitDim(1, 0, 0)), copied = OnFour({{{}}});
  EXPECT_EQ(SwitchTime(split, copied, kShapes, TwoByTwo()).value, 160);
  EXPECT_EQ(SwitchTime(copied, split, kShapes, TwoByTwo()).value, 0) << "pieces are there already";
}

TEST(SwitchTime, PiecesOfTheOwnHostComeOverItsLinks) {
  // Each device holds one half, its neighbour the other: 8 bytes x 1 s.
  const StateLayout split = OnFour(sharding::SplitDim(1, 0, 1)), copied = OnFour({{{}}});
  EXPECT_EQ(SwitchTime(split, copied, kShapes, TwoByTwo()).value, 8);
}

TEST(SwitchTime, AnotherMeshReceivesAll) {
  // From device 0 to device 1 of the same host, and to device 2 of the other.
  const auto on = [](int64_t device) { return StateLayout{{{cluster::MakeMesh({1}), {{{}}}, {device}}}}; };
  EXPECT_EQ(SwitchTime(on(0), on(1), kShapes, TwoByTwo()).value, 16);
  EXPECT_EQ(SwitchTime(on(0), on(2), kShapes, TwoByTwo()).value, 160);
}

}  // namespace
}  // namespace alpa::driver
