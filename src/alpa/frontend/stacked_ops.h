// What ops do with the first dimension of a stacked array: one array that holds the same parameter of several layers.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/ir/module.h"

namespace alpa::frontend {

enum class StackedUse : uint8_t {
  kMapped,   // part k of the result follows from part k of the `carried` operands, and the others as they are
  kSlice,    // the result is part `index` of operand 0, or a cut of it
  kReduced,  // a sum, maximum, ... over the parts of operand 0 and what is in them
  kUpdated,  // operand 0 with part `index` replaced by operand 1
  kPlaced,   // zeros (operand 1) with operand 0 as part `index`
  kStacked,  // part k of the result is operand k
  kSpread,   // all parts of the result are equal: a broadcast, or a constant
  kOther,
};

struct StackedOp {
  StackedUse use = StackedUse::kOther;
  std::vector<char> carried;  // mapped: by operand
  int64_t index = -1;
};

// The reading of `op` for arrays whose first dimension is `parts` long: the result, or for kSlice and kReduced operand
// 0.
StackedOp ReadStackedOp(const ir::Module& module, const ir::Op& op, int64_t parts);

// The mapped or spread `op` on one part: its attributes for a first dimension of 1.
ir::Attributes AttributesOfPart(const ir::Op& op);

}  // namespace alpa::frontend
