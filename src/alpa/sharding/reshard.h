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

// The steps from `from` to `to` with the least bytes, each one basic operation that XLA's SPMD partitioner carries out
// exactly when told the spec of each step: partial sums first (reduce-scatter where `to` splits a dimension over the
// axis, all-reduce otherwise), then slices, all-to-alls (an axis moves from one dimension to another), permutations, and
// all-gathers last. Empty when the layouts are equal. `shape` is that of the whole array; both fit it.
std::vector<ReshardStep> Reshard(const Layout& from, const Spec& to, const ir::Shape& shape,
                                 const cluster::Mesh& mesh);

}  // namespace alpa::sharding
