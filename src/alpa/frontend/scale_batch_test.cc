#include "alpa/frontend/scale_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alpa/ir/builder.h"

namespace alpa::frontend {
namespace {

using ir::DType;
using ir::InputRole;

// Tokens [8, 6] of 4 features become [48, 4], are multiplied and cut; the weight gradient sums over all of them.
struct Fixture {
  ir::GraphBuilder g{"scale"};
  ir::ValueId x, w, flat, y, cut, grad;
  ir::Module module;
  BatchAnalysis batch;

  Fixture() {
    x = g.Parameter({DType::kF32, {8, 6, 4}}, "x");
    w = g.Parameter({DType::kF32, {4, 10}}, "w");
    flat = g.Reshape(x, {48, 4});
    y = g.MatMul(flat, w);
    cut = g.Slice(y, {0, 2}, {48, 6});
    grad = g.Dot(flat, cut, {{}, {}, {0}, {0}});
    module = g.Build({grad});
    auto result = AnalyzeBatch(module, {InputRole::kBatch, InputRole::kParameter}, {});
    EXPECT_TRUE(result.ok());
    batch = *result;
  }
};

TEST(ScaleBatch, DividesWhateverCarriesTheBatch) {
  const Fixture f;
  const auto scaled = ScaleBatch(f.module, f.batch, 4);
  ASSERT_TRUE(scaled.ok()) << ToString(scaled.error());
  EXPECT_TRUE(ir::Verify(*scaled).ok());
  EXPECT_EQ(scaled->shape(f.x).dims, (std::vector<int64_t>{2, 6, 4}));
  EXPECT_EQ(scaled->shape(f.flat).dims, (std::vector<int64_t>{12, 4}));
  EXPECT_EQ(scaled->shape(f.cut).dims, (std::vector<int64_t>{12, 4}));
  EXPECT_EQ(std::get<ir::SliceAttr>(scaled->producer(f.cut).attributes).limit, (std::vector<int64_t>{12, 6}));
  EXPECT_EQ(scaled->shape(f.w).dims, (std::vector<int64_t>{4, 10}));
  EXPECT_EQ(scaled->shape(f.grad).dims, (std::vector<int64_t>{4, 4})) << "sums over the batch keep their shape";
}

TEST(ScaleBatch, OneMicrobatchIsTheStepItself) {
  const Fixture f;
  const auto scaled = ScaleBatch(f.module, f.batch, 1);
  ASSERT_TRUE(scaled.ok());
  EXPECT_EQ(ir::Fingerprint(*scaled), ir::Fingerprint(f.module));
}

TEST(ScaleBatch, RefusesWhatDoesNotDivide) {
  const Fixture f;
  const auto scaled = ScaleBatch(f.module, f.batch, 16);
  ASSERT_FALSE(scaled.ok());
  EXPECT_EQ(scaled.error().code, Code::kInvalidArgument);
  EXPECT_THAT(scaled.error().message, testing::HasSubstr("8 blocks"));
}

}  // namespace
}  // namespace alpa::frontend
