#include "alpa/solver/flat.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace alpa::solver {
namespace {

// A number above the cost of everything that is allowed: the largest finite costs of all nodes and edges together,
// twice.
double BigOf(const Core& core) {
  double sum = 1;
  const auto add_largest = [&](const std::vector<double>& costs) {
    double largest = 0;
    for (const double cost : costs) {
      if (std::isfinite(cost)) largest = std::max(largest, cost);
    }
    sum += largest;
  };
  for (const CoreNode& node : core.nodes) {
    if (node.alive) add_largest(node.cost);
  }
  for (const CoreEdge& edge : core.edges) {
    if (edge.alive) add_largest(edge.cost);
  }
  return 2 * sum;
}

}  // namespace

Flat MakeFlat(const Core& core) {
  Flat flat;
  flat.big = BigOf(core);
  flat.constant = core.constant;
  flat.slack = core.slack;
  std::vector<int32_t> index(core.nodes.size(), -1);
  for (size_t v = 0; v < core.nodes.size(); ++v) {
    const CoreNode& node = core.nodes[v];
    if (!node.alive) continue;
    index[v] = flat.nodes();
    flat.node.push_back(static_cast<int32_t>(v));
    flat.size.push_back(node.size());
    flat.first.push_back(static_cast<int32_t>(flat.cost.size()));
    for (const double cost : node.cost) flat.cost.push_back(std::min(cost, flat.big));
    flat.uses_begin.push_back(static_cast<int32_t>(flat.uses.size()));
    for (const Use& use : node.uses) {
      flat.uses.push_back({use.begin, use.end, static_cast<int32_t>(flat.amount.size())});
      flat.amount.insert(flat.amount.end(), use.amount.begin(), use.amount.end());
    }
  }
  flat.uses_begin.push_back(static_cast<int32_t>(flat.uses.size()));
  std::vector<std::vector<Link>> links(flat.node.size());
  for (const CoreEdge& edge : core.edges) {
    if (!edge.alive) continue;
    const bool swapped = index[edge.a] > index[edge.b];
    const int32_t a = swapped ? index[edge.b] : index[edge.a];
    const int32_t b = swapped ? index[edge.a] : index[edge.b];
    const auto entries = static_cast<int64_t>(edge.cost.size());
    const auto at = static_cast<int64_t>(flat.table.size());
    FlatEdge out{a, b, at, at + entries};
    flat.table.resize(flat.table.size() + 2 * edge.cost.size());
    double* as_is = &flat.table[swapped ? out.transposed : out.table];
    double* turned = &flat.table[swapped ? out.table : out.transposed];
    const auto rows = static_cast<size_t>(core.nodes[edge.a].size());
    const auto columns = static_cast<size_t>(core.nodes[edge.b].size());
    for (size_t i = 0; i < rows; ++i) {
      for (size_t k = 0; k < columns; ++k) {
        const double cost = std::min(edge.cost[i * columns + k], flat.big);
        as_is[i * columns + k] = cost;
        turned[k * rows + i] = cost;
      }
    }
    const auto e = static_cast<int32_t>(flat.edges.size());
    flat.edges.push_back(out);
    links[a].push_back({e, b, out.table, out.transposed});
    links[b].push_back({e, a, out.transposed, out.table});
  }
  for (std::vector<Link>& of_node : links) {
    std::sort(of_node.begin(), of_node.end(), [](const Link& x, const Link& y) { return x.other < y.other; });
    flat.links_begin.push_back(static_cast<int32_t>(flat.links.size()));
    flat.links.insert(flat.links.end(), of_node.begin(), of_node.end());
  }
  flat.links_begin.push_back(static_cast<int32_t>(flat.links.size()));
  return flat;
}

double CostOf(const Flat& flat, const std::vector<int32_t>& choice) {
  double cost = flat.constant;
  for (int32_t v = 0; v < flat.nodes(); ++v) cost += flat.cost[flat.first[v] + choice[v]];
  for (const FlatEdge& edge : flat.edges) {
    cost += flat.table[edge.table + static_cast<int64_t>(choice[edge.a]) * flat.size[edge.b] + choice[edge.b]];
  }
  return cost;
}

std::vector<int64_t> LoadOf(const Flat& flat, const std::vector<int32_t>& choice) {
  std::vector<int64_t> load(flat.slack.size() + 1);
  for (int32_t v = 0; v < flat.nodes(); ++v) {
    for (int32_t u = flat.uses_begin[v]; u < flat.uses_begin[v + 1]; ++u) {
      const FlatUse& use = flat.uses[u];
      const int64_t amount = flat.amount[use.amounts + choice[v]];
      load[use.begin] += amount;
      load[use.end] -= amount;
    }
  }
  for (size_t p = 1; p < load.size(); ++p) load[p] += load[p - 1];
  load.pop_back();
  return load;
}

int64_t ExcessOf(const Flat& flat, const std::vector<int64_t>& load) {
  int64_t excess = 0;
  for (size_t p = 0; p < load.size(); ++p) excess += std::max<int64_t>(0, load[p] - flat.slack[p]);
  return excess;
}

std::vector<int32_t> ToAssignment(const Core& core, const Flat& flat, const std::vector<int32_t>& choice) {
  std::vector<int32_t> assignment(core.nodes.size());
  for (int32_t v = 0; v < flat.nodes(); ++v) assignment[flat.node[v]] = core.nodes[flat.node[v]].origin[choice[v]];
  Complete(core, assignment);
  return assignment;
}

std::vector<int32_t> FromAssignment(const Core& core, const Flat& flat, const std::vector<int32_t>& assignment) {
  std::vector<int32_t> choice(flat.node.size());
  for (int32_t v = 0; v < flat.nodes(); ++v) {
    const std::vector<int32_t>& origin = core.nodes[flat.node[v]].origin;
    const auto at = std::lower_bound(origin.begin(), origin.end(), assignment[flat.node[v]]);
    const bool found = at != origin.end() && *at == assignment[flat.node[v]];
    choice[v] = found ? static_cast<int32_t>(at - origin.begin()) : -1;
  }
  return choice;
}

}  // namespace alpa::solver
