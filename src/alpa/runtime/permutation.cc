#include "alpa/runtime/permutation.h"

#include <bit>

#include "alpa/base/result.h"

namespace alpa::runtime {
namespace {

constexpr int kRounds = 6;

}  // namespace

Permutation::Permutation(int64_t size, uint64_t key)
    : size_(static_cast<uint64_t>(size)), key_(Mix64(key + 0x9e3779b97f4a7c15ULL)) {
  ALPA_CHECK(size >= 1);
  half_bits_ = (std::bit_width(size_ - 1) + 1) / 2;
}

uint64_t Permutation::Encrypt(uint64_t value) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = value >> half_bits_;
  uint64_t right = value & mask;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t mixed = Mix64(key_ ^ Mix64(right * kRounds + static_cast<uint64_t>(round)));
    const uint64_t next = left ^ (mixed & mask);
    left = right;
    right = next;
  }
  return left << half_bits_ | right;
}

int64_t Permutation::operator()(int64_t index) const {
  auto value = static_cast<uint64_t>(index);
  do {
    value = Encrypt(value);
  } while (value >= size_);
  return static_cast<int64_t>(value);
}

}  // namespace alpa::runtime
