#include "alpa/sharding/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace alpa::sharding {
namespace {

using cluster::MakeMesh;
using cluster::Mesh;
using ir::DType;
using ir::Shape;
using testing::ElementsAre;

constexpr int kX = 0;
constexpr int kY = 1;

Shape F32(std::vector<int64_t> dims) { return {DType::kF32, std::move(dims)}; }

// Where each device's piece begins, device by device.
std::vector<std::vector<int64_t>> Starts(const Spec& spec, const Shape& shape, const Mesh& mesh) {
  std::vector<std::vector<int64_t>> starts;
  for (int64_t d = 0; d < mesh.size(); ++d) starts.push_back(ShardStart(spec, shape, mesh, d));
  return starts;
}

// ---------------------------------------------------------------- pieces

TEST(Shard, OfAReplicatedArrayIsTheArray) {
  for (const Spec& spec : {Spec{}, Spec{{{}, {}}}}) {
    EXPECT_TRUE(spec.replicated());
    EXPECT_EQ(ShardShape(spec, F32({4, 6}), MakeMesh({1, 2})), F32({4, 6}));
    EXPECT_THAT(Starts(spec, F32({4, 6}), MakeMesh({1, 2})), ElementsAre(ElementsAre(0, 0), ElementsAre(0, 0)));
  }
}

TEST(Shard, OfAScalarIsTheScalar) {
  EXPECT_EQ(ShardShape({}, F32({}), MakeMesh({2})), F32({}));
  EXPECT_THAT(Starts({}, F32({}), MakeMesh({2})), ElementsAre(ElementsAre(), ElementsAre()));
}

TEST(Shard, IsSplitOverOneAxisAndCopiedOverTheOther) {
  // Mesh 1x2, split over y: the two devices hold the halves.
  EXPECT_THAT(Starts(SplitDim(1, 0, kY), F32({8}), MakeMesh({1, 2})), ElementsAre(ElementsAre(0), ElementsAre(4)));
  // Mesh 2x1, split over y of size 1: both hold all.
  EXPECT_THAT(Starts(SplitDim(1, 0, kY), F32({8}), MakeMesh({2, 1})), ElementsAre(ElementsAre(0), ElementsAre(0)));
  // Mesh 2x3, rows over x: devices 0 1 2 hold the first half, 3 4 5 the second.
  EXPECT_EQ(ShardShape(SplitDim(2, 0, kX), F32({4, 6}), MakeMesh({2, 3})), F32({2, 6}));
  EXPECT_THAT(Starts(SplitDim(2, 0, kX), F32({4, 6}), MakeMesh({2, 3})),
              ElementsAre(ElementsAre(0, 0), ElementsAre(0, 0), ElementsAre(0, 0), ElementsAre(2, 0), ElementsAre(2, 0),
                          ElementsAre(2, 0)));
  // Columns over y: thirds, again and again.
  EXPECT_EQ(ShardShape(SplitDim(2, 1, kY), F32({4, 6}), MakeMesh({2, 3})), F32({4, 2}));
  EXPECT_THAT(Starts(SplitDim(2, 1, kY), F32({4, 6}), MakeMesh({2, 3})),
              ElementsAre(ElementsAre(0, 0), ElementsAre(0, 2), ElementsAre(0, 4), ElementsAre(0, 0), ElementsAre(0, 2),
                          ElementsAre(0, 4)));
}

TEST(Shard, IsSplitOverOneAxisPerDimension) {
  const Spec rows_x_columns_y{{{kX}, {kY}}};
  EXPECT_EQ(ShardShape(rows_x_columns_y, F32({4, 6}), MakeMesh({2, 3})), F32({2, 2}));
  EXPECT_THAT(Starts(rows_x_columns_y, F32({4, 6}), MakeMesh({2, 3})),
              ElementsAre(ElementsAre(0, 0), ElementsAre(0, 2), ElementsAre(0, 4), ElementsAre(2, 0), ElementsAre(2, 2),
                          ElementsAre(2, 4)));
  const Spec rows_y_columns_x{{{kY}, {kX}}};
  EXPECT_EQ(ShardShape(rows_y_columns_x, F32({3, 4}), MakeMesh({2, 3})), F32({1, 2}));
  EXPECT_THAT(Starts(rows_y_columns_x, F32({3, 4}), MakeMesh({2, 3})),
              ElementsAre(ElementsAre(0, 0), ElementsAre(1, 0), ElementsAre(2, 0), ElementsAre(0, 2), ElementsAre(1, 2),
                          ElementsAre(2, 2)));
}

TEST(Shard, IsSplitOverTwoAxesMajorFirst) {
  const Mesh mesh = MakeMesh({2, 3});
  const Spec xy{{{kX, kY}}};
  EXPECT_EQ(Parts(xy, 0, mesh), 6);
  EXPECT_EQ(ShardShape(xy, F32({12}), mesh), F32({2}));
  EXPECT_THAT(Starts(xy, F32({12}), mesh), ElementsAre(ElementsAre(0), ElementsAre(2), ElementsAre(4), ElementsAre(6),
                                                       ElementsAre(8), ElementsAre(10)));
  // y major: device (x, y) holds part 2 y + x.
  const Spec yx{{{kY, kX}}};
  EXPECT_THAT(Starts(yx, F32({12}), mesh), ElementsAre(ElementsAre(0), ElementsAre(4), ElementsAre(8), ElementsAre(2),
                                                       ElementsAre(6), ElementsAre(10)));
}

// Whatever the layout, the pieces cover the array, and each element lies on as many devices as the axes that occur
// nowhere say.
TEST(Shard, PiecesCoverTheArrayEvenly) {
  const std::vector<std::vector<int>> choices = {{}, {kX}, {kY}, {kX, kY}, {kY, kX}};
  const Shape shape = F32({12, 12});
  for (const Mesh& mesh : {MakeMesh({1, 2}), MakeMesh({2, 1}), MakeMesh({2, 2}), MakeMesh({2, 3}), MakeMesh({1, 1})}) {
    for (const auto& rows : choices) {
      for (const auto& columns : choices) {
        const Spec spec{{rows, columns}};
        std::set<int> used(rows.begin(), rows.end());
        used.insert(columns.begin(), columns.end());
        if (used.size() != rows.size() + columns.size()) continue;  // an axis twice
        ASSERT_TRUE(Verify(spec, shape, mesh).ok());
        std::vector<int> copies(144, 0);
        const Shape piece = ShardShape(spec, shape, mesh);
        for (const auto& start : Starts(spec, shape, mesh)) {
          for (int64_t i = 0; i < piece.dims[0]; ++i) {
            for (int64_t j = 0; j < piece.dims[1]; ++j) ++copies[(start[0] + i) * 12 + start[1] + j];
          }
        }
        int64_t expected = mesh.size();
        for (const int axis : used) expected /= mesh.shape[axis];
        EXPECT_THAT(copies, testing::Each(expected)) << ToString(mesh) << " " << ToString(spec, mesh);
      }
    }
  }
}

// ---------------------------------------------------------------- text

TEST(Spec, PrintsAndParsesBack) {
  const Mesh mesh = MakeMesh({2, 3});
  const std::pair<Spec, std::string> table[] = {
      {{}, "[]"},
      {{{{}}}, "[-]"},
      {{{{}, {}}}, "[,]"},
      {{{{kX}}}, "[x]"},
      {{{{kX}, {}, {}}}, "[x,,]"},
      {{{{}, {kY}}}, "[,y]"},
      {{{{kX, kY}, {}}}, "[xy,]"},
      {{{{kY, kX}}}, "[yx]"},
  };
  for (const auto& [spec, text] : table) {
    EXPECT_EQ(ToString(spec, mesh), text);
    const auto back = ParseSpec(text, mesh);
    ASSERT_TRUE(back.ok()) << text;
    EXPECT_EQ(*back, spec) << text;
  }
}

TEST(Spec, ParsesBlanksAndDashes) {
  const Mesh mesh = MakeMesh({2, 3});
  EXPECT_EQ(*ParseSpec("[x, -, y]", mesh), (Spec{{{kX}, {}, {kY}}}));
}

TEST(Spec, ParseErrorsNameTheTextAndWhatIsWrong) {
  const Mesh mesh = MakeMesh({2, 3});
  const std::pair<const char*, const char*> cases[] = {
      {"", "sharding '': not in brackets"},
      {"[", "sharding '[': not in brackets"},
      {"x", "sharding 'x': not in brackets"},
      {"[x", "sharding '[x': not in brackets"},
      {"x]", "sharding 'x]': not in brackets"},
      {"[z]", "sharding '[z]': the mesh 2x3 has no axis 'z'"},
      {"[x,1]", "sharding '[x,1]': the mesh 2x3 has no axis '1'"},
      {"[[x]]", "sharding '[[x]]': the mesh 2x3 has no axis '['"},
  };
  for (const auto& [text, message] : cases) {
    const auto result = ParseSpec(text, mesh);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.error().code, Code::kInvalidInput);
    EXPECT_EQ(result.error().message, message);
    EXPECT_EQ(result.error().hint, "one entry per dimension with the mesh axes that split it, e.g. \"[x,,y]\"");
  }
}

// ---------------------------------------------------------------- Verify

TEST(Spec, VerifiesGoodOnes) {
  const Mesh mesh = MakeMesh({2, 3});
  EXPECT_TRUE(Verify({}, F32({5, 7}), mesh).ok());
  EXPECT_TRUE(Verify({}, F32({}), mesh).ok());
  EXPECT_TRUE(Verify({{{kX}, {kY}}}, F32({4, 6}), mesh).ok());
  EXPECT_TRUE(Verify({{{kX, kY}, {}}}, F32({6, 7}), mesh).ok());
  EXPECT_TRUE(Verify({{{kX}}}, F32({0}), mesh).ok());
}

TEST(Spec, VerifyNamesEachViolation) {
  const std::pair<Spec, std::string> cases[] = {
      {{{{2}, {}}}, "sharding of f32[4,7]: mesh 2x3 has no axis 2"},
      {{{{-1}, {}}}, "sharding of f32[4,7]: mesh 2x3 has no axis -1"},
      {{{{kX, kX}, {7}}}, "sharding of f32[4,7]: mesh 2x3 has no axis 7"},
      {{{{kX}, {kX}}}, "sharding [x,x] of f32[4,7] on mesh 2x3: axis 'x' is used twice"},
      {{{{kX, kX}, {}}}, "sharding [xx,] of f32[4,7] on mesh 2x3: axis 'x' is used twice"},
      {{{{kX}}}, "sharding [x] of f32[4,7] on mesh 2x3: the number of entries is not the rank"},
      {{{{kX}, {}, {}}}, "sharding [x,,] of f32[4,7] on mesh 2x3: the number of entries is not the rank"},
      {{{{}, {kX}}}, "sharding [,x] of f32[4,7] on mesh 2x3: dimension 1 of size 7 is not divisible by 2"},
      {{{{kX, kY}, {}}}, "sharding [xy,] of f32[4,7] on mesh 2x3: dimension 0 of size 4 is not divisible by 6"},
  };
  for (const auto& [spec, message] : cases) {
    const Status status = Verify(spec, F32({4, 7}), MakeMesh({2, 3}));
    ASSERT_FALSE(status.ok()) << message;
    EXPECT_EQ(status.error().code, Code::kInvalidInput);
    EXPECT_EQ(status.error().message, message);
  }
}

}  // namespace
}  // namespace alpa::sharding
