// A sharding problem: choose one strategy per node, minimise node and edge costs, keep the memory of every point in
// time under a limit. The data type of the IOPDDL benchmark (google/iopddl), and of our own planner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "alpa/base/result.h"

namespace alpa::solver {

// Half-open range of points in time in which a node occupies memory; empty when begin >= end.
struct Interval {
  int64_t begin = 0, end = 0;
  bool operator==(const Interval&) const = default;
};

// At least one strategy. Costs are >= 0 and may be infinite (a forbidden strategy).
struct Node {
  std::vector<double> costs;    // by strategy
  std::vector<int64_t> usages;  // by strategy, >= 0; empty: none
  Interval live;
  bool operator==(const Node&) const = default;
};

// Costs of pairs of strategies: costs[i * columns + j]; >= 0, may be infinite (a forbidden pair).
struct CostTable {
  int32_t rows = 0, columns = 0;
  std::vector<double> costs;
  bool operator==(const CostTable&) const = default;
};

// tables[table] with the strategies of node `a` as rows and those of node `b` as columns. Edges may repeat (costs add
// up) and may share tables: large models consist of equal layers.
struct Edge {
  int32_t a = 0, b = 0;
  int32_t table = 0;
  bool operator==(const Edge&) const = default;
};

struct Problem {
  std::string name;
  std::vector<Node> nodes;
  std::vector<Edge> edges;
  std::vector<CostTable> tables;
  std::optional<int64_t> usage_limit;
  bool operator==(const Problem&) const = default;
};

// Indices in range, table sizes as the nodes say, numbers as documented. Names the node or edge.
Status Verify(const Problem& problem);

// The cost of one strategy per node, memory aside; infinite when it is forbidden.
double CostOf(const Problem& problem, const std::vector<int32_t>& assignment);

// Where memory is highest under `assignment`.
struct Peak {
  int64_t usage = 0;
  int64_t time = 0;
};
Peak PeakUsage(const Problem& problem, const std::vector<int32_t>& assignment);

}  // namespace alpa::solver
