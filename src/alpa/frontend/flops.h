// How much arithmetic each op does.
#pragma once

#include <vector>

#include "alpa/base/units.h"
#include "alpa/ir/module.h"

namespace alpa::frontend {

// Arithmetic of one op or of many. A multiply-add counts as two, any other operation on one element as one, moving data
// as none.
struct FlopCount {
  Flops dot_conv;        // dot and convolution: what runs on matrix units
  Flops other;           // everything else
  Flops transcendental;  // the part of `other` that is exp, log, tanh, sqrt, ...

  Flops total() const { return dot_conv + other; }
  FlopCount& operator+=(const FlopCount& o);
  bool operator==(const FlopCount&) const = default;
};

// The arithmetic of `op`, its regions included:
//   dot             2 x result elements x contracted elements
//   convolution     2 x result elements x kernel inputs per result element / base dilation; padding is not subtracted
//   elementwise     result elements
//   reduce          input elements, for each op of the combiner
//   reduce-window   result elements x window; twice the elements for a cumulative sum (cumsum arrives as a
//   reduce-window
//                   as long as its axis, and is computed as a scan)
//   scatter         update elements, for each op of the combiner
//   sort, topk      elements x log2(length);  fft  5 n log2 n;  cholesky  n^3/3;  triangular-solve  n^2 per column
//   while           condition and body times the trip count; once when that is not known
//   conditional     its most expensive branch
//   custom-call     none: alpa cannot see into it
FlopCount FlopsOf(const ir::Module& module, const ir::Op& op);

// FlopsOf for each op, by OpId.
std::vector<FlopCount> CountFlops(const ir::Module& module);

}  // namespace alpa::frontend
