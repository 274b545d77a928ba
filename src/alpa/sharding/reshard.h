// From one layout of an array to another: the resharding algebra.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/ir/shape.h"
#include "alpa/sharding/collective.h"
#include "alpa/sharding/layout.h"

namespace alpa::sharding {

// One step on the way. Without a collective it is a slice: each device keeps a part of what it has.
struct ReshardStep {
  Spec spec;                            // in which the array lies after the step
  std::vector<Collective> collectives;  // empty: slice; one otherwise
  bool operator==(const ReshardStep&) const = default;
};

// The steps from `from` to `to` with the least bytes sent per device (then the fewest collectives), each one basic
// operation that XLA's SPMD partitioner carries out exactly when told the spec of each step. Partial sums come first:
//
//   reduce-scatter      partial axes become the most minor ones of one dimension
//   all-reduce          all partial axes hold copies
//   slice               axes that hold copies become the most minor ones of dimensions; costs nothing
//   all-to-all          the most minor axes of one dimension become the most minor ones of another
//   collective-permute  any two specs whose pieces have the same shape: [x,y] to [y,x], [xy] to [yx], [x,] to [y,]
//   all-gather          the most minor axes of one dimension hold copies
//
// Sent per device, of a piece of b bytes among n: all-reduce 2 b (n-1)/n; reduce-scatter, all-to-all b (n-1)/n;
// all-gather b (n-1); permute b. Empty when the layouts are equal (up to axes of extent 1, which say nothing).
// Axes and dimensions that are split or partial at neither end take no part. `shape` is that of the whole array; both
// fit it. Partial results with Combiner::kOther cannot be joined (ALPA_CHECK). Takes microseconds, independent of the
// extents.
std::vector<ReshardStep> Reshard(const Layout& from, const Spec& to, const ir::Shape& shape, const cluster::Mesh& mesh);

}  // namespace alpa::sharding
