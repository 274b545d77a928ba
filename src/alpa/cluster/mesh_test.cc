#include "alpa/cluster/mesh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace alpa::cluster {
namespace {

using testing::ElementsAre;

TEST(Mesh, NumbersDevicesRowMajor) {
  const Mesh mesh = MakeMesh({2, 3});  // 0 1 2 / 3 4 5
  EXPECT_EQ(mesh.size(), 6);
  EXPECT_THAT(mesh.Coordinates(0), ElementsAre(0, 0));
  EXPECT_THAT(mesh.Coordinates(2), ElementsAre(0, 2));
  EXPECT_THAT(mesh.Coordinates(3), ElementsAre(1, 0));
  EXPECT_THAT(mesh.Coordinates(5), ElementsAre(1, 2));
}

TEST(Mesh, NamesItsAxes) {
  const Mesh mesh = MakeMesh({2, 3, 4});
  EXPECT_THAT(mesh.axes, ElementsAre("x", "y", "z"));
  EXPECT_EQ(mesh.AxisIndex("x"), 0);
  EXPECT_EQ(mesh.AxisIndex("z"), 2);
  EXPECT_EQ(mesh.AxisIndex("w"), -1);
  EXPECT_EQ(mesh.AxisIndex(""), -1);
}

TEST(Mesh, ComparesAndPrints) {
  EXPECT_EQ(ToString(MakeMesh({2, 4})), "2x4");
  EXPECT_EQ(ToString(MakeMesh({8})), "8");
  EXPECT_EQ(MakeMesh({2, 4}), MakeMesh({2, 4}));
  EXPECT_NE(MakeMesh({2, 4}), MakeMesh({4, 2}));
  EXPECT_NE(MakeMesh({8}), MakeMesh({1, 8}));
}

TEST(Mesh, VerifiesGoodOnes) {
  EXPECT_TRUE(Verify(MakeMesh({1})).ok());
  EXPECT_TRUE(Verify(MakeMesh({2, 3})).ok());
  EXPECT_TRUE(Verify(MakeMesh({8, 8, 8})).ok());  // kMaxDevices exactly
}

TEST(Mesh, VerifyNamesEachViolation) {
  const std::pair<Mesh, std::string> cases[] = {
      {{{}, {}}, "mesh : has no dimension"},
      {{{2, 2}, {"x"}}, "mesh 2x2: dimensions and axis names differ in number"},
      {{{2, 0}, {"x", "y"}}, "mesh 2x0: an extent is below 1"},
      {{{-2, 4}, {"x", "y"}}, "mesh -2x4: an extent is below 1"},
      {{{513}, {"x"}}, "mesh 513: more than 512 devices"},
      {{{32, 17}, {"x", "y"}}, "mesh 32x17: more than 512 devices"},
      {{{int64_t{1} << 62, 8}, {"x", "y"}}, "mesh 4611686018427387904x8: more than 512 devices"},
      {{{2, 2}, {"x", "x"}}, "mesh 2x2: axis 'x' occurs twice"},
      {{{2, 2}, {"x", "Y"}}, "mesh 2x2: axis name 'Y' is not one lower-case letter"},
      {{{2, 2}, {"x", "data"}}, "mesh 2x2: axis name 'data' is not one lower-case letter"},
      {{{2, 2}, {"x", ""}}, "mesh 2x2: axis name '' is not one lower-case letter"},
  };
  for (const auto& [mesh, message] : cases) {
    const Status status = Verify(mesh);
    ASSERT_FALSE(status.ok()) << message;
    EXPECT_EQ(status.error().code, Code::kInvalidInput);
    EXPECT_EQ(status.error().message, message);
  }
}

}  // namespace
}  // namespace alpa::cluster
