#include "alpa/base/units.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace alpa {

std::string ToString(Bytes bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto v = static_cast<double>(bytes.value);
  size_t u = 0;
  while (std::abs(v) >= 1023.995 && u + 1 < kUnits.size()) v /= 1024, ++u;  // never "1024.00 KiB"
  return u == 0 ? fmt::format("{} B", bytes.value) : fmt::format("{:.2f} {}", v, kUnits[u]);
}

std::string ToString(Seconds seconds) {
  const double v = seconds.value;
  const double a = std::abs(v);
  if (a >= 0.999995 || std::isnan(a)) return fmt::format("{:.2f} s", v);
  if (a >= 0.999995e-3) return fmt::format("{:.2f} ms", v * 1e3);
  return fmt::format("{:.2f} us", v * 1e6);
}

std::string ToString(Flops flops) {
  static constexpr std::array<const char*, 7> kUnits = {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"};
  double v = flops.value;
  size_t u = 0;
  while (std::abs(v) >= 999.995 && u + 1 < kUnits.size()) v /= 1000, ++u;
  return u == 0 ? fmt::format("{:.0f} FLOP", v) : fmt::format("{:.2f} {}", v, kUnits[u]);
}

}  // namespace alpa
