#include "alpa/ir/host_tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace alpa::ir {
namespace {

using testing::ElementsAre;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// 0, 1, 2, ... in row-major order.
HostTensor Counting(std::vector<int64_t> dims, DType type = DType::kS32) {
  HostTensor t(Shape{type, std::move(dims)});
  for (int64_t i = 0; i < t.shape().elements(); ++i) SetElement(t, i, static_cast<double>(i));
  return t;
}

// The bits of `value` in a one-byte type, and the value of such bits.
int Encode(DType type, double value) {
  HostTensor t(Shape{type, {}});
  SetElement(t, 0, value);
  return std::to_integer<int>(t.bytes()[0]);
}
double Decode(DType type, int bits) {
  HostTensor t(Shape{type, {}});
  t.bytes()[0] = static_cast<std::byte>(bits);
  return ElementAsDouble(t, 0);
}

// `value` after it was stored in an element of `type`.
double Stored(DType type, double value) {
  HostTensor t(Shape{type, {}});
  SetElement(t, 0, value);
  return ElementAsDouble(t, 0);
}

// ---------------------------------------------------------------- the array

TEST(HostTensor, BeginsWithZerosInAlignedMemory) {
  const HostTensor scalar;
  EXPECT_EQ(scalar.shape(), (Shape{DType::kF32, {}}));
  EXPECT_EQ(scalar.as<float>()[0], 0);
  for (const int64_t n : {1, 7, 1000}) {
    const HostTensor t(Shape{DType::kF64, {n, 3}});
    EXPECT_EQ(t.bytes().size(), static_cast<size_t>(n * 24));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(t.bytes().data()) % 64, 0U);
    EXPECT_THAT(ToDoubles(t), testing::Each(0));
  }
  EXPECT_TRUE(HostTensor(Shape{DType::kF32, {0, 5}}).bytes().empty());
}

TEST(HostTensor, ComparesShapeAndBytes) {
  EXPECT_EQ(Counting({2, 3}), Counting({2, 3}));
  EXPECT_NE(Counting({2, 3}), Counting({3, 2}));
  HostTensor t = Counting({2, 3});
  t.as<int32_t>()[5] = 6;
  EXPECT_NE(t, Counting({2, 3}));
}

TEST(HostTensor, IsLittleEndianRowMajor) {
  const HostTensor t = Counting({2, 2}, DType::kU16);
  EXPECT_EQ(t.view(), std::string_view("\0\0\1\0\2\0\3\0", 8));
  EXPECT_THAT(t.as<uint16_t>(), ElementsAre(0, 1, 2, 3));
}

TEST(HostTensorDeathTest, RefusesAViewOfTheWrongWidth) { EXPECT_DEATH(Counting({2}).as<double>(), "s32\\[2\\]"); }

// ---------------------------------------------------------------- elements

TEST(Element, ComesBackForEveryType) {
  for (int i = 0; i < static_cast<int>(DType::kToken); ++i) {
    const auto type = static_cast<DType>(i);
    EXPECT_EQ(Stored(type, 1), 1) << Name(type);
    if (type != DType::kF8E8M0FNU) EXPECT_EQ(Stored(type, 0), 0) << Name(type);
    if (IsComplex(type)) continue;
    const HostTensor t = Counting({2}, type);
    EXPECT_EQ(ElementAsDouble(t, 1), 1) << Name(type);
  }
}

TEST(Element, OfComplexTypesIsTheRealPart) {
  HostTensor t(Shape{DType::kC64, {2}});
  t.as<std::array<float, 2>>()[1] = {3, 4};
  EXPECT_THAT(ToDoubles(t), ElementsAre(0, 3));
  SetElement(t, 1, 5);
  EXPECT_THAT((t.as<std::array<float, 2>>()[1]), ElementsAre(5, 0));
}

TEST(Element, OfIntegersIsTheNearestThatFits) {
  EXPECT_EQ(Stored(DType::kS32, 2.5), 2);  // to even
  EXPECT_EQ(Stored(DType::kS32, 3.5), 4);
  EXPECT_EQ(Stored(DType::kS32, -2.7), -3);
  EXPECT_EQ(Stored(DType::kS32, kNan), 0);
  EXPECT_EQ(Stored(DType::kU8, 300), 255);
  EXPECT_EQ(Stored(DType::kU8, -1), 0);
  EXPECT_EQ(Stored(DType::kS8, -1e9), -128);
  EXPECT_EQ(Stored(DType::kS4, 9), 7);
  EXPECT_EQ(Stored(DType::kS4, -9), -8);
  EXPECT_EQ(Stored(DType::kU4, 16), 15);
  EXPECT_EQ(Stored(DType::kS2, 5), 1);
  EXPECT_EQ(Stored(DType::kU2, 5), 3);
  EXPECT_EQ(Stored(DType::kS64, kInf), std::ldexp(1, 63));  // 2^63 - 1 as the nearest double
  EXPECT_EQ(Stored(DType::kU64, 1e30), std::ldexp(1, 64));
  EXPECT_EQ(Stored(DType::kPred, -0.5), 1);
}

// ---------------------------------------------------------------- half and bfloat16

TEST(Half, HasItsKnownValues) {
  const std::pair<uint16_t, float> table[] = {{0x0000, 0},         {0x8000, -0.0F},           {0x3c00, 1},
                                              {0xc000, -2},        {0x3555, 0.333251953125F}, {0x7bff, 65504},
                                              {0x0400, 0x1p-14F},  {0x03ff, 1023 * 0x1p-24F}, {0x0001, 0x1p-24F},
                                              {0x8001, -0x1p-24F}, {0x7c00, INFINITY},        {0xfc00, -INFINITY}};
  for (const auto& [bits, value] : table) {
    EXPECT_EQ(HalfToFloat(bits), value);
    EXPECT_EQ(std::signbit(HalfToFloat(bits)), std::signbit(value));
    EXPECT_EQ(FloatToHalf(value), bits) << value;
  }
  EXPECT_TRUE(std::isnan(HalfToFloat(0x7e00)));
  EXPECT_TRUE(std::isnan(HalfToFloat(0x7c01)));
  EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(NAN))));
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(FloatToHalf(1 + 0x1p-11F), 0x3c00);             // tie: down to even
  EXPECT_EQ(FloatToHalf(1 + 0x1p-10F + 0x1p-11F), 0x3c02);  // tie: up to even
  EXPECT_EQ(FloatToHalf(1 + 0x1p-11F + 0x1p-23F), 0x3c01);  // just above
  EXPECT_EQ(FloatToHalf(2 - 0x1p-12F), 0x4000);             // carries into the exponent
  EXPECT_EQ(FloatToHalf(65519.99F), 0x7bff);                // largest that stays finite
  EXPECT_EQ(FloatToHalf(65520), 0x7c00);
  EXPECT_EQ(FloatToHalf(0x1p-25F), 0x0000);  // tie between 0 and the smallest subnormal
  EXPECT_EQ(FloatToHalf(0x1.000002p-25F), 0x0001);
  EXPECT_EQ(FloatToHalf(1.5F * 0x1p-24F), 0x0002);
  EXPECT_EQ(FloatToHalf(0x1p-14F - 0x1p-26F), 0x0400);  // subnormal that rounds to the smallest normal
  EXPECT_EQ(FloatToHalf(1e-30F), 0x0000);
  EXPECT_EQ(FloatToHalf(-1e-30F), 0x8000);
}

TEST(BFloat16, HasItsKnownValues) {
  const std::pair<uint16_t, float> table[] = {
      {0x0000, 0},         {0x8000, -0.0F},     {0x3f80, 1},           {0xc000, -2},       {0x4049, 3.140625F},
      {0x0080, 0x1p-126F}, {0x0001, 0x1p-133F}, {0x7f7f, 0x1.fep127F}, {0x7f80, INFINITY}, {0xff80, -INFINITY}};
  for (const auto& [bits, value] : table) {
    EXPECT_EQ(BFloat16ToFloat(bits), value);
    EXPECT_EQ(std::signbit(BFloat16ToFloat(bits)), std::signbit(value));
    EXPECT_EQ(FloatToBFloat16(value), bits) << value;
  }
  EXPECT_TRUE(std::isnan(BFloat16ToFloat(0x7fc0)));
  // A NaN whose payload lies in the bits that are dropped must not become an infinity.
  EXPECT_TRUE(std::isnan(BFloat16ToFloat(FloatToBFloat16(std::bit_cast<float>(0x7f800001)))));
}

TEST(BFloat16, RoundsToNearestEven) {
  EXPECT_EQ(FloatToBFloat16(1 + 0x1p-8F), 0x3f80);
  EXPECT_EQ(FloatToBFloat16(1 + 0x1p-7F + 0x1p-8F), 0x3f82);
  EXPECT_EQ(FloatToBFloat16(1 + 0x1p-8F + 0x1p-23F), 0x3f81);
  EXPECT_EQ(FloatToBFloat16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(FloatToBFloat16(-0x1p-134F), 0x8000);  // half of the smallest subnormal
}

TEST(HalfAndBFloat16, ComeBackForAllBits) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const auto b = static_cast<uint16_t>(bits);
    if (!std::isnan(HalfToFloat(b))) ASSERT_EQ(FloatToHalf(HalfToFloat(b)), b);
    if (!std::isnan(BFloat16ToFloat(b))) ASSERT_EQ(FloatToBFloat16(BFloat16ToFloat(b)), b);
  }
}

// 1 + 2^-8 + 2^-40 lies above the tie between two bfloat16, but the nearest float is the tie itself.
TEST(HalfAndBFloat16, RoundDoublesOnlyOnce) {
  EXPECT_EQ(Stored(DType::kBF16, 1 + 0x1p-8 + 0x1p-40), 1 + 0x1p-7);
  EXPECT_EQ(Stored(DType::kBF16, 1 + 0x1p-8), 1);
  EXPECT_EQ(Stored(DType::kBF16, -(1 + 0x1p-7 + 0x1p-8 - 0x1p-40)), -(1 + 0x1p-7));
  EXPECT_EQ(Stored(DType::kF16, 1 + 0x1p-11 + 0x1p-40), 1 + 0x1p-10);
  EXPECT_EQ(Stored(DType::kF16, 0x1p-25 + 0x1p-60), 0x1p-24);
  EXPECT_EQ(Stored(DType::kF16, 1e300), kInf);
  EXPECT_TRUE(std::isnan(Stored(DType::kBF16, kNan)));
}

// ---------------------------------------------------------------- floats of one byte

struct SmallFloatCase {
  DType type;
  int one;        // bits of 1.0
  double max;     // largest finite value ...
  int max_bits;   // ... and its bits
  double least;   // smallest positive value, bits 0x01
  double beyond;  // what 1e30 becomes
};

void PrintTo(const SmallFloatCase& c, std::ostream* os) { *os << Name(c.type); }

class SmallFloat : public testing::TestWithParam<SmallFloatCase> {};

// Values as the OCP and ml_dtypes definitions of the types give them.
INSTANTIATE_TEST_SUITE_P(Types, SmallFloat,
                         testing::Values(SmallFloatCase{DType::kF8E5M2, 0x3c, 57344, 0x7b, 0x1p-16, kInf},
                                         SmallFloatCase{DType::kF8E4M3, 0x38, 240, 0x77, 0x1p-9, kInf},
                                         SmallFloatCase{DType::kF8E3M4, 0x30, 15.5, 0x6f, 0x1p-6, kInf},
                                         SmallFloatCase{DType::kF8E4M3FN, 0x38, 448, 0x7e, 0x1p-9, kNan},
                                         SmallFloatCase{DType::kF8E5M2FNUZ, 0x40, 57344, 0x7f, 0x1p-17, kNan},
                                         SmallFloatCase{DType::kF8E4M3FNUZ, 0x40, 240, 0x7f, 0x1p-10, kNan},
                                         SmallFloatCase{DType::kF8E4M3B11FNUZ, 0x58, 30, 0x7f, 0x1p-13, kNan},
                                         SmallFloatCase{DType::kF4E2M1FN, 0x02, 6, 0x07, 0.5, 6}),
                         [](const auto& info) { return std::string(Name(info.param.type)); });

TEST_P(SmallFloat, HasItsKnownValues) {
  const auto& [type, one, max, max_bits, least, beyond] = GetParam();
  EXPECT_EQ(Decode(type, one), 1);
  EXPECT_EQ(Decode(type, max_bits), max);
  EXPECT_EQ(Decode(type, 0x01), least);
  EXPECT_EQ(Decode(type, 0x00), 0);
  EXPECT_EQ(Encode(type, 1), one);
  EXPECT_EQ(Encode(type, max), max_bits);
  EXPECT_EQ(Encode(type, least), 0x01);
  for (const double big : {1e30, kInf}) {
    if (std::isnan(beyond)) {
      EXPECT_TRUE(std::isnan(Stored(type, big)));
      EXPECT_TRUE(std::isnan(Stored(type, -big)));
    } else {
      EXPECT_EQ(Stored(type, big), beyond);
      EXPECT_EQ(Stored(type, -big), -beyond);
    }
  }
  if (type != DType::kF4E2M1FN) EXPECT_TRUE(std::isnan(Stored(type, kNan)));
}

TEST_P(SmallFloat, ComesBackForAllBits) {
  const DType type = GetParam().type;
  const int codes = type == DType::kF4E2M1FN ? 16 : 256;
  int finite = 0;
  for (int bits = 0; bits < codes; ++bits) {
    const double value = Decode(type, bits);
    if (std::isnan(value)) continue;
    EXPECT_EQ(Encode(type, value), bits) << value;
    finite += std::isfinite(value) ? 1 : 0;
  }
  EXPECT_GE(finite, codes - 32);
}

// Halfway between two neighbours: the one with the even bits. A hair off: the nearer one.
TEST_P(SmallFloat, RoundsToNearestEven) {
  const auto& [type, one, max, max_bits, least, beyond] = GetParam();
  for (int bits = 0; bits < max_bits; ++bits) {
    const double low = Decode(type, bits);
    const double high = Decode(type, bits + 1);
    ASSERT_LT(low, high);
    const double middle = (low + high) / 2;
    EXPECT_EQ(Encode(type, middle), bits % 2 == 0 ? bits : bits + 1);
    EXPECT_EQ(Encode(type, std::nextafter(middle, 0)), bits);
    EXPECT_EQ(Encode(type, std::nextafter(middle, kInf)), bits + 1);
    EXPECT_EQ(Stored(type, -std::nextafter(middle, kInf)), -high);
  }
}

TEST(SmallFloat, TypesWithOneNanHaveNoNegativeZero) {
  for (const DType type : {DType::kF8E5M2FNUZ, DType::kF8E4M3FNUZ, DType::kF8E4M3B11FNUZ}) {
    EXPECT_EQ(Encode(type, -0.0), 0x00) << Name(type);
    EXPECT_EQ(Encode(type, -1e-30), 0x00) << Name(type);
    EXPECT_TRUE(std::isnan(Decode(type, 0x80))) << Name(type);
  }
  EXPECT_EQ(Encode(DType::kF8E4M3FN, -0.0), 0x80);
}

TEST(F8E8M0FNU, HoldsPowersOfTwoOnly) {
  const DType type = DType::kF8E8M0FNU;
  EXPECT_EQ(Decode(type, 127), 1);
  EXPECT_EQ(Decode(type, 0), 0x1p-127);
  EXPECT_EQ(Decode(type, 254), 0x1p127);
  EXPECT_TRUE(std::isnan(Decode(type, 255)));
  for (int bits = 0; bits < 255; ++bits) EXPECT_EQ(Encode(type, Decode(type, bits)), bits);
  EXPECT_EQ(Stored(type, 2.9), 2);
  EXPECT_EQ(Stored(type, 3), 4);  // ties go up
  EXPECT_EQ(Stored(type, 6), 8);
  EXPECT_EQ(Stored(type, 1e-300), 0x1p-127);
  for (const double none : {0.0, -1.0, 1e39, kInf, kNan}) EXPECT_TRUE(std::isnan(Stored(type, none))) << none;
}

// ---------------------------------------------------------------- blocks

TEST(Block, SlicesAndPastesAMatrix) {
  const HostTensor t = Counting({3, 4});  // 0 1 2 3 / 4 5 6 7 / 8 9 10 11
  const HostTensor block = SliceBlock(t, std::vector<int64_t>{1, 2}, std::vector<int64_t>{2, 2});
  EXPECT_EQ(block.shape(), (Shape{DType::kS32, {2, 2}}));
  EXPECT_THAT(ToDoubles(block), ElementsAre(6, 7, 10, 11));
  HostTensor zeros(Shape{DType::kS32, {3, 4}});
  PasteBlock(zeros, block, std::vector<int64_t>{0, 1});
  EXPECT_THAT(ToDoubles(zeros), ElementsAre(0, 6, 7, 0, 0, 10, 11, 0, 0, 0, 0, 0));
}

TEST(Block, OfAScalarIsTheScalar) {
  HostTensor t;
  SetElement(t, 0, 7);
  EXPECT_EQ(SliceBlock(t, {}, {}), t);
  HostTensor zero;
  PasteBlock(zero, t, {});
  EXPECT_EQ(zero, t);
}

// The next index vector below `end` in row-major order; false after the last.
bool Next(std::vector<int64_t>& index, const std::vector<int64_t>& end) {
  for (size_t d = index.size(); d-- > 0;) {
    if (++index[d] < end[d]) return true;
    index[d] = 0;
  }
  return false;
}

int64_t Offset(const std::vector<int64_t>& index, const std::vector<int64_t>& dims) {
  int64_t offset = 0;
  for (size_t d = 0; d < dims.size(); ++d) offset = offset * dims[d] + index[d];
  return offset;
}

// All blocks of an array of these extents, empty ones too, against a loop over single elements.
void CheckAllBlocks(const std::vector<int64_t>& dims, DType type) {
  const HostTensor whole = Counting(dims, type);
  const size_t rank = dims.size();
  std::vector<int64_t> starts_end = dims;
  for (int64_t& end : starts_end) ++end;
  std::vector<int64_t> start(rank, 0);
  do {
    std::vector<int64_t> sizes_end = starts_end;
    for (size_t d = 0; d < rank; ++d) sizes_end[d] -= start[d];
    std::vector<int64_t> sizes(rank, 0);
    do {
      const HostTensor block = SliceBlock(whole, start, sizes);
      HostTensor expected_block(Shape{type, sizes});
      HostTensor pasted = whole;
      HostTensor marks(Shape{type, sizes});
      for (int64_t i = 0; i < marks.shape().elements(); ++i) SetElement(marks, i, 100);
      PasteBlock(pasted, marks, start);
      HostTensor expected_paste = whole;
      std::vector<int64_t> index(rank, 0);
      if (block.shape().elements() > 0) {
        do {
          std::vector<int64_t> at = start;
          for (size_t d = 0; d < rank; ++d) at[d] += index[d];
          SetElement(expected_block, Offset(index, sizes), ElementAsDouble(whole, Offset(at, dims)));
          SetElement(expected_paste, Offset(at, dims), 100);
        } while (Next(index, sizes));
      }
      ASSERT_EQ(block, expected_block) << testing::PrintToString(start) << testing::PrintToString(sizes);
      ASSERT_EQ(pasted, expected_paste) << testing::PrintToString(start) << testing::PrintToString(sizes);
    } while (Next(sizes, sizes_end));
  } while (Next(start, starts_end));
}

TEST(Block, AgreesWithANaiveLoopForRanks0To4) {
  for (const DType type : {DType::kU8, DType::kBF16, DType::kF32, DType::kF64}) {
    CheckAllBlocks({}, type);
    CheckAllBlocks({5}, type);
    CheckAllBlocks({3, 4}, type);
    CheckAllBlocks({1, 4}, type);
    CheckAllBlocks({2, 3, 2}, type);
    CheckAllBlocks({3, 1, 2}, type);
    CheckAllBlocks({0, 3}, type);
  }
  CheckAllBlocks({2, 2, 3, 2}, DType::kF32);
  CheckAllBlocks({2, 1, 2, 3}, DType::kU8);
}

}  // namespace
}  // namespace alpa::ir
