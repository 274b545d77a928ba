#include "alpa/intra/pins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alpa/ir/builder.h"

namespace alpa::intra {
namespace {

using ir::DType;
using testing::HasSubstr;

ir::Module Small() {
  ir::GraphBuilder g("small");
  const auto w = g.Parameter({DType::kF32, {8, 6}}, "params['h'][0]['w']");
  const auto b = g.Parameter({DType::kF32, {6}}, "params['h'][0]['b']");
  const auto x = g.Parameter({DType::kF32, {16, 8}}, "x");
  const auto y = g.Add(g.MatMul(x, w), g.Broadcast(b, {16, 6}, {1}));
  return g.Build({y});
}

const cluster::Mesh kMesh = cluster::MakeMesh({2, 4});

std::string ErrorOf(const std::vector<Pin>& pins) {
  const auto result = ResolvePins(pins, Small(), kMesh);
  return result.ok() ? "none" : result.error().message;
}

TEST(Pins, AreSplitAtTheLastEqualsSign) {
  const auto pin = ParsePin("a=b=[x,]");
  ASSERT_TRUE(pin.ok());
  EXPECT_EQ(pin->pattern, "a=b");
  EXPECT_EQ(pin->spec, "[x,]");
  for (const char* bad : {"", "=", "w", "w=", "=[x]"}) {
    ASSERT_FALSE(ParsePin(bad).ok()) << bad;
    EXPECT_EQ(ParsePin(bad).error().code, Code::kInvalidArgument);
  }
}

TEST(Pins, FixEveryInputWhoseNameMatches) {
  const auto pins = ResolvePins({{"params.*'w'", "[y,x]"}, {"^x$", "[x,]"}}, Small(), kMesh);
  ASSERT_TRUE(pins.ok()) << ToString(pins.error());
  ASSERT_EQ(pins->size(), 2U);
  EXPECT_EQ(sharding::ToString(pins->begin()->second, kMesh), "[y,x]");
}

TEST(Pins, ThatSayTheSameTwiceAreFine) {
  EXPECT_TRUE(ResolvePins({{"'b'", "[]"}, {"'b'", "[-]"}}, Small(), kMesh).ok());
}

TEST(Pins, AxesOfExtentOneSplitNothing) {
  const cluster::Mesh mesh = cluster::MakeMesh({1, 2});
  const auto pins = ResolvePins({{"'w'", "[x,y]"}}, Small(), mesh);
  ASSERT_TRUE(pins.ok()) << ToString(pins.error());
  EXPECT_EQ(sharding::ToString(pins->begin()->second, mesh), "[,y]");
}

TEST(Pins, SayWhatIsWrong) {
  EXPECT_THAT(ErrorOf({{"nothing", "[x,]"}}), HasSubstr("no input or operation has such a name"));
  EXPECT_THAT(ErrorOf({{"params[", "[x,]"}}), HasSubstr("not a regular expression"));
  EXPECT_THAT(ErrorOf({{"'w'", "[z,]"}}), HasSubstr("no axis 'z'"));
  EXPECT_THAT(ErrorOf({{"'w'", "[x]"}}), HasSubstr("params['h'][0]['w']"));
  EXPECT_THAT(ErrorOf({{"'b'", "[y]"}}), HasSubstr("'b'")) << "6 is not divisible by 4";
  EXPECT_THAT(ErrorOf({{"'w'", "[x,]"}, {"params", "[,x]"}}), HasSubstr("pinned to [x,] by ''w'=[x,]'"));
}

}  // namespace
}  // namespace alpa::intra
