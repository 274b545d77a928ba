#include "alpa/solver/core.h"

#include <algorithm>
#include <numeric>

namespace alpa::solver {
namespace {

// The times at which something begins to use memory, ascending; memory peaks at one of them.
std::vector<int64_t> BeginTimes(const Problem& problem) {
  std::vector<int64_t> times;
  for (const Node& node : problem.nodes) {
    if (!node.usages.empty() && node.live.begin < node.live.end) times.push_back(node.live.begin);
  }
  std::sort(times.begin(), times.end());
  times.erase(std::unique(times.begin(), times.end()), times.end());
  return times;
}

// Keeps the highest of the peaks that no assignment avoids.
void NoteLeast(Core& core, int64_t slack) {
  if (slack < 0) core.infeasible = true;
  core.least_peak = std::max(core.least_peak, core.limit - slack);
}

using Uses = std::vector<Use>;

// The same memory as ranges that do not overlap, ascending.
Uses Disjoint(const Uses& uses, size_t strategies) {
  std::vector<int32_t> borders;
  for (const Use& use : uses) {
    if (use.begin < use.end) borders.insert(borders.end(), {use.begin, use.end});
  }
  std::sort(borders.begin(), borders.end());
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
  if (borders.empty()) return {};
  const auto at = [&](int32_t point) {
    return static_cast<size_t>(std::lower_bound(borders.begin(), borders.end(), point) - borders.begin());
  };
  std::vector<int64_t> change(borders.size() * strategies);  // at each border, by strategy
  for (const Use& use : uses) {
    if (use.begin >= use.end) continue;
    int64_t* begin = &change[at(use.begin) * strategies];
    int64_t* end = &change[at(use.end) * strategies];
    for (size_t i = 0; i < strategies; ++i) {
      begin[i] += use.amount[i];
      end[i] -= use.amount[i];
    }
  }
  Uses out;
  std::vector<int64_t> now(strategies);
  for (size_t b = 0; b + 1 < borders.size(); ++b) {
    for (size_t i = 0; i < strategies; ++i) now[i] += change[b * strategies + i];
    out.push_back({borders[b], borders[b + 1], now});
  }
  return out;
}

// Makes the ranges of a node disjoint, takes from each what its strategies have in common (noting it in `base`, a
// difference array over the points) and drops those without effect.
void NormaliseUses(CoreNode& node, std::vector<int64_t>& base) {
  if (node.uses.empty()) return;
  Uses ranges = Disjoint(node.uses, node.cost.size());
  node.uses.clear();
  for (Use& use : ranges) {
    const int64_t least = *std::min_element(use.amount.begin(), use.amount.end());
    if (least != 0) {
      base[use.begin] += least;
      base[use.end] -= least;
      for (int64_t& amount : use.amount) amount -= least;
    }
    if (std::all_of(use.amount.begin(), use.amount.end(), [](int64_t amount) { return amount == 0; })) continue;
    if (!node.uses.empty() && node.uses.back().end == use.begin && node.uses.back().amount == use.amount) {
      node.uses.back().end = use.end;
    } else {
      node.uses.push_back(std::move(use));
    }
  }
}

// Marks where the memory of a node can grow, and where it can shrink.
void MarkChanges(const CoreNode& node, std::vector<char>& grows, std::vector<char>& shrinks) {
  for (size_t u = 0; u < node.uses.size(); ++u) {
    const Use& use = node.uses[u];
    const Use* before = u > 0 && node.uses[u - 1].end == use.begin ? &node.uses[u - 1] : nullptr;
    if (before == nullptr) {
      grows[use.begin] = 1;
    } else {
      for (size_t i = 0; i < use.amount.size(); ++i) {
        if (use.amount[i] > before->amount[i]) grows[use.begin] = 1;
        if (use.amount[i] < before->amount[i]) shrinks[use.begin] = 1;
      }
    }
    if (u + 1 == node.uses.size() || node.uses[u + 1].begin != use.end) shrinks[use.end] = 1;
  }
}

// What the points in time look like from outside while they are thinned out.
struct Point {
  int32_t index = 0;
  int64_t slack = 0;
  bool begins = false, ends = false;  // whether memory can grow or shrink between the point before and this one
};

// The points of which none is in the shadow of a neighbour: where fewer things live and no less may be used.
std::vector<Point> ThinOut(const std::vector<Point>& points) {
  std::vector<Point> kept;
  bool begins = false, ends = false;  // since kept.back()
  for (Point p : points) {
    p.begins = begins = begins || p.begins;
    p.ends = ends = ends || p.ends;
    bool shadowed = false;
    while (!kept.empty()) {
      const Point& top = kept.back();
      if (!p.ends && p.slack <= top.slack) {  // all that lives at top lives at p too
        p.begins = p.begins || top.begins;
        p.ends = p.ends || top.ends;
        kept.pop_back();
      } else if (!p.begins && top.slack <= p.slack) {
        shadowed = true;
        break;
      } else {
        break;
      }
    }
    if (shadowed) {  // what begins or ends between is remembered for the next point
      begins = p.begins;
      ends = p.ends;
      continue;
    }
    kept.push_back(p);
    begins = ends = false;
  }
  return kept;
}

}  // namespace

Core MakeCore(const Problem& problem) {
  Core core;
  const bool limited = problem.usage_limit.has_value();
  if (limited) core.point_time = BeginTimes(problem);
  core.limit = problem.usage_limit.value_or(0);
  core.slack.assign(core.point_time.size(), core.limit);
  const auto point_at = [&](int64_t time) {
    return static_cast<int32_t>(std::lower_bound(core.point_time.begin(), core.point_time.end(), time) -
                                core.point_time.begin());
  };
  core.nodes.resize(problem.nodes.size());
  for (size_t v = 0; v < problem.nodes.size(); ++v) {
    const Node& node = problem.nodes[v];
    CoreNode& out = core.nodes[v];
    out.cost = node.costs;
    out.origin.resize(node.costs.size());
    std::iota(out.origin.begin(), out.origin.end(), 0);
    if (limited && !node.usages.empty() && node.live.begin < node.live.end) {
      out.uses.push_back({point_at(node.live.begin), point_at(node.live.end), node.usages});
    }
  }
  core.edges.reserve(problem.edges.size());
  for (const Edge& edge : problem.edges) {
    const auto e = static_cast<int32_t>(core.edges.size());
    core.edges.push_back({true, edge.a, edge.b, problem.tables[edge.table].costs});
    core.nodes[edge.a].edges.push_back(e);
    core.nodes[edge.b].edges.push_back(e);
  }
  if (limited) CompressTime(core);
  return core;
}

void CompressTime(Core& core) {
  const size_t count = core.slack.size();
  if (count == 0) return;
  std::vector<int64_t> base(count + 1), most(count + 1);
  std::vector<char> begins(count + 1), ends(count + 1);
  for (CoreNode& node : core.nodes) {
    if (!node.alive) continue;
    NormaliseUses(node, base);
    for (const Use& use : node.uses) {
      const int64_t largest = *std::max_element(use.amount.begin(), use.amount.end());
      most[use.begin] += largest;
      most[use.end] -= largest;
    }
    MarkChanges(node, begins, ends);
  }
  std::vector<Point> points;
  int64_t base_now = 0, most_now = 0;
  bool begins_now = false, ends_now = false;
  for (size_t p = 0; p < count; ++p) {
    base_now += base[p];
    most_now += most[p];
    core.slack[p] -= base_now;
    NoteLeast(core, core.slack[p]);
    begins_now = begins_now || begins[p] != 0;
    ends_now = ends_now || ends[p] != 0;
    if (core.slack[p] >= 0 && most_now <= core.slack[p]) continue;  // never a bottleneck
    points.push_back({static_cast<int32_t>(p), core.slack[p], begins_now, ends_now});
    begins_now = ends_now = false;
  }
  const std::vector<Point> kept = ThinOut(points);
  std::vector<int32_t> position(count + 1);  // point -> the first kept one from there on
  size_t next = 0;
  for (size_t p = 0; p <= count; ++p) {
    while (next < kept.size() && kept[next].index < static_cast<int32_t>(p)) ++next;
    position[p] = static_cast<int32_t>(next);
  }
  std::vector<int64_t> slack, times;
  for (const Point& p : kept) {
    slack.push_back(p.slack);
    times.push_back(core.point_time[p.index]);
  }
  core.slack = std::move(slack);
  core.point_time = std::move(times);
  std::vector<int64_t> gained(core.slack.size() + 1);
  for (CoreNode& node : core.nodes) {
    if (!node.alive || node.uses.empty()) continue;
    for (Use& use : node.uses) {
      use.begin = position[use.begin];
      use.end = position[use.end];
    }
    NormaliseUses(node, gained);  // ranges that became equal add up, and the sum may have a new least amount
  }
  int64_t sum = 0;
  for (size_t p = 0; p < core.slack.size(); ++p) {
    sum += gained[p];
    core.slack[p] -= sum;
    NoteLeast(core, core.slack[p]);
  }
}

void Complete(const Core& core, std::vector<int32_t>& assignment) {
  const auto position = [&](const std::vector<int32_t>& origin, int32_t node) {
    return static_cast<size_t>(std::lower_bound(origin.begin(), origin.end(), assignment[node]) - origin.begin());
  };
  for (auto it = core.eliminations.rbegin(); it != core.eliminations.rend(); ++it) {
    size_t index = it->a < 0 ? 0 : position(it->a_origin, it->a);
    if (it->b >= 0) index = index * it->b_origin.size() + position(it->b_origin, it->b);
    assignment[it->node] = it->choice[index];
  }
}

void KeepStrategies(Core& core, int32_t v, const std::vector<char>& keep) {
  CoreNode& node = core.nodes[v];
  const size_t old = node.cost.size();
  const auto compact = [&](auto& values) {
    size_t n = 0;
    for (size_t i = 0; i < old; ++i) {
      if (keep[i]) values[n++] = values[i];
    }
    values.resize(n);
  };
  for (const int32_t e : node.edges) {
    CoreEdge& edge = core.edges[e];
    const size_t other = core.nodes[edge.Other(v)].cost.size();
    size_t n = 0;
    if (edge.a == v) {
      for (size_t i = 0; i < old; ++i) {
        if (!keep[i]) continue;
        std::copy_n(edge.cost.begin() + static_cast<std::ptrdiff_t>(i * other), other,
                    edge.cost.begin() + static_cast<std::ptrdiff_t>(n));
        n += other;
      }
    } else {
      for (size_t k = 0; k < other; ++k) {
        for (size_t i = 0; i < old; ++i) {
          if (keep[i]) edge.cost[n++] = edge.cost[k * old + i];
        }
      }
    }
    edge.cost.resize(n);
  }
  for (Use& use : node.uses) compact(use.amount);
  compact(node.origin);
  compact(node.cost);
  if (node.cost.empty()) core.infeasible = true;
}

CoreSize SizeOf(const Core& core) {
  CoreSize size;
  for (const CoreNode& node : core.nodes) {
    if (!node.alive) continue;
    ++size.nodes;
    size.strategies += node.size();
  }
  for (const CoreEdge& edge : core.edges) {
    if (!edge.alive) continue;
    ++size.edges;
    size.entries += std::ssize(edge.cost);
  }
  return size;
}

}  // namespace alpa::solver
