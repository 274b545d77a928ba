// The problem as the solver changes it: strategies and nodes disappear, what is left stays equivalent.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/solver/problem.h"

namespace alpa::solver {

// Memory of a node over a range of points in time. CompressTime makes the ranges of a node disjoint and ascending, and
// the least amount of each 0.
struct Use {
  int32_t begin = 0, end = 0;   // points [begin, end)
  std::vector<int64_t> amount;  // by strategy
};

struct CoreNode {
  bool alive = true;
  std::vector<double> cost;     // by strategy
  std::vector<int32_t> origin;  // strategy -> its number in the Problem, ascending
  std::vector<Use> uses;
  std::vector<int32_t> edges;

  int32_t size() const { return static_cast<int32_t>(cost.size()); }
};

struct CoreEdge {
  bool alive = true;
  int32_t a = 0, b = 0;
  std::vector<double> cost;  // by strategy of a, then of b

  int32_t Other(int32_t v) const { return v == a ? b : a; }
};

// How a node that was eliminated gets its strategy from those of its (up to two) neighbours, all by numbers of the
// Problem.
struct Elimination {
  int32_t node = 0;
  int32_t a = -1, b = -1;  // -1: there is none
  std::vector<int32_t> a_origin, b_origin;
  std::vector<int32_t> choice;  // by position in a_origin, then in b_origin
};

// Nodes keep their numbers of the Problem; those that are gone are not alive.
struct Core {
  std::vector<CoreNode> nodes;
  std::vector<CoreEdge> edges;
  double constant = 0;                    // cost of what is gone
  int64_t limit = 0;                      // the usage limit of the Problem
  std::vector<int64_t> slack;             // by point: what the uses may add up to
  std::vector<int64_t> point_time;        // by point: a time of the Problem
  std::vector<Elimination> eliminations;  // in order
  bool infeasible = false;                // no assignment left
  int64_t least_peak = 0;                 // no assignment of what is left needs less memory than this at its peak
};

// A core that is equivalent to `problem`; without a usage limit it has no points.
Core MakeCore(const Problem& problem);

// Uses as disjoint ranges, relative to the least of each, those that never matter dropped; points that can never be the
// bottleneck, or lie in the shadow of a neighbour, dropped. Notes in `infeasible` when the least usage passes the
// limit.
void CompressTime(Core& core);

// The strategies of all nodes of the Problem, given those (numbers of the Problem) of the nodes alive in `core`.
void Complete(const Core& core, std::vector<int32_t>& assignment);

// Removes the strategies of node v for which keep[i] is false, from its tables too; notes in `infeasible` when none is
// left.
void KeepStrategies(Core& core, int32_t v, const std::vector<char>& keep);

// The number of strategies that all nodes alive have together, and the entries of their tables.
struct CoreSize {
  int64_t nodes = 0, strategies = 0, edges = 0, entries = 0;
};
CoreSize SizeOf(const Core& core);

}  // namespace alpa::solver
