// How one op can be split: its sharding rule, an einsum-like description that names the extents ("factors") which run
// through operands and results together.
//
//   dot [b,m,k] x [b,k,n] -> [b,m,n]     factors b, m, n free; k contracted (results are partial sums)
//   reshape [a*b, c] -> [a, b*c]         factors a, b, c free: operand dims (a b), (c); result dims (a), (b c)
//   reduce-window 3x3                    the spatial extents are window factors: neighbours' edges are read (halo)
//   slice with stride 2 [2a] -> [a]      factor a is free; operand dim (a 2): the 2 stays whole
//
// A mesh axis is put on at most one factor; which specs the operands must have, and which layout the results get,
// follows (Alpa §4.1's strategies, for all ops at once; Shardy calls this an op sharding rule).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "alpa/ir/module.h"
#include "alpa/sharding/collective.h"
#include "alpa/sharding/layout.h"

namespace alpa::sharding {

enum class FactorKind : uint8_t {
  kFree,        // of results: split operands give split results, no communication
  kContracted,  // of operands only: each device gets a partial result
  kWindow,      // of results, and the windows of one device's part reach into its neighbours': a halo is exchanged
  kWhole,       // never split: what a dimension has beside (and minor to) the factors that can be
};

struct Factor {
  int64_t size = 1;
  FactorKind kind = FactorKind::kFree;
  Combiner combiner = Combiner::kSum;  // of kContracted
  // Elements of operand 0's dimension read beyond the own part. Of kWindow, and of kContracted in the gradient of a
  // convolution's kernel, whose window is as long as the image.
  int64_t halo_low = 0, halo_high = 0;
  // Of kContracted: XLA's partitioner adds up the parts of all devices, also those that repeat each other's work. So it
  // is split only where no device does.
  bool whole_mesh = false;
  bool operator==(const Factor&) const = default;
};

// For each dimension of an array the factors it is made of, major first (their sizes multiply to its extent); an empty
// list: the op needs the whole dimension on every device. A factor occurs in an array at most once; an array without a
// factor is needed (or left) whole along it.
using Projection = std::vector<std::vector<int>>;

struct Rule {
  std::vector<Factor> factors;
  std::vector<Projection> operands;  // by operand of the op
  std::vector<Projection> results;   // by result
  // Pairs of factors that are not split both at a time: each can be, but given both XLA's partitioner gathers first.
  std::vector<std::pair<int, int>> apart;
  bool operator==(const Rule&) const = default;
};

// The rule of any op. Kinds without a rule of their own get a safe one: dimensions that certainly pass through stay
// free, everything else is replicated, so no valid step is refused.
//
// What a partial result means where the op starts from a value of its own: the operand of a scatter takes part once (on
// the devices at 0 along the axis, the others start from the combiner's neutral element); a gather from a split
// dimension gives 0 for indices that lie on other devices.
Rule RuleOf(const ir::Module& module, const ir::Op& op);

// "a b c, a c d -> a b d; c sum": one letter per factor, "." for a dimension that stays whole, "()" for a scalar,
// "(a b)" and "(a 2)" for dimensions of several factors, numbers being those of kind kWhole. Then, where there are
// such, contracted factors with their combiner, halos (low+high), and pairs that stay apart: "; b sum, d halo 1+1, c or
// d".
std::string ToString(const Rule& rule);
// The letter of factor `f`: a to z, A to Z, then "f52", ...
std::string FactorName(int f);

// Sizes multiply to the extents of the op's operands and results, factors in range and once per array, kinds as
// documented above, one combiner for all. kInvalidInput names the op.
Status Verify(const Rule& rule, const ir::Module& module, const ir::Op& op);

}  // namespace alpa::sharding
