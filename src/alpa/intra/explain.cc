#include "alpa/intra/explain.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace alpa::intra {

std::vector<std::vector<int>> EdgesOfNodes(const solver::Problem& problem) {
  std::vector<std::vector<int>> edges(problem.nodes.size());
  for (size_t e = 0; e < problem.edges.size(); ++e) {
    edges[static_cast<size_t>(problem.edges[e].a)].push_back(static_cast<int>(e));
    edges[static_cast<size_t>(problem.edges[e].b)].push_back(static_cast<int>(e));
  }
  return edges;
}

std::vector<Alternative> Alternatives(const CandidateTable& table, const BuiltProblem& built,
                                      const std::vector<std::vector<int>>& edges_of_node,
                                      const std::vector<int32_t>& assignment, int node, size_t count) {
  const solver::Problem& problem = built.problem;
  const ir::OpId op = built.op_of_node[static_cast<size_t>(node)];
  const OpClass& op_class = table.op_class(table.class_of(op));
  const auto chosen = static_cast<size_t>(assignment[static_cast<size_t>(node)]);
  std::vector<double> cost = problem.nodes[static_cast<size_t>(node)].costs;
  for (const int e : edges_of_node[static_cast<size_t>(node)]) {
    const solver::Edge& edge = problem.edges[static_cast<size_t>(e)];
    const solver::CostTable& costs = problem.tables[static_cast<size_t>(edge.table)];
    for (size_t c = 0; c < cost.size(); ++c) {
      const auto row = edge.a == node ? c : static_cast<size_t>(assignment[static_cast<size_t>(edge.a)]);
      const auto column = edge.b == node ? c : static_cast<size_t>(assignment[static_cast<size_t>(edge.b)]);
      cost[c] += costs.costs[row * static_cast<size_t>(costs.columns) + column];
    }
  }
  std::map<int, size_t> best;  // candidate by spec of result 0
  for (size_t c = 0; c < cost.size(); ++c) {
    const int id = op_class.candidates[c].results[0];
    if (id < 0 || id == op_class.candidates[chosen].results[0] || !std::isfinite(cost[c])) continue;
    const auto [it, inserted] = best.emplace(id, c);
    if (!inserted && cost[c] < cost[it->second]) it->second = c;
  }
  std::vector<size_t> order;
  order.reserve(best.size());
  for (const auto& [id, c] : best) order.push_back(c);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return cost[a] < cost[b]; });
  std::vector<Alternative> out;
  const SpecSpace& space = table.result_space(op);
  for (const size_t c : order) {
    if (out.size() == count) break;
    out.push_back({space.spec(op_class.candidates[c].results[0]), cost[c] - cost[chosen],
                   op_class.candidates[c].usage - op_class.candidates[chosen].usage});
  }
  return out;
}

}  // namespace alpa::intra
