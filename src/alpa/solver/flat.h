// A core laid out for fast passes over it: one array each for costs, tables and uses. Not changed once made.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/solver/core.h"

namespace alpa::solver {

struct FlatUse {
  int32_t begin = 0, end = 0;  // points
  int32_t amounts = 0;         // index in Flat::amount, by strategy
};

struct FlatEdge {
  int32_t a = 0, b = 0;    // a < b
  int64_t table = 0;       // in Flat::table, by strategy of a, then of b
  int64_t transposed = 0;  // the same by strategy of b, then of a
};

// One edge seen from one of its ends.
struct Link {
  int32_t edge = 0;
  int32_t other = 0;
  int64_t by_own = 0;    // table by own strategy, then the other's
  int64_t by_other = 0;  // table by the other's strategy, then own
};

struct Flat {
  std::vector<int32_t> node;   // -> number in the Core
  std::vector<int32_t> size;   // strategies
  std::vector<int32_t> first;  // index of the first strategy in `cost`
  std::vector<double> cost;
  std::vector<FlatEdge> edges;
  std::vector<double> table;         // forbidden: `big`
  std::vector<int32_t> links_begin;  // by node, and one more
  std::vector<Link> links;           // ascending by the other node
  std::vector<int32_t> uses_begin;   // by node, and one more
  std::vector<FlatUse> uses;
  std::vector<int64_t> amount;
  std::vector<int64_t> slack;  // by point
  double constant = 0;
  double big = 0;  // more than any assignment that is allowed can cost

  int32_t nodes() const { return static_cast<int32_t>(node.size()); }
  int32_t points() const { return static_cast<int32_t>(slack.size()); }
};

// `core` must not be infeasible.
Flat MakeFlat(const Core& core);

// Constant, nodes and edges; forbidden pairs count `big` each. By positions of strategies in the core.
double CostOf(const Flat& flat, const std::vector<int32_t>& choice);

// Memory by point.
std::vector<int64_t> LoadOf(const Flat& flat, const std::vector<int32_t>& choice);

// By how much memory passes what there is, over all points.
int64_t ExcessOf(const Flat& flat, const std::vector<int64_t>& load);

// A choice in terms of the Problem, with all that was eliminated.
std::vector<int32_t> ToAssignment(const Core& core, const Flat& flat, const std::vector<int32_t>& choice);

// An assignment of the Problem as a choice; a strategy that is gone becomes -1.
std::vector<int32_t> FromAssignment(const Core& core, const Flat& flat, const std::vector<int32_t>& assignment);

}  // namespace alpa::solver
