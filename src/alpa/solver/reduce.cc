#include "alpa/solver/reduce.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <limits>
#include <optional>
#include <utility>

namespace alpa::solver {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Nodes that wait, each once.
class Queue {
 public:
  explicit Queue(size_t nodes) : waits_(nodes) {}
  void Push(int32_t v) {
    if (waits_[v] != 0) return;
    waits_[v] = 1;
    queue_.push_back(v);
  }
  int32_t Pop() {
    const int32_t v = queue_.front();
    queue_.pop_front();
    waits_[v] = 0;
    return v;
  }
  bool empty() const { return queue_.empty(); }

 private:
  std::deque<int32_t> queue_;
  std::vector<char> waits_;
};

// The least slack of any range of points.
class RangeLeast {
 public:
  explicit RangeLeast(const std::vector<int64_t>& values) : levels_{values} {
    for (size_t width = 2; width <= values.size(); width *= 2) {
      const std::vector<int64_t>& half = levels_.back();
      std::vector<int64_t> level(values.size() - width + 1);
      for (size_t p = 0; p < level.size(); ++p) level[p] = std::min(half[p], half[p + width / 2]);
      levels_.push_back(std::move(level));
    }
  }
  // Of [begin, end), not empty.
  int64_t Of(int32_t begin, int32_t end) const {
    const auto level = std::bit_width(static_cast<uint32_t>(end - begin)) - 1;
    return std::min(levels_[level][begin], levels_[level][end - (1 << level)]);
  }

 private:
  std::vector<std::vector<int64_t>> levels_;  // of widths 1, 2, 4, ...
};

class Reducer {
 public:
  Reducer(Core& core, const ReduceOptions& options)
      : core_(core),
        options_(options),
        cheap_(core.nodes.size()),
        dominance_(core.nodes.size()),
        edge_to_(core.nodes.size(), -1),
        clean_(core.edges.size(), 0),
        least_slack_(core.slack) {}

  void Run() {
    for (size_t v = 0; v < core_.nodes.size(); ++v) {
      if (core_.nodes[v].alive) Touch(static_cast<int32_t>(v));
    }
    for (;;) {
      while (!core_.infeasible && !cheap_.empty()) {
        Visit(cheap_.Pop());
        if (Stopped()) return;
      }
      if (core_.infeasible) return;
      if (!options_.dominance || dominance_.empty()) {
        if (!time_changed_) return;
        time_changed_ = false;
        TightenTime();
        continue;
      }
      // A batch at a time: what dominance removes makes the next nodes smaller.
      for (int n = 0; n < 64 && !dominance_.empty(); ++n) RemoveDominated(dominance_.Pop());
      if (Stopped()) return;
    }
  }

 private:
  CoreNode& node(int32_t v) { return core_.nodes[v]; }
  CoreEdge& edge(int32_t e) { return core_.edges[e]; }

  bool Stopped() { return options_.stopped && ++visits_ % 64 == 0 && options_.stopped(); }
  void Touch(int32_t v) {
    cheap_.Push(v);
    dominance_.Push(v);
  }
  void TouchNeighbours(int32_t v) {
    for (const int32_t e : node(v).edges) Touch(edge(e).Other(v));
  }

  // Entry for strategy i of v and k of the other end.
  static double At(const CoreEdge& e, int32_t v, int32_t i, int32_t k, int32_t other_size, int32_t size) {
    return e.a == v ? e.cost[static_cast<size_t>(i) * other_size + k] : e.cost[static_cast<size_t>(k) * size + i];
  }

  void Visit(int32_t v) {
    if (!node(v).alive) return;
    MergeParallel(v);
    for (size_t n = 0; n < node(v).edges.size();) {
      const int32_t e = node(v).edges[n];
      if (clean_[e] == 0 && !Normalise(e)) continue;  // the edge is gone
      ++n;
    }
    if (!RemoveForbidden(v)) return;
    if (node(v).size() == 1) return Fold(v);
    const auto degree = node(v).edges.size();
    if (node(v).uses.empty()) {
      if (degree == 0) return EliminateAlone(v);
      if (degree == 1) return EliminateLeaf(v);
    }
    if (MergeFollower(v)) return;
    if (node(v).uses.empty() && degree == 2) EliminateSeries(v);
  }

  // Edges between the same two nodes become one.
  void MergeParallel(int32_t v) {
    std::vector<int32_t> kept;
    for (const int32_t e : node(v).edges) {
      const int32_t w = edge(e).Other(v);
      const int32_t first = edge_to_[w];
      if (first < 0) {
        edge_to_[w] = e;
        kept.push_back(e);
        continue;
      }
      AddTable(first, e);
      DropEdgeAt(w, e);
      Retire(e);
    }
    for (const int32_t e : kept) edge_to_[edge(e).Other(v)] = -1;
    node(v).edges = std::move(kept);
  }

  // Adds the table of edge `from` to that of `to`, which has the same ends.
  void AddTable(int32_t to, int32_t from) {
    CoreEdge& target = edge(to);
    const CoreEdge& source = edge(from);
    clean_[to] = 0;
    if (target.a == source.a) {
      for (size_t i = 0; i < target.cost.size(); ++i) target.cost[i] += source.cost[i];
      return;
    }
    const auto rows = static_cast<size_t>(node(target.a).size());
    const auto columns = static_cast<size_t>(node(target.b).size());
    for (size_t i = 0; i < rows; ++i) {
      for (size_t k = 0; k < columns; ++k) target.cost[i * columns + k] += source.cost[k * rows + i];
    }
  }

  void DropEdgeAt(int32_t v, int32_t e) { std::erase(node(v).edges, e); }

  void Retire(int32_t e) {
    edge(e).alive = false;
    std::vector<double>().swap(edge(e).cost);
  }

  void DropEdge(int32_t e) {
    for (const int32_t v : {edge(e).a, edge(e).b}) {
      DropEdgeAt(v, e);
      Touch(v);
    }
    Retire(e);
  }

  // Moves the least cost of every row and column to the nodes; false when nothing is left and the edge goes. Rows and
  // columns without a finite entry are left for RemoveForbidden.
  bool Normalise(int32_t e) {
    clean_[e] = 1;
    CoreEdge& ed = edge(e);
    CoreNode& a = node(ed.a);
    CoreNode& b = node(ed.b);
    const auto rows = static_cast<size_t>(a.size());
    const auto columns = static_cast<size_t>(b.size());
    bool changed_a = false, changed_b = false;
    std::vector<double> least(columns, kInfinity);
    for (size_t i = 0; i < rows; ++i) {
      double* row = &ed.cost[i * columns];
      double low = kInfinity;
      for (size_t k = 0; k < columns; ++k) low = std::min(low, row[k]);
      if (low == kInfinity) {
        if (a.cost[i] != kInfinity) changed_a = true;
        a.cost[i] = kInfinity;
        continue;
      }
      if (low != 0) {
        changed_a = true;
        a.cost[i] += low;
        for (size_t k = 0; k < columns; ++k) row[k] -= low;
      }
      for (size_t k = 0; k < columns; ++k) least[k] = std::min(least[k], row[k]);
    }
    for (size_t k = 0; k < columns; ++k) {
      if (least[k] == 0) continue;
      changed_b = changed_b || b.cost[k] != kInfinity;
      b.cost[k] += least[k];
      if (least[k] == kInfinity) continue;
      for (size_t i = 0; i < rows; ++i) ed.cost[i * columns + k] -= least[k];
    }
    if (changed_a) Touch(ed.a);
    if (changed_b) Touch(ed.b);
    for (size_t i = 0; i < rows; ++i) {
      if (a.cost[i] == kInfinity) continue;
      for (size_t k = 0; k < columns; ++k) {
        if (b.cost[k] != kInfinity && ed.cost[i * columns + k] != 0) return true;
      }
    }
    DropEdge(e);
    return false;
  }

  // Strategies that are forbidden or need more memory than there is; false when v is gone.
  bool RemoveForbidden(int32_t v) {
    CoreNode& n = node(v);
    std::vector<char> keep(n.cost.size(), 1);
    bool changed = false;
    for (size_t i = 0; i < n.cost.size(); ++i) {
      if (n.cost[i] == kInfinity || !FitsAlone(n, i)) {
        keep[i] = 0;
        changed = true;
      }
    }
    if (changed) Keep(v, keep);
    if (node(v).size() > 0) return true;
    core_.infeasible = true;
    return false;
  }

  bool FitsAlone(const CoreNode& n, size_t i) const {
    return std::all_of(n.uses.begin(), n.uses.end(), [&](const Use& use) {
      return use.amount[i] == 0 || use.amount[i] <= least_slack_.Of(use.begin, use.end);
    });
  }

  void Keep(int32_t v, const std::vector<char>& keep) {
    TouchNeighbours(v);
    for (const int32_t e : node(v).edges) clean_[e] = 0;
    KeepStrategies(core_, v, keep);
    if (!node(v).uses.empty()) time_changed_ = true;
    Touch(v);
  }

  // A node with one strategy left goes into the costs of its neighbours.
  void Fold(int32_t v) {
    CoreNode& n = node(v);
    for (const int32_t e : n.edges) {
      const int32_t w = edge(e).Other(v);
      CoreNode& other = node(w);
      for (size_t k = 0; k < other.cost.size(); ++k) other.cost[k] += edge(e).cost[k];
      DropEdgeAt(w, e);
      Retire(e);
      Touch(w);
    }
    n.edges.clear();
    core_.constant += n.cost[0];
    for (const Use& use : n.uses) {
      for (int32_t p = use.begin; p < use.end; ++p) core_.slack[p] -= use.amount[0];
      if (use.amount[0] != 0) time_changed_ = true;
    }
    Remove(v, {v, -1, -1, {}, {}, {n.origin[0]}});
  }

  void Remove(int32_t v, Elimination how) {
    CoreNode& n = node(v);
    n.alive = false;
    n.uses.clear();
    n.edges.clear();
    std::vector<double>().swap(n.cost);
    core_.eliminations.push_back(std::move(how));
  }

  void EliminateAlone(int32_t v) {
    const CoreNode& n = node(v);
    const auto best = std::min_element(n.cost.begin(), n.cost.end()) - n.cost.begin();
    core_.constant += n.cost[best];
    Remove(v, {v, -1, -1, {}, {}, {n.origin[best]}});
  }

  void EliminateLeaf(int32_t v) {
    const int32_t e = node(v).edges[0];
    const int32_t w = edge(e).Other(v);
    const CoreNode& n = node(v);
    CoreNode& other = node(w);
    Elimination how{v, w, -1, other.origin, {}, {}};
    for (int32_t k = 0; k < other.size(); ++k) {
      double least = kInfinity;
      int32_t choice = 0;
      for (int32_t i = 0; i < n.size(); ++i) {
        const double cost = n.cost[i] + At(edge(e), v, i, k, other.size(), n.size());
        if (cost < least) {
          least = cost;
          choice = i;
        }
      }
      other.cost[k] += least;
      how.choice.push_back(n.origin[choice]);
    }
    DropEdgeAt(w, e);
    Retire(e);
    Remove(v, std::move(how));
    Touch(w);
  }

  // Degree two: its costs go into an edge between the neighbours.
  void EliminateSeries(int32_t v) {
    const int32_t ea = node(v).edges[0], eb = node(v).edges[1];
    const int32_t a = edge(ea).Other(v), b = edge(eb).Other(v);
    const int32_t rows = node(a).size(), columns = node(b).size(), size = node(v).size();
    const int64_t table = static_cast<int64_t>(rows) * columns;
    if (table > options_.largest_table && table > std::ssize(edge(ea).cost) + std::ssize(edge(eb).cost)) return;
    Elimination how{v, a, b, node(a).origin, node(b).origin, {}};
    how.choice.resize(static_cast<size_t>(table));
    std::vector<double> costs(static_cast<size_t>(table), kInfinity);
    for (int32_t i = 0; i < rows; ++i) {
      double* row = &costs[static_cast<size_t>(i) * columns];
      int32_t* choice = &how.choice[static_cast<size_t>(i) * columns];
      for (int32_t j = 0; j < size; ++j) {
        const double left = node(v).cost[j] + At(edge(ea), v, j, i, rows, size);
        if (left == kInfinity) continue;
        for (int32_t k = 0; k < columns; ++k) {
          const double cost = left + At(edge(eb), v, j, k, columns, size);
          if (cost < row[k]) {
            row[k] = cost;
            choice[k] = node(v).origin[j];
          }
        }
      }
    }
    DropEdgeAt(a, ea);
    DropEdgeAt(b, eb);
    Retire(ea);
    Retire(eb);
    Remove(v, std::move(how));
    AddEdge(a, b, std::move(costs));
  }

  void AddEdge(int32_t a, int32_t b, std::vector<double> costs) {
    const auto e = static_cast<int32_t>(core_.edges.size());
    core_.edges.push_back({true, a, b, std::move(costs)});
    clean_.push_back(0);
    node(a).edges.push_back(e);
    node(b).edges.push_back(e);
    Touch(a);
    Touch(b);
  }

  // For each strategy of v the only one of the other end that its edge e allows, if there is just one for each.
  std::optional<std::vector<int32_t>> Follows(int32_t v, int32_t e) {
    const int32_t size = node(v).size();
    const int32_t other = node(edge(e).Other(v)).size();
    if (other > size) return std::nullopt;
    std::vector<int32_t> to(static_cast<size_t>(size), -1);
    for (int32_t i = 0; i < size; ++i) {
      for (int32_t k = 0; k < other; ++k) {
        if (At(edge(e), v, i, k, other, size) == kInfinity) continue;
        if (to[i] >= 0) return std::nullopt;
        to[i] = k;
      }
      if (to[i] < 0) return std::nullopt;
    }
    return to;
  }

  // A neighbour that has no choice of its own becomes part of v, or v of a neighbour. True when v changed or is gone.
  bool MergeFollower(int32_t v) {
    for (const int32_t e : node(v).edges) {
      const int32_t w = edge(e).Other(v);
      if (const auto to = Follows(v, e); to && MergeIsSmall(v, w, e)) {
        // Where each determines the other, the one with less to carry over goes.
        const auto from = Weight(v) < Weight(w) ? Follows(w, e) : std::nullopt;
        if (from) {
          Merge(w, v, e, *from);
        } else {
          Merge(v, w, e, *to);
        }
        return true;
      }
      if (const auto to = Follows(w, e); to && MergeIsSmall(w, v, e)) {
        Merge(w, v, e, *to);
        return true;
      }
    }
    return false;
  }

  size_t Weight(int32_t v) { return node(v).edges.size() + node(v).uses.size(); }

  // Whether the tables of w, stretched to the strategies of v, stay reasonable.
  bool MergeIsSmall(int32_t v, int32_t w, int32_t e) {
    if (node(w).edges.size() <= 2 || node(v).size() == node(w).size()) return true;
    int64_t before = std::ssize(edge(e).cost), after = 0;
    for (const int32_t f : node(w).edges) {
      if (f == e) continue;
      const int64_t columns = node(edge(f).Other(w)).size();
      before += std::ssize(edge(f).cost);
      after += columns * node(v).size();
    }
    return after <= 2 * before;
  }

  // w follows v: strategy i of v goes with to[i] of w.
  void Merge(int32_t v, int32_t w, int32_t e, const std::vector<int32_t>& to) {
    CoreNode& n = node(v);
    CoreNode& follower = node(w);
    const int32_t size = n.size(), old = follower.size();
    Elimination how{w, v, -1, n.origin, {}, {}};
    for (int32_t i = 0; i < size; ++i) {
      how.choice.push_back(follower.origin[to[i]]);
      n.cost[i] += follower.cost[to[i]] + At(edge(e), v, i, to[i], old, size);
    }
    for (const Use& use : follower.uses) {
      Use mine{use.begin, use.end, {}};
      for (int32_t i = 0; i < size; ++i) mine.amount.push_back(use.amount[to[i]]);
      n.uses.push_back(std::move(mine));  // CompressTime adds up what overlaps
    }
    DropEdgeAt(v, e);
    const std::vector<int32_t> moved = follower.edges;
    for (const int32_t f : moved) {
      if (f == e) continue;
      CoreEdge& ed = edge(f);
      const int32_t other = node(ed.Other(w)).size();
      std::vector<double> costs(static_cast<size_t>(size) * other);
      for (int32_t i = 0; i < size; ++i) {
        for (int32_t k = 0; k < other; ++k) {
          costs[ed.a == w ? static_cast<size_t>(i) * other + k : static_cast<size_t>(k) * size + i] =
              At(ed, w, to[i], k, other, old);
        }
      }
      ed.cost = std::move(costs);
      (ed.a == w ? ed.a : ed.b) = v;
      clean_[f] = 0;
      n.edges.push_back(f);
      Touch(ed.Other(v));
    }
    Retire(e);
    Remove(w, std::move(how));
    Touch(v);
    for (const int32_t f : moved) {
      if (f != e) Touch(edge(f).Other(v));
    }
  }

  // Removes strategies of v that another one beats in cost and memory, whatever the neighbours choose.
  void RemoveDominated(int32_t v) {
    if (!node(v).alive || node(v).size() < 2) return;
    const CoreNode& n = node(v);
    const int32_t size = n.size();
    // Tables by row of v, so that two strategies are compared along memory.
    std::vector<std::vector<double>> tables;
    for (const int32_t e : n.edges) {
      const int32_t other = node(edge(e).Other(v)).size();
      if (edge(e).a == v) {
        tables.push_back(edge(e).cost);
        continue;
      }
      std::vector<double>& table = tables.emplace_back(edge(e).cost.size());
      for (int32_t k = 0; k < other; ++k) {
        for (int32_t i = 0; i < size; ++i)
          table[static_cast<size_t>(i) * other + k] = edge(e).cost[static_cast<size_t>(k) * size + i];
      }
    }
    std::vector<char> keep(static_cast<size_t>(size), 1);
    bool changed = false;
    std::vector<size_t> cheapest(tables.size());  // by table: the entry of row p that q can undercut least
    for (int32_t p = 0; p < size; ++p) {
      for (size_t t = 0; t < tables.size(); ++t) {
        const auto other = static_cast<std::ptrdiff_t>(tables[t].size() / static_cast<size_t>(size));
        const auto row = tables[t].begin() + p * other;
        cheapest[t] = static_cast<size_t>(std::min_element(row, row + other) - row);
      }
      for (int32_t q = 0; q < size && keep[p] != 0; ++q) {
        if (q == p || keep[q] == 0 || Loses(n, tables, cheapest, q, p) || !Beats(n, tables, q, p)) continue;
        keep[p] = 0;
        changed = true;
      }
    }
    if (changed) Keep(v, keep);
  }

  // Whether q is seen to be worse than p at once: where the neighbours choose what is cheapest for p.
  static bool Loses(const CoreNode& n, const std::vector<std::vector<double>>& tables,
                    const std::vector<size_t>& cheapest, int32_t q, int32_t p) {
    double worse = n.cost[q] - n.cost[p];
    for (size_t t = 0; t < tables.size(); ++t) {
      const size_t other = tables[t].size() / n.cost.size();
      worse += tables[t][q * other + cheapest[t]] - tables[t][p * other + cheapest[t]];
    }
    return worse > 0;  // NaN where all of a row of p is impossible
  }

  static bool Beats(const CoreNode& n, const std::vector<std::vector<double>>& tables, int32_t q, int32_t p) {
    for (const Use& use : n.uses) {
      if (use.amount[q] > use.amount[p]) return false;
    }
    double worse = n.cost[q] - n.cost[p];
    for (const std::vector<double>& table : tables) {
      const size_t other = table.size() / n.cost.size();
      const double* with_q = &table[q * other];
      const double* with_p = &table[p * other];
      double most = -kInfinity;
      for (size_t k = 0; k < other; ++k) {
        if (with_p[k] == kInfinity) continue;
        most = std::max(most, with_q[k] - with_p[k]);
      }
      if (most == kInfinity) return false;
      worse += most;
    }
    return worse <= 0;
  }

  // Less memory in use: fewer points may matter, and nodes may lose all that tied them to memory.
  void TightenTime() {
    std::vector<size_t> uses(core_.nodes.size());
    for (size_t v = 0; v < core_.nodes.size(); ++v) uses[v] = core_.nodes[v].uses.size();
    const std::vector<int64_t> slack = core_.slack;
    CompressTime(core_);
    least_slack_ = RangeLeast(core_.slack);
    for (size_t v = 0; v < core_.nodes.size(); ++v) {
      if (!core_.nodes[v].alive) continue;
      if (core_.nodes[v].uses.size() != uses[v] || (slack != core_.slack && uses[v] > 0)) {
        Touch(static_cast<int32_t>(v));
      }
    }
  }

  Core& core_;
  const ReduceOptions& options_;
  Queue cheap_;
  Queue dominance_;
  std::vector<int32_t> edge_to_;  // by node, scratch
  std::vector<char> clean_;       // by edge: rows and columns have least cost 0
  RangeLeast least_slack_;        // as of the last CompressTime; since then slack can only have become less
  bool time_changed_ = false;
  int64_t visits_ = 0;
};

}  // namespace

void Reduce(Core& core, const ReduceOptions& options) {
  if (!core.infeasible) CompressTime(core);
  if (core.infeasible) return;
  Reducer(core, options).Run();
  if (!core.infeasible) CompressTime(core);
}

}  // namespace alpa::solver
