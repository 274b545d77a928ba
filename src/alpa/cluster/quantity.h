// Numbers with units as people write them: "16 GiB", "125 TFLOP/s", "25 Gbit/s", "5 us".
#pragma once

#include <string>
#include <string_view>

#include "alpa/base/result.h"

namespace alpa::cluster {

enum class Dimension { kBytes, kBytesPerSecond, kFlopsPerSecond, kSeconds };

// A decimal number, optional spaces, a unit; nothing else. The value in bytes, bytes/s, FLOP/s or seconds. Prefixes k,
// M, G, T, P are powers of 1000, Ki, Mi, Gi, Ti of 1024; data rates are in bytes (GB/s) or bits (Gbit/s). Any sign
// passes. kInvalidInput says what is wrong with the text and, in the hint, how to write it.
Result<double> ParseQuantity(std::string_view text, Dimension dimension);

// "900.00 GB/s", "125.00 TFLOP/s"; "16.00 GiB" and "5.00 us" as in base/units.h.
std::string ToString(double value, Dimension dimension);

}  // namespace alpa::cluster
