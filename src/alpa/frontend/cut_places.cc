#include "alpa/frontend/cut_places.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "alpa/base/file.h"

namespace alpa::frontend {
namespace {

using ir::OpId;
using ir::ValueId;

uint64_t Mix(uint64_t a, uint64_t b) {
  return (a ^ (b + 0x9e3779b97f4a7c15ULL + (a << 6) + (a >> 2))) * 0xff51afd7ed558ccdULL;
}

// A value that is alive at the places `from` < place <= `to` (places as numbers of ops in front).
struct Interval {
  int from = 0, to = 0;
  int64_t bytes = 0;
};

// When each op of the sequence counts as computed: early ops where they are first read.
class Times {
 public:
  Times(const ir::Module& module, const ForwardGraph& graph, const std::vector<OpId>& ops)
      : module_(module), graph_(graph), ops_(ops), time_(module.ops.size(), -1) {
    for (size_t k = 0; k < ops.size(); ++k) time_[static_cast<size_t>(ops[k])] = static_cast<int>(k);
    for (size_t k = ops.size(); k-- > 0;) {
      if (!graph.early[static_cast<size_t>(ops[k])]) continue;
      int first = std::numeric_limits<int>::max();
      for (const ValueId v : module.op(ops[k]).results) first = std::min(first, FirstRead(v));
      if (first != std::numeric_limits<int>::max()) time_[static_cast<size_t>(ops[k])] = first;
    }
  }

  std::vector<Interval> Intervals() const {
    std::vector<Interval> out;
    std::vector<char> seen(module_.values.size(), 0);
    auto add = [&](ValueId v, int from) {
      seen[static_cast<size_t>(v)] = 1;
      int last = -1;
      for (const OpId reader : graph_.readers[static_cast<size_t>(v)]) last = std::max(last, Of(reader));
      if (last > from) out.push_back({from, last, module_.shape(v).bytes().value});
    };
    for (const OpId id : ops_) {
      for (const ValueId v : module_.op(id).results) add(v, Of(id));
    }
    for (const OpId id : ops_) {
      for (const ValueId v : module_.op(id).operands) {
        if (!seen[static_cast<size_t>(v)] && graph_.contains(module_.value(v).producer)) add(v, FirstRead(v));
      }
    }
    return out;
  }

 private:
  int Of(OpId op) const { return time_[static_cast<size_t>(op)]; }
  int FirstRead(ValueId v) const {
    int first = std::numeric_limits<int>::max();
    for (const OpId reader : graph_.readers[static_cast<size_t>(v)]) {
      if (Of(reader) >= 0) first = std::min(first, Of(reader));
    }
    return first;
  }

  const ir::Module& module_;
  const ForwardGraph& graph_;
  const std::vector<OpId>& ops_;
  std::vector<int> time_;  // by OpId, -1: not in the sequence
};

// For each of the positions (ascending) the largest interval alive there, 0 where there is none.
std::vector<int64_t> LargestAlive(std::vector<Interval> intervals, const std::vector<int>& positions) {
  std::sort(intervals.begin(), intervals.end(), [](const Interval& a, const Interval& b) { return a.bytes > b.bytes; });
  std::vector<int64_t> largest(positions.size(), 0);
  std::vector<size_t> next(positions.size() + 1);  // the first position at or behind this one without an answer
  std::iota(next.begin(), next.end(), size_t{0});
  auto find = [&](size_t p) {
    size_t root = p;
    while (next[root] != root) root = next[root];
    while (next[p] != root) p = std::exchange(next[p], root);
    return root;
  };
  for (const Interval& i : intervals) {
    const auto first = std::upper_bound(positions.begin(), positions.end(), i.from) - positions.begin();
    const auto last = std::upper_bound(positions.begin(), positions.end(), i.to) - positions.begin();
    for (size_t p = find(static_cast<size_t>(first)); p < static_cast<size_t>(last); p = find(p)) {
      largest[p] = i.bytes;
      next[p] = p + 1;
    }
  }
  return largest;
}

// What one op that does work is: its kind and shapes.
uint64_t ContentOf(const ir::Module& module, const ir::Op& op) {
  uint64_t h = Fnv1a(ir::Name(op.kind));
  auto add = [&](ValueId v) {
    for (const int64_t extent : module.shape(v).dims) h = Mix(h, static_cast<uint64_t>(extent));
    h = Mix(h, static_cast<uint64_t>(module.shape(v).dtype));
  };
  for (const ValueId v : op.operands) add(v);
  for (const ValueId v : op.results) add(v);
  return h;
}

// Keeps, of about equal shares of the work, the best place each.
std::vector<int> Thin(const CutPlaces& places, int max_places) {
  const double total = std::accumulate(places.work.begin(), places.work.end(), 0.0);
  std::vector<int> kept;
  double before = 0;
  int share = -1;
  for (size_t p = 0; p < places.position.size(); ++p) {
    before += places.work[p];
    const int mine = std::min(max_places - 1, static_cast<int>(before / total * max_places));
    if (mine != share) {
      kept.push_back(static_cast<int>(p));
    } else if (places.bytes[p] <= places.bytes[static_cast<size_t>(kept.back())]) {
      kept.back() = static_cast<int>(p);
    }
    share = mine;
  }
  return kept;
}

}  // namespace

CutPlaces FindCutPlaces(const ir::Module& module, const ForwardGraph& graph, const std::vector<OpId>& ops,
                        int max_places) {
  const auto n = ops.size();
  const std::vector<Interval> intervals = Times(module, graph, ops).Intervals();
  std::vector<int64_t> alive(n + 2, 0);
  for (const Interval& i : intervals) {
    alive[static_cast<size_t>(i.from) + 1] += i.bytes;
    alive[static_cast<size_t>(i.to) + 1] -= i.bytes;
  }
  std::partial_sum(alive.begin(), alive.end(), alive.begin());
  CutPlaces out;
  int best = -1;  // the best place behind the last op that did work
  for (size_t k = 0; k < n; ++k) {
    const double work = graph.work[static_cast<size_t>(ops[k])];
    const int place = static_cast<int>(k);
    if (best >= 0 && alive[k] <= alive[static_cast<size_t>(best)]) best = place;
    if (work <= 0) continue;
    if (best >= 0) {
      out.position.push_back(best);
      out.bytes.push_back(alive[static_cast<size_t>(best)]);
    }
    out.work.push_back(work);
    out.content.push_back(ContentOf(module, module.op(ops[k])));
    out.workers.push_back(1);
    best = place + 1;
  }
  if (out.work.empty()) {
    out.work.push_back(0);
    out.content.push_back(0);
    out.workers.push_back(0);
  }
  out.largest = LargestAlive(intervals, out.position);
  if (static_cast<int>(out.position.size()) > max_places) out = Coarsen(out, Thin(out, max_places));
  return out;
}

CutPlaces Coarsen(const CutPlaces& places, const std::vector<int>& kept) {
  CutPlaces out;
  size_t piece = 0;
  auto join_until = [&](size_t end) {
    double work = 0;
    uint64_t content = 0;
    int workers = 0;
    for (; piece < end; ++piece) {
      work += places.work[piece];
      content += Mix(places.content[piece], 1);  // a sum: in which order independent ops stand says nothing
      workers += places.workers[piece];
    }
    out.work.push_back(work);
    out.content.push_back(content);
    out.workers.push_back(workers);
  };
  for (const int place : kept) {
    const auto p = static_cast<size_t>(place);
    join_until(p + 1);
    out.position.push_back(places.position[p]);
    out.bytes.push_back(places.bytes[p]);
    out.largest.push_back(places.largest[p]);
  }
  join_until(places.work.size());
  return out;
}

std::vector<int> NarrowPlaces(const CutPlaces& places) {
  constexpr int kNear = 3;
  constexpr double kOneValue = 1.1;   // times the largest value: what else flows is small
  constexpr double kNotMuchMore = 2;  // times the least nearby on one side: the value itself is not a wide one
  const int n = static_cast<int>(places.position.size());
  auto least = [&](int first, int last) {
    int64_t out = std::numeric_limits<int64_t>::max();
    for (int p = std::max(0, first); p <= std::min(n - 1, last); ++p) {
      out = std::min(out, places.bytes[static_cast<size_t>(p)]);
    }
    return out;
  };
  std::vector<int> out;
  for (int p = 0; p < n; ++p) {
    const int64_t bytes = places.bytes[static_cast<size_t>(p)];
    const int64_t before = least(p - kNear, p - 1);
    const int64_t behind = least(p + 1, p + kNear);
    const bool one =
        static_cast<double>(bytes) <= kOneValue * static_cast<double>(places.largest[static_cast<size_t>(p)]) &&
        static_cast<double>(bytes) <= kNotMuchMore * static_cast<double>(std::max(before, behind));
    const bool least_of_all = p >= kNear && p + kNear < n && bytes <= before && bytes <= behind;
    if (one || least_of_all) out.push_back(p);
  }
  return out;
}

namespace {

// The least distance at which at least a third of the pieces come again: pieces of one block. 1 where nothing does.
int PeriodOf(const std::vector<uint64_t>& content) {
  const int n = static_cast<int>(content.size());
  for (int d = 1; 2 * d <= n; ++d) {
    int same = 0;
    for (size_t i = static_cast<size_t>(d); i < content.size(); ++i) {
      same += content[i - static_cast<size_t>(d)] == content[i];
    }
    if (3 * same >= n - d) return d;
  }
  return 1;
}

}  // namespace

std::vector<int> BlockPlaces(const CutPlaces& narrow) {
  constexpr double kSmall = 0.3;  // of an average piece: not worth a layer of its own
  const int n = narrow.pieces();
  const int period = PeriodOf(narrow.content);
  const double average = std::accumulate(narrow.work.begin(), narrow.work.end(), 0.0) / n;
  auto recurs = [&](int i) {
    const auto& c = narrow.content;
    return std::count(c.begin(), c.end(), c[static_cast<size_t>(i)]) > 1;
  };
  auto small = [&](int i) { return narrow.work[static_cast<size_t>(i)] < kSmall * average; };
  const int workers = std::accumulate(narrow.workers.begin(), narrow.workers.end(), 0);
  // A chain of single matrix products has no head or embedding that could be told from its layers.
  const bool blocks = period > 1 || 2 * n <= workers;
  // An embedding, stem or head: comes once, and does its work with few ops.
  auto extra = [&](int i) { return !recurs(i) && 2 * narrow.workers[static_cast<size_t>(i)] * n <= workers; };
  auto behind = [&](int i) { return narrow.content[static_cast<size_t>(i) + static_cast<size_t>(period)]; };
  int first = 0;  // the first piece of the first block; what stands before belongs to it
  int last = n;   // behind the last piece of the last block
  if (blocks && period > 1) {
    auto comes_again = [&](int i) { return narrow.content[static_cast<size_t>(i)] == behind(i); };
    while (first + period < n && !comes_again(first)) ++first;
    if (first + period >= n) first = 0;
  } else if (blocks) {
    if (n > 1 && extra(0)) ++first;
    if (last - 1 > first && extra(n - 1)) --last;
  }
  while (first + 1 < last && small(first)) ++first;
  while (last - 1 > first && small(last - 1)) --last;
  std::vector<int> out;
  for (int piece = first + period; piece < last; piece += period) out.push_back(piece - 1);
  // An unfinished block at the end belongs to the last whole one.
  if (period > 1 && !out.empty() && last - (out.back() + 1) < period) out.pop_back();
  return out;
}

}  // namespace alpa::frontend
