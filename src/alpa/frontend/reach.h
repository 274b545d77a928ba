// What depends on what.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/ir/module.h"

namespace alpa::frontend {

// For every value the set of inputs it depends on. Memory: values x inputs bits.
class InputSets {
 public:
  explicit InputSets(const ir::Module& module);
  bool Contains(ir::ValueId v, int32_t input) const {
    return (bits_[static_cast<size_t>(v) * words_ + static_cast<size_t>(input) / 64] >> (input % 64) & 1) != 0;
  }

 private:
  size_t words_;
  std::vector<uint64_t> bits_;
};

// Which ops a value depends on, by OpId; its own producer included.
std::vector<bool> Ancestors(const ir::Module& module, ir::ValueId v);
// As Ancestors, through operands alone that a derivative can pass: floating values, no predicates or indices.
std::vector<bool> DifferentiableAncestors(const ir::Module& module, ir::ValueId v);

// An input that an output is computed from element by element, and over how many ops (0: the output is the input).
struct Carry {
  int32_t input = -1;
  int distance = 0;
};

// The inputs that `output` is carried from: those that elementwise ops of its shape lead back to, nearest first. The
// next value of a weight or a moment is carried from the present one ("p - lr * g"), a loss or a gradient from none.
std::vector<Carry> CarriesOf(const ir::Module& module, ir::ValueId output);

}  // namespace alpa::frontend
