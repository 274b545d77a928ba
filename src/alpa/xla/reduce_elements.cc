#include "alpa/xla/reduce_elements.h"

#include <complex>
#include <cstdint>
#include <type_traits>

#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

using ::xla::ReductionKind;

template <typename T>
struct IsComplex : std::false_type {};
template <typename T>
struct IsComplex<std::complex<T>> : std::true_type {};

template <typename T, typename Op>
void Apply(T* a, const T* b, size_t count, Op op) {
  for (size_t i = 0; i < count; ++i) a[i] = static_cast<T>(op(a[i], b[i]));
}

template <typename T>
absl::Status Reduce(void* accumulated, const void* next, size_t count, ReductionKind kind) {
  auto* a = static_cast<T*>(accumulated);
  const auto* b = static_cast<const T*>(next);
  if (kind == ReductionKind::SUM) {
    Apply(a, b, count, [](T x, T y) { return x + y; });
  } else if (kind == ReductionKind::PRODUCT) {
    Apply(a, b, count, [](T x, T y) { return x * y; });
  } else if constexpr (IsComplex<T>::value) {
    return absl::UnimplementedError("minimum or maximum of complex numbers");
  } else if (kind == ReductionKind::MIN) {
    Apply(a, b, count, [](T x, T y) { return x != x || x < y ? x : y; });  // NOLINT: x != x is NaN
  } else {
    Apply(a, b, count, [](T x, T y) { return x != x || x > y ? x : y; });  // NOLINT
  }
  return absl::OkStatus();
}

// Numbers 0 and 1.
absl::Status ReducePred(void* accumulated, const void* next, size_t count, ReductionKind kind) {
  const bool either = kind == ReductionKind::SUM || kind == ReductionKind::MAX;
  return Reduce<uint8_t>(accumulated, next, count, either ? ReductionKind::MAX : ReductionKind::MIN);
}

}  // namespace

absl::Status ReduceElements(void* accumulated, const void* next, size_t count, ::xla::PrimitiveType type,
                            ReductionKind kind) {
  switch (type) {
    case ::xla::PRED:
      return ReducePred(accumulated, next, count, kind);
    case ::xla::S8:
      return Reduce<int8_t>(accumulated, next, count, kind);
    case ::xla::S16:
      return Reduce<int16_t>(accumulated, next, count, kind);
    case ::xla::S32:  // unsigned: sums wrap around instead of being undefined
      if (kind == ReductionKind::MIN || kind == ReductionKind::MAX)
        return Reduce<int32_t>(accumulated, next, count, kind);
      return Reduce<uint32_t>(accumulated, next, count, kind);
    case ::xla::S64:
      if (kind == ReductionKind::MIN || kind == ReductionKind::MAX)
        return Reduce<int64_t>(accumulated, next, count, kind);
      return Reduce<uint64_t>(accumulated, next, count, kind);
    case ::xla::U8:
      return Reduce<uint8_t>(accumulated, next, count, kind);
    case ::xla::U16:
      return Reduce<uint16_t>(accumulated, next, count, kind);
    case ::xla::U32:
      return Reduce<uint32_t>(accumulated, next, count, kind);
    case ::xla::U64:
      return Reduce<uint64_t>(accumulated, next, count, kind);
    case ::xla::F16:
      return Reduce<::xla::half>(accumulated, next, count, kind);
    case ::xla::BF16:
      return Reduce<::xla::bfloat16>(accumulated, next, count, kind);
    case ::xla::F32:
      return Reduce<float>(accumulated, next, count, kind);
    case ::xla::F64:
      return Reduce<double>(accumulated, next, count, kind);
    case ::xla::C64:
      return Reduce<std::complex<float>>(accumulated, next, count, kind);
    case ::xla::C128:
      return Reduce<std::complex<double>>(accumulated, next, count, kind);
    default:
      return absl::UnimplementedError("reducing " + ::xla::primitive_util::LowercasePrimitiveTypeName(type) +
                                      " across processes");
  }
}

}  // namespace alpa::xla
