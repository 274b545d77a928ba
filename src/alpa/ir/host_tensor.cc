#include "alpa/ir/host_tensor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace alpa::ir {
namespace {

template <typename T>
T Load(const std::byte* p) {
  T v;
  std::memcpy(&v, p, sizeof(T));
  return v;
}

template <typename T>
void Store(std::byte* p, T v) {
  std::memcpy(p, &v, sizeof(T));
}

// A float of at most eight bits: sign, exponent, mantissa from the top. Names as in ml_dtypes.
struct SmallFloat {
  int exponent_bits, mantissa_bits, bias;
  int max_code;  // of the largest finite value
  int inf_code;  // -1: the type has no infinity
  int nan_code;  // -1: the type has no NaN; 0x80: that one code (no sign, no -0: the "uz" in the name)

  int sign_bit() const { return 1 << (exponent_bits + mantissa_bits); }

  double Decode(uint8_t bits) const {
    if (nan_code == 0x80 && bits == 0x80) return NAN;
    const double sign = (bits & sign_bit()) != 0 ? -1 : 1;
    const int code = bits & (sign_bit() - 1);
    if (code == inf_code) return sign * INFINITY;
    if (code > max_code) return NAN;
    const int exponent = code >> mantissa_bits;
    const int mantissa = code & ((1 << mantissa_bits) - 1);
    if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
  }

  uint8_t Encode(double value) const {
    const bool one_nan = nan_code == 0x80;
    const int sign = std::signbit(value) && !one_nan ? sign_bit() : 0;
    if (std::isnan(value)) return static_cast<uint8_t>(nan_code < 0 ? sign_bit() : nan_code | sign);
    int code = value == 0 ? 0 : max_code + 1;
    if (value != 0 && !std::isinf(value)) {
      // In units of the last place; the codes of positive values count up with them, across exponents too.
      int exponent = 0;
      std::frexp(value, &exponent);
      exponent = std::max(exponent - 1, 1 - bias);
      const double units = std::nearbyint(std::ldexp(std::fabs(value), mantissa_bits - exponent));
      const double at = units + std::ldexp(exponent + bias - 1, mantissa_bits);
      if (at <= max_code) code = static_cast<int>(at);
    }
    if (code > max_code) code = inf_code >= 0 ? inf_code : nan_code >= 0 ? nan_code : max_code;
    if (one_nan && std::signbit(value) && code != 0 && code != nan_code) code |= sign_bit();
    return static_cast<uint8_t>(code | sign);
  }
};

const SmallFloat* SmallFloatOf(DType type) {
  static constexpr SmallFloat kE5M2{5, 2, 15, 0x7b, 0x7c, 0x7e};
  static constexpr SmallFloat kE4M3{4, 3, 7, 0x77, 0x78, 0x7c};
  static constexpr SmallFloat kE3M4{3, 4, 3, 0x6f, 0x70, 0x78};
  static constexpr SmallFloat kE4M3FN{4, 3, 7, 0x7e, -1, 0x7f};
  static constexpr SmallFloat kE5M2FNUZ{5, 2, 16, 0x7f, -1, 0x80};
  static constexpr SmallFloat kE4M3FNUZ{4, 3, 8, 0x7f, -1, 0x80};
  static constexpr SmallFloat kE4M3B11FNUZ{4, 3, 11, 0x7f, -1, 0x80};
  static constexpr SmallFloat kE2M1FN{2, 1, 1, 0x07, -1, -1};
  switch (type) {
    case DType::kF8E5M2:
      return &kE5M2;
    case DType::kF8E4M3:
      return &kE4M3;
    case DType::kF8E3M4:
      return &kE3M4;
    case DType::kF8E4M3FN:
      return &kE4M3FN;
    case DType::kF8E5M2FNUZ:
      return &kE5M2FNUZ;
    case DType::kF8E4M3FNUZ:
      return &kE4M3FNUZ;
    case DType::kF8E4M3B11FNUZ:
      return &kE4M3B11FNUZ;
    case DType::kF4E2M1FN:
      return &kE2M1FN;
    default:
      return nullptr;
  }
}

// f8e8m0fnu: powers of two from 2^-127; no zero, no sign, one NaN (0xff), which all that is not positive or too large
// becomes.
double DecodePowerOfTwo(uint8_t bits) { return bits == 0xff ? NAN : std::ldexp(1.0, static_cast<int>(bits) - 127); }
uint8_t EncodePowerOfTwo(double value) {
  if (!(value > 0) || std::isinf(value)) return 0xff;
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);  // value = fraction * 2^exponent, fraction in [0.5, 1)
  int code = exponent - 1 + 127;
  if (fraction >= 0.75) ++code;  // ties go up, as in ml_dtypes: there is no even mantissa to prefer
  return code > 0xfe ? 0xff : static_cast<uint8_t>(std::max(code, 0));
}

// `value` as a float such that rounding that to a narrower type gives what rounding `value` itself would: inexact
// results are made odd in the last place ("round to odd"), so that they never lie on a tie.
float RoundToOdd(double value) {
  const auto f = static_cast<float>(value);
  if (std::isnan(value) || std::isinf(f) || static_cast<double>(f) == value) return f;
  const float truncated = std::fabs(static_cast<double>(f)) > std::fabs(value) ? std::nextafterf(f, 0.0F) : f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(truncated) | 1);
}

// The nearest integer that T can hold, between `low` and `high`; 0 for NaN.
template <typename T>
T ToInteger(double value, T low = std::numeric_limits<T>::min(), T high = std::numeric_limits<T>::max()) {
  if (std::isnan(value)) return 0;
  const double rounded = std::nearbyint(value);
  if (rounded <= static_cast<double>(low)) return low;
  if (rounded >= static_cast<double>(high)) return high;
  return static_cast<T>(rounded);
}

// Calls f(offset in tensor, offset in block, bytes) for each contiguous run of the block.
template <typename F>
void ForEachRun(const Shape& shape, std::span<const int64_t> start, std::span<const int64_t> sizes, F f) {
  const int rank = shape.rank();
  const int64_t width = Bits(shape.dtype) / 8;
  int64_t total = 1;
  for (const int64_t s : sizes) total *= s;
  if (total == 0) return;
  // Dimensions behind `outer` are taken whole, so a run covers them and the extent of dimension `outer`.
  int outer = rank - 1;
  int64_t inner = 1;
  while (outer > 0 && sizes[static_cast<size_t>(outer)] == shape.dims[static_cast<size_t>(outer)]) {
    inner *= shape.dims[static_cast<size_t>(outer)];
    --outer;
  }
  const int64_t run = rank == 0 ? 1 : inner * sizes[static_cast<size_t>(outer)];
  std::vector<int64_t> index(static_cast<size_t>(std::max(outer, 0)), 0);
  for (int64_t done = 0; done < total; done += run) {
    int64_t offset = 0;
    for (int d = 0; d < outer; ++d) {
      const auto u = static_cast<size_t>(d);
      offset = (offset + start[u] + index[u]) * shape.dims[u + 1];
    }
    if (rank > 0) offset = (offset + start[static_cast<size_t>(outer)]) * inner;
    f(offset * width, done * width, run * width);
    for (int d = outer - 1; d >= 0; --d) {
      const auto u = static_cast<size_t>(d);
      if (++index[u] < sizes[u]) break;
      index[u] = 0;
    }
  }
}

}  // namespace

float BFloat16ToFloat(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t FloatToBFloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float HalfToFloat(uint16_t bits) {
  const float sign = (bits & 0x8000) != 0 ? -1.0F : 1.0F;
  const int exponent = (bits >> 10) & 0x1f;
  const int mantissa = bits & 0x3ff;
  if (exponent == 31) return mantissa != 0 ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  return sign * std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
}

uint16_t FloatToHalf(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const float a = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7e00;
  if (a >= 65520.0F) return sign | 0x7c00;
  if (a < 6.103515625e-05F) return sign | static_cast<uint16_t>(std::nearbyint(std::ldexp(a, 24)));
  const uint32_t rounded = (bits & 0x7fffffff) + 0xfff + ((bits >> 13) & 1);
  return sign | static_cast<uint16_t>((rounded >> 13) - (112U << 10));
}

double ElementAsDouble(const HostTensor& tensor, int64_t index) {
  const DType type = tensor.shape().dtype;
  const std::byte* p = tensor.bytes().data() + index * (Bits(type) / 8);
  switch (type) {
    case DType::kPred:
    case DType::kU2:
    case DType::kU4:
    case DType::kU8:
      return Load<uint8_t>(p);
    case DType::kS2:
    case DType::kS4:
    case DType::kS8:
      return Load<int8_t>(p);
    case DType::kS16:
      return Load<int16_t>(p);
    case DType::kU16:
      return Load<uint16_t>(p);
    case DType::kS32:
      return Load<int32_t>(p);
    case DType::kU32:
      return Load<uint32_t>(p);
    case DType::kS64:
      return static_cast<double>(Load<int64_t>(p));
    case DType::kU64:
      return static_cast<double>(Load<uint64_t>(p));
    case DType::kF16:
      return HalfToFloat(Load<uint16_t>(p));
    case DType::kBF16:
      return BFloat16ToFloat(Load<uint16_t>(p));
    case DType::kF32:
    case DType::kC64:
      return Load<float>(p);
    case DType::kF64:
    case DType::kC128:
      return Load<double>(p);
    case DType::kF8E8M0FNU:
      return DecodePowerOfTwo(Load<uint8_t>(p));
    case DType::kToken:
      return 0;
    default:
      return SmallFloatOf(type)->Decode(Load<uint8_t>(p));
  }
}

std::vector<double> ToDoubles(const HostTensor& tensor) {
  std::vector<double> out(static_cast<size_t>(tensor.shape().elements()));
  if (tensor.shape().dtype == DType::kF32) {  // the common case, without a switch per element
    const auto in = tensor.as<float>();
    for (size_t i = 0; i < out.size(); ++i) out[i] = in[i];
    return out;
  }
  for (size_t i = 0; i < out.size(); ++i) out[i] = ElementAsDouble(tensor, static_cast<int64_t>(i));
  return out;
}

void SetElement(HostTensor& tensor, int64_t index, double value) {
  const DType type = tensor.shape().dtype;
  std::byte* p = tensor.bytes().data() + index * (Bits(type) / 8);
  switch (type) {
    case DType::kPred:
      Store<uint8_t>(p, value != 0 ? 1 : 0);
      break;
    case DType::kU2:
      Store(p, ToInteger<uint8_t>(value, 0, 3));
      break;
    case DType::kU4:
      Store(p, ToInteger<uint8_t>(value, 0, 15));
      break;
    case DType::kU8:
      Store(p, ToInteger<uint8_t>(value));
      break;
    case DType::kS2:
      Store(p, ToInteger<int8_t>(value, -2, 1));
      break;
    case DType::kS4:
      Store(p, ToInteger<int8_t>(value, -8, 7));
      break;
    case DType::kS8:
      Store(p, ToInteger<int8_t>(value));
      break;
    case DType::kS16:
      Store(p, ToInteger<int16_t>(value));
      break;
    case DType::kU16:
      Store(p, ToInteger<uint16_t>(value));
      break;
    case DType::kS32:
      Store(p, ToInteger<int32_t>(value));
      break;
    case DType::kU32:
      Store(p, ToInteger<uint32_t>(value));
      break;
    case DType::kS64:
      Store(p, ToInteger<int64_t>(value));
      break;
    case DType::kU64:
      Store(p, ToInteger<uint64_t>(value));
      break;
    case DType::kF16:
      Store<uint16_t>(p, FloatToHalf(RoundToOdd(value)));
      break;
    case DType::kBF16:
      Store<uint16_t>(p, FloatToBFloat16(RoundToOdd(value)));
      break;
    case DType::kF32:
      Store<float>(p, static_cast<float>(value));
      break;
    case DType::kF64:
      Store<double>(p, value);
      break;
    case DType::kC64:
      Store<float>(p, static_cast<float>(value));
      Store<float>(p + 4, 0);
      break;
    case DType::kC128:
      Store<double>(p, value);
      Store<double>(p + 8, 0);
      break;
    case DType::kF8E8M0FNU:
      Store(p, EncodePowerOfTwo(value));
      break;
    case DType::kToken:
      break;
    default:
      Store(p, SmallFloatOf(type)->Encode(value));
  }
}

HostTensor SliceBlock(const HostTensor& tensor, std::span<const int64_t> start, std::span<const int64_t> sizes) {
  HostTensor out(Shape{tensor.shape().dtype, {sizes.begin(), sizes.end()}});
  ForEachRun(tensor.shape(), start, sizes, [&](int64_t from, int64_t to, int64_t n) {
    std::memcpy(out.bytes().data() + to, tensor.bytes().data() + from, static_cast<size_t>(n));
  });
  return out;
}

void PasteBlock(HostTensor& tensor, const HostTensor& block, std::span<const int64_t> start) {
  ForEachRun(tensor.shape(), start, block.shape().dims, [&](int64_t at, int64_t from, int64_t n) {
    std::memcpy(tensor.bytes().data() + at, block.bytes().data() + from, static_cast<size_t>(n));
  });
}

}  // namespace alpa::ir
