// An array in host memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/shape.h"

namespace alpa::ir {

// Memory aligned to 64 bytes, which lets the engine adopt it without a copy.
template <typename T>
struct CacheLineAllocator {
  using value_type = T;
  CacheLineAllocator() = default;
  template <typename U>
  explicit CacheLineAllocator(const CacheLineAllocator<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{64})); }
  void deallocate(T* p, size_t) { ::operator delete (p, std::align_val_t{64}); }
  bool operator==(const CacheLineAllocator&) const { return true; }
};

// A dense row-major array: shape and bytes, which always agree in size. Little endian; bf16 as its 16 bits.
class HostTensor {
 public:
  HostTensor() : HostTensor(Shape{}) {}
  explicit HostTensor(Shape shape) : shape_(std::move(shape)), bytes_(static_cast<size_t>(shape_.bytes().value)) {}

  const Shape& shape() const { return shape_; }
  std::span<std::byte> bytes() { return bytes_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

  // The elements as T; T must have the size of the element type.
  template <typename T>
  std::span<T> as() {
    ALPA_CHECK(sizeof(T) * 8 == static_cast<size_t>(Bits(shape_.dtype)), ToString(shape_));
    return {reinterpret_cast<T*>(bytes_.data()), bytes_.size() / sizeof(T)};
  }
  template <typename T>
  std::span<const T> as() const {
    ALPA_CHECK(sizeof(T) * 8 == static_cast<size_t>(Bits(shape_.dtype)), ToString(shape_));
    return {reinterpret_cast<const T*>(bytes_.data()), bytes_.size() / sizeof(T)};
  }

  bool operator==(const HostTensor&) const = default;

 private:
  Shape shape_;
  std::vector<std::byte, CacheLineAllocator<std::byte>> bytes_;
};

// Element `index` as a double (exact for all real types up to 53 bits; the real part of complex ones).
double ElementAsDouble(const HostTensor& tensor, int64_t index);
// All elements as doubles.
std::vector<double> ToDoubles(const HostTensor& tensor);
// Writes `value`, rounded to nearest even, into element `index`. Real types only (the imaginary part of complex ones
// becomes 0). Integers take the nearest value they can hold, NaN becomes 0. Floats overflow to infinity, or to NaN
// where the type has no infinity, or to the largest value where it has neither (f4e2m1fn).
void SetElement(HostTensor& tensor, int64_t index, double value);

// Conversions of the 16-bit float formats.
float BFloat16ToFloat(uint16_t bits);
uint16_t FloatToBFloat16(float value);  // round to nearest even
float HalfToFloat(uint16_t bits);
uint16_t FloatToHalf(float value);  // round to nearest even

// Copies the block that starts at `start` with extents `sizes` out of `tensor`.
HostTensor SliceBlock(const HostTensor& tensor, std::span<const int64_t> start, std::span<const int64_t> sizes);
// Copies `block` into `tensor` at `start`.
void PasteBlock(HostTensor& tensor, const HostTensor& block, std::span<const int64_t> start);

}  // namespace alpa::ir
