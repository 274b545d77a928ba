// The ways to execute one op on a mesh: assignments of mesh axes to the factors of its rule.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alpa/sharding/collective.h"
#include "alpa/sharding/layout.h"
#include "alpa/sharding/rule.h"

namespace alpa::sharding {

// One way to execute an op. Devices that differ along an axis with factor -1 repeat each other's work.
struct Strategy {
  std::vector<int> factor_of_axis;  // by mesh axis: the factor it splits, or -1
  std::vector<Spec> operands;       // in which the op needs its operands
  std::vector<Layout> results;      // in which it leaves its results
  int64_t parallelism = 1;          // devices that share the work: the product of the extents of assigned axes
  std::vector<Collective> halo;     // exchanges with neighbours inside the op (window factors)

  bool operator==(const Strategy&) const = default;
};

struct StrategyOptions {
  bool windows = true;  // also split window factors
};

// All strategies of `op` on `mesh`, the replicated one first, in a fixed order, no two with equal specs. Left out:
// splits that do not divide the factor, factors of size 1, axes of extent 1 (always -1), and parts that no Spec can
// express (a minor factor of a dimension split before the major ones are used up), pairs of factors that the rule keeps
// apart, repeated work where a factor takes the whole mesh, parts shorter than a halo, partial results with
// Combiner::kOther. Where several axes lie on one factor, they do in ascending order.
//
// Where two contracted factors are split, XLA joins the partial results over the axes of one and then of the other: one
// all-reduce of the whole for each, where Reshard counts one for all partial axes.
std::vector<Strategy> Strategies(const Rule& rule, const ir::Module& module, const ir::Op& op,
                                 const cluster::Mesh& mesh, const StrategyOptions& options = {});

// All specs an array of this shape can have on `mesh` (each axis on one dimension it divides, or none; on one dimension
// in ascending order); replicated first.
std::vector<Spec> Specs(const ir::Shape& shape, const cluster::Mesh& mesh);

// "b over x, k over y": for tables.
std::string Describe(const Strategy& strategy, const Rule& rule, const cluster::Mesh& mesh);

}  // namespace alpa::sharding
