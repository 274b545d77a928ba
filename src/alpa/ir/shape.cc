#include "alpa/ir/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

namespace alpa::ir {
namespace {

struct Row {
  DType type;
  std::string_view name;
  int bits;
};

constexpr std::array<Row, 29> kTypes = {{
    {DType::kPred, "pred", 8},
    {DType::kS2, "s2", 8},
    {DType::kS4, "s4", 8},
    {DType::kS8, "s8", 8},
    {DType::kS16, "s16", 16},
    {DType::kS32, "s32", 32},
    {DType::kS64, "s64", 64},
    {DType::kU2, "u2", 8},
    {DType::kU4, "u4", 8},
    {DType::kU8, "u8", 8},
    {DType::kU16, "u16", 16},
    {DType::kU32, "u32", 32},
    {DType::kU64, "u64", 64},
    {DType::kF8E5M2, "f8e5m2", 8},
    {DType::kF8E4M3, "f8e4m3", 8},
    {DType::kF8E4M3FN, "f8e4m3fn", 8},
    {DType::kF8E4M3B11FNUZ, "f8e4m3b11fnuz", 8},
    {DType::kF8E5M2FNUZ, "f8e5m2fnuz", 8},
    {DType::kF8E4M3FNUZ, "f8e4m3fnuz", 8},
    {DType::kF8E3M4, "f8e3m4", 8},
    {DType::kF8E8M0FNU, "f8e8m0fnu", 8},
    {DType::kF4E2M1FN, "f4e2m1fn", 8},
    {DType::kF16, "f16", 16},
    {DType::kBF16, "bf16", 16},
    {DType::kF32, "f32", 32},
    {DType::kF64, "f64", 64},
    {DType::kC64, "c64", 64},
    {DType::kC128, "c128", 128},
    {DType::kToken, "token", 0},
}};

const Row& RowOf(DType type) { return kTypes[static_cast<size_t>(type)]; }

}  // namespace

std::string_view Name(DType type) { return RowOf(type).name; }

std::optional<DType> DTypeFromName(std::string_view name) {
  for (const Row& row : kTypes) {
    if (row.name == name) return row.type;
  }
  return std::nullopt;
}

int Bits(DType type) { return RowOf(type).bits; }

bool IsFloat(DType type) { return type >= DType::kF8E5M2 && type <= DType::kF64; }
bool IsComplex(DType type) { return type == DType::kC64 || type == DType::kC128; }
bool IsInteger(DType type) { return type >= DType::kS2 && type <= DType::kU64; }

int64_t Shape::elements() const {
  int64_t n = 1;
  for (const int64_t d : dims) n *= d;
  return n;
}

Bytes Shape::bytes() const { return Bytes(elements() * (Bits(dtype) / 8)); }

std::string ToString(const Shape& shape) {
  return fmt::format("{}[{}]", Name(shape.dtype), fmt::join(shape.dims, ","));
}

}  // namespace alpa::ir
