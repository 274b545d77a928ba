#include "alpa/solver/problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace alpa::solver {
namespace {

Error Invalid(std::string message) { return {Code::kInvalidInput, std::move(message), ""}; }

// The first value that is negative or not a number; -1: none.
template <typename T>
int64_t FirstBad(const std::vector<T>& values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] >= 0)) return static_cast<int64_t>(i);
  }
  return -1;
}

Status VerifyNode(const Node& node, size_t v) {
  if (node.costs.empty()) return Invalid(fmt::format("node {} has no strategies", v));
  if (const int64_t i = FirstBad(node.costs); i >= 0) {
    return Invalid(fmt::format("node {}, strategy {}: the cost is {}; costs are numbers >= 0", v, i, node.costs[i]));
  }
  if (!node.usages.empty() && node.usages.size() != node.costs.size()) {
    return Invalid(fmt::format("node {} has {} strategies but {} usages", v, node.costs.size(), node.usages.size()));
  }
  if (const int64_t i = FirstBad(node.usages); i >= 0) {
    return Invalid(fmt::format("node {}, strategy {}: the usage is {}; usages are >= 0", v, i, node.usages[i]));
  }
  return Ok();
}

Status VerifyEdge(const Problem& problem, size_t e) {
  const Edge& edge = problem.edges[e];
  const auto nodes = static_cast<int64_t>(problem.nodes.size());
  for (const int32_t end : {edge.a, edge.b}) {
    if (end < 0 || end >= nodes) {
      return Invalid(fmt::format("edge {} names node {}; there are {} nodes", e, end, nodes));
    }
  }
  if (edge.a == edge.b) return Invalid(fmt::format("edge {} connects node {} with itself", e, edge.a));
  if (edge.table < 0 || edge.table >= std::ssize(problem.tables)) {
    return Invalid(fmt::format("edge {} has table {}; there are {} tables", e, edge.table, problem.tables.size()));
  }
  const CostTable& table = problem.tables[edge.table];
  const auto rows = std::ssize(problem.nodes[edge.a].costs);
  const auto columns = std::ssize(problem.nodes[edge.b].costs);
  if (table.rows != rows || table.columns != columns || std::ssize(table.costs) != rows * columns) {
    return Invalid(
        fmt::format("edge {}: nodes {} and {} have {} and {} strategies, so its table needs {} costs; it has {}", e,
                    edge.a, edge.b, rows, columns, rows * columns, table.costs.size()));
  }
  return Ok();
}

// The largest usage a node can have.
int64_t LargestUsage(const Node& node) {
  return node.usages.empty() ? 0 : *std::max_element(node.usages.begin(), node.usages.end());
}

}  // namespace

Status Verify(const Problem& problem) {
  // Sums of usages are taken in 64 bits everywhere.
  int64_t most = 0;
  for (size_t v = 0; v < problem.nodes.size(); ++v) {
    ALPA_RETURN_IF_ERROR(VerifyNode(problem.nodes[v], v));
    if (__builtin_add_overflow(most, LargestUsage(problem.nodes[v]), &most)) {
      return Invalid(fmt::format("node {}: the usages of all nodes together pass 2^63", v));
    }
  }
  for (size_t t = 0; t < problem.tables.size(); ++t) {
    if (const int64_t i = FirstBad(problem.tables[t].costs); i >= 0) {
      const auto user = std::find_if(problem.edges.begin(), problem.edges.end(),
                                     [&](const Edge& edge) { return edge.table == static_cast<int32_t>(t); });
      return Invalid(fmt::format("edge {}, entry {} of its costs: the cost is {}; costs are numbers >= 0",
                                 user - problem.edges.begin(), i, problem.tables[t].costs[i]));
    }
  }
  for (size_t e = 0; e < problem.edges.size(); ++e) ALPA_RETURN_IF_ERROR(VerifyEdge(problem, e));
  if (problem.usage_limit && *problem.usage_limit < 0) {
    return Invalid(fmt::format("the usage limit is {}; it must be >= 0", *problem.usage_limit));
  }
  return Ok();
}

double CostOf(const Problem& problem, const std::vector<int32_t>& assignment) {
  double cost = 0;
  for (size_t v = 0; v < problem.nodes.size(); ++v) cost += problem.nodes[v].costs[assignment[v]];
  for (const Edge& edge : problem.edges) {
    const CostTable& table = problem.tables[edge.table];
    cost += table.costs[static_cast<size_t>(assignment[edge.a]) * table.columns + assignment[edge.b]];
  }
  return cost;
}

Peak PeakUsage(const Problem& problem, const std::vector<int32_t>& assignment) {
  std::vector<std::pair<int64_t, int64_t>> changes;  // time -> by how much usage changes
  for (size_t v = 0; v < problem.nodes.size(); ++v) {
    const Node& node = problem.nodes[v];
    if (node.usages.empty() || node.live.begin >= node.live.end) continue;
    const int64_t usage = node.usages[assignment[v]];
    if (usage == 0) continue;
    changes.emplace_back(node.live.begin, usage);
    changes.emplace_back(node.live.end, -usage);
  }
  std::sort(changes.begin(), changes.end());  // at equal times what ends goes first: intervals are half open
  Peak peak;
  int64_t usage = 0;
  for (const auto& [time, change] : changes) {
    usage += change;
    if (usage > peak.usage) peak = {usage, time};
  }
  return peak;
}

}  // namespace alpa::solver
