#include "alpa/runtime/golden.h"

#include <gtest/gtest.h>

#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

ir::HostTensor F64(std::vector<int64_t> dims, const std::vector<double>& values) {
  return Tensor(ir::DType::kF64, std::move(dims), values);
}

Result<GoldenFile> Open(const std::vector<NamedTensor>& tensors) {
  const TempFolder folder;
  ALPA_CHECK(WriteNpz(folder / "golden.npz", tensors).ok());
  return GoldenFile::Open(folder / "golden.npz");  // the open file outlives its name
}

TEST(GoldenFile, GivesWholeTensorsOfAnyStep) {
  const auto golden = Open({{"out1/0000", F32({2}, {1, 2})},
                            {"out1/0001", S32({}, {1})},
                            {"out12/0000", F32({2}, {3, 4})},
                            {"losses", F64({3}, {3, 2, 1})},
                            {"in/0000", F32({2}, {0, 0})}});
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  EXPECT_EQ(golden->outputs(), (std::map<int64_t, int32_t>{{1, 2}, {12, 1}}));
  EXPECT_EQ(golden->losses(), (std::vector<double>{3, 2, 1}));
  EXPECT_FALSE(golden->sampled());
  EXPECT_EQ(golden->Output(12, 0)->values, F32({2}, {3, 4}));
  EXPECT_FALSE(golden->Output(12, 0)->sampled);
  EXPECT_EQ(golden->Output(12, 1).error().code, Code::kNotFound);
}

TEST(GoldenFile, GivesSamplesWithTheirStatistics) {
  const auto golden = Open({{"out1/0000", F32({2}, {1, 3})}, {"out1/0000.stats", F64({3}, {6, 14, 3})}});
  ASSERT_TRUE(golden.ok());
  EXPECT_TRUE(golden->sampled());
  const auto expected = golden->Output(1, 0);
  ASSERT_TRUE(expected.ok());
  EXPECT_TRUE(expected->sampled);
  EXPECT_EQ(expected->sum, 6);
  EXPECT_EQ(expected->sum_of_squares, 14);
  EXPECT_EQ(expected->largest, 3);
}

TEST(GoldenFile, RefusesWhatIsNone) {
  EXPECT_EQ(Open({{"x", F32({1}, {1})}}).error().code, Code::kInvalidInput);
  EXPECT_EQ(Open({{"outer/0000", F32({1}, {1})}}).error().code, Code::kInvalidInput);
  const auto gap = Open({{"out1/0001", F32({1}, {1})}});
  ASSERT_FALSE(gap.ok());
  EXPECT_EQ(gap.error().code, Code::kInvalidInput);
  EXPECT_NE(gap.error().message.find("member 'out1/0000' is missing"), std::string::npos);
  const auto stats = Open({{"out1/0000", F32({1}, {1})}, {"out1/0000.stats", F64({2}, {1, 1})}});
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->Output(1, 0).error().code, Code::kInvalidInput);
  EXPECT_EQ(GoldenFile::Open("/no/such/file.npz").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace alpa::runtime
