#include "alpa/ir/op.h"

#include <gtest/gtest.h>

#include <set>

namespace alpa::ir {
namespace {

TEST(OpKind, NamesGoBothWaysAndAreDistinct) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(OpKind::kReplicaId); ++i) {
    const auto kind = static_cast<OpKind>(i);
    EXPECT_TRUE(names.insert(Name(kind)).second) << Name(kind);
    OpKind back = OpKind::kParameter;
    EXPECT_TRUE(OpKindFromName(Name(kind), &back));
    EXPECT_EQ(back, kind) << Name(kind);
  }
}

TEST(OpKind, HasTheNamesOfHlo) {
  EXPECT_EQ(Name(OpKind::kParameter), "parameter");
  EXPECT_EQ(Name(OpKind::kExp), "exponential");
  EXPECT_EQ(Name(OpKind::kOptimizationBarrier), "opt-barrier");
  EXPECT_EQ(Name(OpKind::kSelectAndScatter), "select-and-scatter");
}

TEST(OpKind, DoesNotKnowOtherNames) {
  OpKind kind = OpKind::kDot;
  EXPECT_FALSE(OpKindFromName("stablehlo.dot_general", &kind));
  EXPECT_FALSE(OpKindFromName("", &kind));
  EXPECT_EQ(kind, OpKind::kDot);  // untouched
}

TEST(OpKind, KnowsWhichAreElementwise) {
  for (const OpKind kind : {OpKind::kAdd, OpKind::kSelect, OpKind::kTanh, OpKind::kConvert, OpKind::kCompare}) {
    EXPECT_TRUE(IsElementwise(kind)) << Name(kind);
  }
  for (const OpKind kind : {OpKind::kParameter, OpKind::kConstant, OpKind::kBroadcast, OpKind::kDot, OpKind::kReduce,
                            OpKind::kWhile, OpKind::kSort, OpKind::kReplicaId}) {
    EXPECT_FALSE(IsElementwise(kind)) << Name(kind);
  }
}

TEST(Location, ShowsTheBestItKnows) {
  EXPECT_EQ(ToString(Location{"jit(step)/dot", "models.py", 97, "dense"}), "models.py:97 (dense)");
  EXPECT_EQ(ToString(Location{"", "models.py", 97, "<module>"}), "models.py:97");
  EXPECT_EQ(ToString(Location{"", "models.py", 97, ""}), "models.py:97");
  EXPECT_EQ(ToString(Location{"", "", 12, ""}), "line 12");  // of the .mlir text
  EXPECT_EQ(ToString(Location{"jit(step)/dot", "", 0, ""}), "jit(step)/dot");
  EXPECT_EQ(ToString(Location{}), "unknown source");
}

}  // namespace
}  // namespace alpa::ir
