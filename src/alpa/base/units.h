// Strong types for quantities: a number with a unit cannot be mistaken for another.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace alpa {

// A quantity with tag `Tag`, represented as `Rep`. Sums and comparisons stay in the unit; scaling is by plain numbers.
template <typename Tag, typename Rep>
struct Quantity {
  Rep value{};

  constexpr Quantity() = default;
  constexpr explicit Quantity(Rep v) : value(v) {}

  constexpr auto operator<=>(const Quantity&) const = default;  // NOLINT(modernize-use-nullptr): a bug of the check
  constexpr Quantity& operator+=(Quantity o) {
    value += o.value;
    return *this;
  }
  constexpr Quantity& operator-=(Quantity o) {
    value -= o.value;
    return *this;
  }
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return Quantity(a.value + b.value); }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return Quantity(a.value - b.value); }
  friend constexpr Quantity operator*(Quantity a, Rep k) { return Quantity(a.value * k); }
  friend constexpr Quantity operator*(Rep k, Quantity a) { return Quantity(a.value * k); }
  friend constexpr double operator/(Quantity a, Quantity b) {
    return static_cast<double>(a.value) / static_cast<double>(b.value);
  }
};

using Seconds = Quantity<struct SecondsTag, double>;
using Bytes = Quantity<struct BytesTag, int64_t>;
// Floating-point operations; a multiply-add counts as two. A double: steps of large models pass 2^63.
using Flops = Quantity<struct FlopsTag, double>;

// "1.50 GiB", "640 B".
std::string ToString(Bytes bytes);
// "12.30 ms", "4.20 s".
std::string ToString(Seconds seconds);
// "1.23 TFLOP", "820 FLOP".
std::string ToString(Flops flops);

}  // namespace alpa
