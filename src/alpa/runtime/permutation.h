// Shuffling without a table.
#pragma once

#include <cstdint>

namespace alpa::runtime {

// The finalizer of splitmix64: a bijection that scatters 64 bits.
constexpr uint64_t Mix64(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// A pseudo-random permutation of 0 .. size-1 chosen by `key`. Any element costs O(1) time and there is no state, so
// that a position in an epoch can be resumed from its number alone. (A Feistel network on the smallest even number of
// bits that holds `size`, walked until the result is in range; Black and Rogaway, CT-RSA 2002.)
class Permutation {
 public:
  // size >= 1.
  Permutation(int64_t size, uint64_t key);
  // The element at place `index`, 0 <= index < size.
  int64_t operator()(int64_t index) const;

 private:
  uint64_t Encrypt(uint64_t value) const;

  uint64_t size_;
  uint64_t key_;
  int half_bits_;
};

}  // namespace alpa::runtime
