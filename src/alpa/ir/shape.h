// Element types and array shapes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/units.h"

namespace alpa::ir {

// Element types, named as XLA prints them ("f32", "bf16", "pred").
enum class DType : uint8_t {
  kPred,
  kS2,
  kS4,
  kS8,
  kS16,
  kS32,
  kS64,
  kU2,
  kU4,
  kU8,
  kU16,
  kU32,
  kU64,
  kF8E5M2,
  kF8E4M3,
  kF8E4M3FN,
  kF8E4M3B11FNUZ,
  kF8E5M2FNUZ,
  kF8E4M3FNUZ,
  kF8E3M4,
  kF8E8M0FNU,
  kF4E2M1FN,
  kF16,
  kBF16,
  kF32,
  kF64,
  kC64,
  kC128,
  kToken,
};

std::string_view Name(DType type);
std::optional<DType> DTypeFromName(std::string_view name);
// Bits of one element in memory as host arrays hold it (sub-byte types take a whole byte there, as in NumPy). 0 for
// tokens.
int Bits(DType type);
bool IsFloat(DType type);
bool IsComplex(DType type);
bool IsInteger(DType type);  // signed and unsigned, not pred

// The type and extents of one dense array; row-major. A scalar has no dims.
struct Shape {
  DType dtype = DType::kF32;
  std::vector<int64_t> dims;

  int rank() const { return static_cast<int>(dims.size()); }
  int64_t elements() const;
  Bytes bytes() const;
  bool operator==(const Shape&) const = default;
};

// "f32[16,128]".
std::string ToString(const Shape& shape);

}  // namespace alpa::ir
