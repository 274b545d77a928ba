#include "alpa/solver/extract.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace alpa::solver {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double OrForbidden(const Flat& flat, double cost) { return cost >= flat.big ? kInfinity : cost; }

// Position of each node in `members`, or -1.
std::vector<int32_t> PositionOf(const Flat& flat, const std::vector<int32_t>& members) {
  std::vector<int32_t> position(flat.node.size(), -1);
  for (size_t n = 0; n < members.size(); ++n) position[members[n]] = static_cast<int32_t>(n);
  return position;
}

Core Build(const Flat& flat, const std::vector<int32_t>& members, const std::vector<int32_t>* choice) {
  const std::vector<int32_t> position = PositionOf(flat, members);
  Core core;
  core.nodes.resize(members.size());
  for (size_t n = 0; n < members.size(); ++n) {
    const int32_t v = members[n];
    const int32_t size = flat.size[v];
    CoreNode& node = core.nodes[n];
    node.origin.resize(static_cast<size_t>(size));
    std::iota(node.origin.begin(), node.origin.end(), 0);
    node.cost.assign(flat.cost.begin() + flat.first[v], flat.cost.begin() + flat.first[v] + size);
    for (int32_t u = flat.uses_begin[v]; u < flat.uses_begin[v + 1]; ++u) {
      const FlatUse& use = flat.uses[u];
      const auto amount = flat.amount.begin() + use.amounts;
      node.uses.push_back({use.begin, use.end, {amount, amount + size}});
    }
  }
  for (size_t n = 0; n < members.size(); ++n) {
    const int32_t v = members[n];
    const int32_t size = flat.size[v];
    for (int32_t l = flat.links_begin[v]; l < flat.links_begin[v + 1]; ++l) {
      const Link& link = flat.links[l];
      const int32_t other = position[link.other];
      if (other < 0) {
        const double* row = &flat.table[link.by_other + static_cast<int64_t>((*choice)[link.other]) * size];
        for (int32_t i = 0; i < size; ++i) core.nodes[n].cost[i] += row[i];
      } else if (link.other > v) {
        const auto e = static_cast<int32_t>(core.edges.size());
        const double* table = &flat.table[link.by_own];
        CoreEdge& edge = core.edges.emplace_back();
        edge.a = static_cast<int32_t>(n);
        edge.b = other;
        edge.cost.assign(table, table + static_cast<int64_t>(size) * flat.size[link.other]);
        for (double& cost : edge.cost) cost = OrForbidden(flat, cost);
        core.nodes[n].edges.push_back(e);
        core.nodes[other].edges.push_back(e);
      }
    }
    for (double& cost : core.nodes[n].cost) cost = OrForbidden(flat, cost);
  }
  core.point_time.resize(flat.slack.size());
  std::iota(core.point_time.begin(), core.point_time.end(), 0);
  core.slack = flat.slack;
  return core;
}

}  // namespace

Core Extract(const Flat& flat, const std::vector<int32_t>& members, const std::vector<int32_t>& choice,
             const std::vector<int64_t>& load) {
  Core core = Build(flat, members, &choice);
  std::vector<int64_t> own(flat.slack.size() + 1);
  for (const int32_t v : members) {
    for (int32_t u = flat.uses_begin[v]; u < flat.uses_begin[v + 1]; ++u) {
      const FlatUse& use = flat.uses[u];
      const int64_t amount = flat.amount[use.amounts + choice[v]];
      own[use.begin] += amount;
      own[use.end] -= amount;
    }
  }
  int64_t sum = 0;
  for (size_t p = 0; p < core.slack.size(); ++p) {
    sum += own[p];
    core.slack[p] -= load[p] - sum;
  }
  CompressTime(core);
  return core;
}

Core Extract(const Flat& flat) {
  std::vector<int32_t> all(flat.node.size());
  std::iota(all.begin(), all.end(), 0);
  Core core = Build(flat, all, nullptr);
  core.constant = flat.constant;
  return core;
}

double PartialCost(const Flat& flat, const std::vector<int32_t>& members, const std::vector<int32_t>& choice) {
  const std::vector<int32_t> position = PositionOf(flat, members);
  double cost = 0;
  for (const int32_t v : members) {
    cost += flat.cost[flat.first[v] + choice[v]];
    for (int32_t l = flat.links_begin[v]; l < flat.links_begin[v + 1]; ++l) {
      const Link& link = flat.links[l];
      if (position[link.other] >= 0 && link.other < v) continue;
      cost += flat.table[link.by_own + static_cast<int64_t>(choice[v]) * flat.size[link.other] + choice[link.other]];
    }
  }
  return cost;
}

}  // namespace alpa::solver
