#include "alpa/runtime/data_source.h"

#include <gtest/gtest.h>

#include "alpa/runtime/npz.h"
#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

TEST(BatchInputs, AreThoseOfRoleBatchWithTheirDimension) {
  StepBuilder b;
  b.Parameter("w", F32Shape({2}));
  b.Batch("x", F32Shape({4, 2}));
  b.Batch("scale", F32Shape({}));
  EXPECT_EQ(BatchInputs(b.module, b.signature, {-1, 0, -7}),
            (std::vector<BatchInput>{{1, "x", F32Shape({4, 2}), 0}, {2, "scale", F32Shape({}), -1}}));
}

TEST(FixedBatch, IsTheSameEveryTime) {
  const auto data = MakeFixedBatch({F32({2}, {1, 2})}, "the golden batch");
  EXPECT_TRUE(data->constant());
  EXPECT_EQ(data->batches_per_epoch(), 1);
  EXPECT_EQ(data->Describe(), "the golden batch");
  EXPECT_EQ(*data->Next(), *data->Next());
  EXPECT_EQ(data->position(), 2);
}

TEST(DataSource, SeeksAnyPositionButNegativeOnes) {
  const auto data = MakeFixedBatch({}, "");
  EXPECT_TRUE(data->Seek(7).ok());
  EXPECT_EQ(data->position(), 7);
  EXPECT_EQ(data->Seek(-1).error().code, Code::kInvalidArgument);
  EXPECT_EQ(data->position(), 7);
}

TEST(PositionInBatchesOf, KeepsEpochAndShareAndRoundsUp) {
  EXPECT_EQ(PositionInBatchesOf(0, 12, 6), 0);
  EXPECT_EQ(PositionInBatchesOf(3, 12, 6), 2);   // 24 of 96 examples in batches of 8: with batches of 16 the next is 32
  EXPECT_EQ(PositionInBatchesOf(12, 12, 6), 6);  // a whole epoch
  EXPECT_EQ(PositionInBatchesOf(27, 12, 6), 14);
  EXPECT_EQ(PositionInBatchesOf(2, 6, 12), 4);
  EXPECT_EQ(PositionInBatchesOf(11, 12, 6), 6) << "no batch is left in the epoch";
  for (int64_t position = 0; position < 40; ++position) EXPECT_EQ(PositionInBatchesOf(position, 7, 7), position);
}

class OpenDataTest : public testing::Test {
 protected:
  Result<std::unique_ptr<DataSource>> Open(const std::vector<std::string>& paths) {
    return OpenData(paths, step_.module, step_.signature, {-1, -1, 0}, {});
  }
  StepBuilder step_ = SumStep();
  TempFolder folder_;
};

TEST_F(OpenDataTest, DecidesByExtension) {
  ASSERT_TRUE(WriteNpz(folder_ / "a.npz", {{"x", F32({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8})}}).ok());
  const auto arrays = Open({(folder_ / "a.npz").string()});
  ASSERT_TRUE(arrays.ok()) << arrays.error().message;
  EXPECT_NE((*arrays)->Describe().find("a.npz"), std::string::npos);
  const auto text = Open({Write(folder_ / "a.txt", "text").string()});
  ASSERT_FALSE(text.ok());
  EXPECT_NE(text.error().message.find("text data needs a model with two integer batch inputs"), std::string::npos);
}

TEST_F(OpenDataTest, RefusesNothingAndMixtures) {
  EXPECT_EQ(Open({}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(Open({"a.npz", "a.txt"}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(Open({"a.npz", "a.npy"}).error().code, Code::kNotFound);
  EXPECT_EQ(Open({(folder_ / "none.npz").string()}).error().code, Code::kNotFound);
}

TEST_F(OpenDataTest, RefusesModelsWithoutBatchInputs) {
  StepBuilder b;
  b.Parameter("w", F32Shape({2}));
  const auto data = OpenData({"a.txt"}, b.module, b.signature, {-1}, {});
  ASSERT_FALSE(data.ok());
  EXPECT_EQ(data.error().code, Code::kMismatch);
}

}  // namespace
}  // namespace alpa::runtime
