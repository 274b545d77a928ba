#include "alpa/ir/shape.h"

#include <gtest/gtest.h>

namespace alpa::ir {
namespace {

std::vector<DType> AllTypes() {
  std::vector<DType> types;
  for (int i = 0; i <= static_cast<int>(DType::kToken); ++i) types.push_back(static_cast<DType>(i));
  return types;
}

TEST(DType, NamesGoBothWays) {
  for (const DType type : AllTypes()) EXPECT_EQ(DTypeFromName(Name(type)), type) << Name(type);
  EXPECT_EQ(Name(DType::kPred), "pred");
  EXPECT_EQ(Name(DType::kBF16), "bf16");
  EXPECT_EQ(Name(DType::kF8E4M3FN), "f8e4m3fn");
  EXPECT_EQ(Name(DType::kF8E4M3B11FNUZ), "f8e4m3b11fnuz");
  EXPECT_EQ(Name(DType::kC128), "c128");
  EXPECT_EQ(DTypeFromName("float32"), std::nullopt);
  EXPECT_EQ(DTypeFromName(""), std::nullopt);
}

TEST(DType, BitsAreThoseOfHostArrays) {
  EXPECT_EQ(Bits(DType::kPred), 8);
  EXPECT_EQ(Bits(DType::kS4), 8);  // a whole byte, as in NumPy
  EXPECT_EQ(Bits(DType::kF4E2M1FN), 8);
  EXPECT_EQ(Bits(DType::kBF16), 16);
  EXPECT_EQ(Bits(DType::kF32), 32);
  EXPECT_EQ(Bits(DType::kC64), 64);
  EXPECT_EQ(Bits(DType::kC128), 128);
  EXPECT_EQ(Bits(DType::kToken), 0);
}

// f32 -> float, s32 -> integer, c64 -> complex, pred and token -> nothing.
TEST(DType, FallsIntoOneClass) {
  for (const DType type : AllTypes()) {
    const char first = Name(type)[0];
    EXPECT_EQ(IsFloat(type), first == 'f' || first == 'b') << Name(type);
    EXPECT_EQ(IsInteger(type), first == 's' || first == 'u') << Name(type);
    EXPECT_EQ(IsComplex(type), first == 'c') << Name(type);
  }
}

TEST(Shape, CountsElementsAndBytes) {
  const Shape matrix{DType::kF32, {16, 128}};
  EXPECT_EQ(matrix.rank(), 2);
  EXPECT_EQ(matrix.elements(), 2048);
  EXPECT_EQ(matrix.bytes(), Bytes(8192));
  const Shape scalar{DType::kBF16, {}};
  EXPECT_EQ(scalar.elements(), 1);
  EXPECT_EQ(scalar.bytes(), Bytes(2));
  EXPECT_EQ((Shape{DType::kF32, {3, 0, 2}}).elements(), 0);
  EXPECT_EQ((Shape{DType::kF64, {1 << 20, 1 << 20}}).bytes(), Bytes(int64_t{1} << 43));
  EXPECT_EQ((Shape{DType::kToken, {}}).bytes(), Bytes(0));
}

TEST(Shape, PrintsAsXlaDoes) {
  EXPECT_EQ(ToString(Shape{DType::kF32, {16, 128}}), "f32[16,128]");
  EXPECT_EQ(ToString(Shape{DType::kPred, {}}), "pred[]");
  EXPECT_EQ(ToString(Shape{DType::kBF16, {0}}), "bf16[0]");
}

}  // namespace
}  // namespace alpa::ir
