#include "alpa/cluster/quantity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "alpa/base/units.h"

namespace alpa::cluster {
namespace {

constexpr std::string_view kBlanks = " \t";

// The factor of a prefix before `base`: "Gbit" has 1e9 before "bit". `binary`: Ki, Mi, ... are allowed.
std::optional<double> Prefix(std::string_view unit, std::string_view base, bool binary) {
  if (!unit.ends_with(base)) return std::nullopt;
  unit.remove_suffix(base.size());
  if (unit.empty()) return 1;
  constexpr std::string_view kDecimal = "kMGTP";
  constexpr std::string_view kBinary = "KMGTP";
  if (const size_t at = kDecimal.find(unit); at != std::string_view::npos && unit.size() == 1) {
    return std::pow(1000.0, static_cast<double>(at + 1));
  }
  if (!binary || unit.size() != 2 || unit[1] != 'i') return std::nullopt;
  const size_t at = kBinary.find(unit[0]);
  if (at == std::string_view::npos) return std::nullopt;
  return std::pow(1024.0, static_cast<double>(at + 1));
}

// `number` of `unit`. Divides where that keeps it exact: 5 / 1e6 is 5e-6, 5 * 1e-6 is not.
std::optional<double> InBaseUnit(double number, std::string_view unit, Dimension dimension) {
  std::optional<double> factor;
  switch (dimension) {
    case Dimension::kBytes:
      factor = Prefix(unit, "B", true);
      break;
    case Dimension::kBytesPerSecond:
      if (const std::optional<double> bits = Prefix(unit, "bit/s", false)) return number * *bits / 8;
      factor = Prefix(unit, "B/s", true);
      break;
    case Dimension::kFlopsPerSecond:
      factor = Prefix(unit, "FLOP/s", false);
      break;
    case Dimension::kSeconds:
      if (unit == "s") return number;
      if (unit == "ms") return number / 1e3;
      if (unit == "us") return number / 1e6;
      if (unit == "ns") return number / 1e9;
      break;
  }
  if (!factor) return std::nullopt;
  return number * *factor;
}

std::string_view HowToWrite(Dimension dimension) {
  switch (dimension) {
    case Dimension::kBytes:
      return "write a number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB: \"16 GiB\"";
    case Dimension::kBytesPerSecond:
      return "write a number and bytes (GB/s, GiB/s) or bits (Gbit/s) per second: \"900 GB/s\", \"25 Gbit/s\"";
    case Dimension::kFlopsPerSecond:
      return "write a number and GFLOP/s, TFLOP/s or PFLOP/s: \"125 TFLOP/s\"";
    case Dimension::kSeconds:
      return "write a number and s, ms, us or ns: \"5 us\"";
  }
  return "";
}

}  // namespace

Result<double> ParseQuantity(std::string_view text, Dimension dimension) {
  auto wrong = [&](const std::string& what) {
    return Error{Code::kInvalidInput, fmt::format("\"{}\" {}", text, what), std::string(HowToWrite(dimension))};
  };
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::general);
  if (error == std::errc::result_out_of_range) return wrong("is too large or too small a number");
  if (error != std::errc() || !std::isfinite(number)) return wrong("does not begin with a number");
  std::string_view unit(rest, static_cast<size_t>(end - rest));
  unit.remove_prefix(std::min(unit.find_first_not_of(kBlanks), unit.size()));
  if (unit.empty()) return wrong("has no unit");
  const std::optional<double> value = InBaseUnit(number, unit, dimension);
  if (!value) return wrong(fmt::format("has a unit that does not fit here, \"{}\"", unit));
  return *value;
}

std::string ToString(double value, Dimension dimension) {
  if (dimension == Dimension::kBytes) return alpa::ToString(Bytes(std::llround(value)));
  if (dimension == Dimension::kSeconds) return alpa::ToString(Seconds(value));
  static constexpr std::array<const char*, 6> kPrefixes = {"", "k", "M", "G", "T", "P"};
  size_t p = 0;
  while (std::abs(value) >= 999.995 && p + 1 < kPrefixes.size()) value /= 1000, ++p;
  return fmt::format("{:.2f} {}{}", value, kPrefixes[p], dimension == Dimension::kBytesPerSecond ? "B/s" : "FLOP/s");
}

}  // namespace alpa::cluster
