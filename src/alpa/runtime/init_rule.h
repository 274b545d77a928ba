// How an array is filled from a rule alone, the same on every machine and in every language.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/host_tensor.h"

namespace alpa::runtime {

// With h = mix(mix(e) + mix(seed + 1)) on 32 bits, e = row-major index of the element:
//   kConst    value
//   kInt      h mod value
//   kUniform  (float(h >> 8) * 2^-24 - 0.5f) * float(2 * value), i.e. uniform in [-value, value)
// computed in fp32 and then rounded to nearest even.
struct InitRule {
  enum class Kind : uint8_t { kConst, kInt, kUniform };
  Kind kind = Kind::kConst;
  double value = 0;
  uint32_t seed = 0;

  bool operator==(const InitRule&) const = default;
};

// The 32-bit hash that the rules are built on.
constexpr uint32_t Mix32(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352dU;
  x ^= x >> 15;
  x *= 0x846ca68bU;
  return x ^ (x >> 16);
}

// An array of this shape, filled by the rule. Real element types; kInt needs a value of at least 1.
ir::HostTensor Materialise(const ir::Shape& shape, const InitRule& rule);

// One entry of `args` in the .json beside an exported model.
struct SidecarInput {
  std::string name;
  ir::Shape shape;
  InitRule rule;

  bool operator==(const SidecarInput&) const = default;
};

// Reads `args` of such a file: [{"name", "shape", "dtype", "init": {"kind", "value", "seed"}}, ...]. `source` begins
// the messages. kInvalidInput names the entry and the key that is missing or malformed.
Result<std::vector<SidecarInput>> ParseSidecar(std::string_view text, const std::string& source);

}  // namespace alpa::runtime
