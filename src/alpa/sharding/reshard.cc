#include "alpa/sharding/reshard.h"

#include <algorithm>
#include <array>
#include <limits>
#include <queue>
#include <utility>

namespace alpa::sharding {
namespace {

constexpr int kMaxAxes = 3;  // that one search can deal with; where more take part, Detour() is good enough

// Where one mesh axis is: it splits a dimension (as the pos-th of its axes), holds copies, or holds partial results.
struct Place {
  static constexpr int8_t kCopies = -1, kPartial = -2;
  int8_t dim = kCopies;
  int8_t pos = 0;
  bool operator==(const Place&) const = default;
};

// A layout: the place of each axis.
struct State {
  std::array<Place, kMaxAxes> at;
  bool operator==(const State&) const = default;
};

struct Move {
  int from = -1;       // key of the state before
  bool slice = false;  // else a collective
  CollectiveKind kind = CollectiveKind::kAllReduce;
};

// Bytes sent per device, in units of array / devices^2; then collectives; then slices.
struct Distance {
  int64_t sent = std::numeric_limits<int64_t>::max();
  int collectives = 0, slices = 0;
  auto operator<=>(const Distance&) const = default;  // NOLINT(modernize-use-nullptr): a bug of the check
};

// The axes of extent > 1 that are not copies at both ends, ascending.
std::vector<int> AxesThatMatter(const Layout& from, const Spec& to, const cluster::Mesh& mesh) {
  std::vector<int> axes = from.partial;
  for (const Spec* spec : {&from.spec, &to}) {
    for (const auto& dim : spec->dims) axes.insert(axes.end(), dim.begin(), dim.end());
  }
  std::sort(axes.begin(), axes.end());
  axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  axes.erase(std::remove_if(axes.begin(), axes.end(), [&](int a) { return mesh.shape[static_cast<size_t>(a)] == 1; }),
             axes.end());
  return axes;
}

// Shortest paths between the layouts of one array (Dijkstra). Axes and dimensions that take part at neither end are
// left out: the detours through them that save bytes cost further collectives.
class Search {
 public:
  Search(const Layout& from, const Spec& to, const ir::Shape& shape, const cluster::Mesh& mesh, std::vector<int> axes)
      : shape_(shape), mesh_(mesh), axes_(std::move(axes)), n_(static_cast<int>(axes_.size())) {
    for (int d = 0; d < shape.rank(); ++d) {
      if (Parts(from.spec, d, mesh) > 1 || Parts(to, d, mesh) > 1) dims_.push_back(d);
    }
    codes_ = 2 + static_cast<int>(dims_.size()) * n_;
    begin_ = StateOf(from.spec);
    for (int i = 0; i < n_; ++i) {
      const bool partial = std::find(from.partial.begin(), from.partial.end(), Axis(i)) != from.partial.end();
      if (partial) begin_.at[At(i)].dim = Place::kPartial;
    }
    end_ = StateOf(to);
    for (int i = 0; i < n_; ++i) devices_ *= Extent(i);
  }

  std::vector<ReshardStep> Run() {
    if (begin_ == end_) return {};
    int keys = 1;
    for (int i = 0; i < n_; ++i) keys *= codes_;
    best_.resize(static_cast<size_t>(keys));
    moves_.resize(static_cast<size_t>(keys));
    states_.resize(static_cast<size_t>(keys));
    best_[At(KeyOf(begin_))] = {0, 0, 0};
    states_[At(KeyOf(begin_))] = begin_;
    queue_.push({{0, 0, 0}, KeyOf(begin_)});
    const int end = KeyOf(end_);
    while (!queue_.empty()) {
      const auto [distance, key] = queue_.top();
      queue_.pop();
      if (key == end) break;
      if (distance == best_[At(key)]) Expand(key);
    }
    return Path(end);
  }

 private:
  static size_t At(int i) { return static_cast<size_t>(i); }
  int Axis(int i) const { return axes_[At(i)]; }
  int64_t Extent(int i) const { return mesh_.shape[At(Axis(i))]; }

  State StateOf(const Spec& spec) const {
    State s;
    if (spec.dims.empty()) return s;
    for (size_t d = 0; d < dims_.size(); ++d) {
      int8_t pos = 0;
      for (const int axis : spec.dims[At(dims_[d])]) {
        const auto it = std::find(axes_.begin(), axes_.end(), axis);
        if (it == axes_.end()) continue;  // of extent 1
        s.at[static_cast<size_t>(it - axes_.begin())] = {static_cast<int8_t>(d), pos++};
      }
    }
    return s;
  }

  Spec SpecOf(const State& s) const {
    Spec spec;
    spec.dims.resize(shape_.dims.size());
    for (size_t d = 0; d < dims_.size(); ++d) {
      auto& axes = spec.dims[At(dims_[d])];
      for (const int i : AxesOf(s, static_cast<int8_t>(d))) axes.push_back(Axis(i));
    }
    return spec;
  }

  // The axes that split dimension `d`, major first.
  std::vector<int> AxesOf(const State& s, int8_t d) const {
    std::vector<int> out;
    for (int pos = 0; pos < n_; ++pos) {
      for (int i = 0; i < n_; ++i) {
        if (s.at[At(i)].dim == d && s.at[At(i)].pos == pos) out.push_back(i);
      }
    }
    return out;
  }

  int KeyOf(const State& s) const {
    int key = 0;
    for (int i = 0; i < n_; ++i) {
      const Place& p = s.at[At(i)];
      key = key * codes_ + (p.dim < 0 ? -1 - p.dim : 2 + p.dim * n_ + p.pos);
    }
    return key;
  }

  int Count(const State& s, int8_t d) const {
    int count = 0;
    for (int i = 0; i < n_; ++i) count += s.at[At(i)].dim == d ? 1 : 0;
    return count;
  }
  int64_t PartsOf(const State& s, int8_t d) const {
    int64_t parts = 1;
    for (int i = 0; i < n_; ++i) parts *= s.at[At(i)].dim == d ? Extent(i) : 1;
    return parts;
  }
  // Size of what one device holds, in units of array / devices^2.
  int64_t Held(const State& s) const {
    int64_t held = devices_ * devices_;
    for (int i = 0; i < n_; ++i) held /= s.at[At(i)].dim >= 0 ? Extent(i) : 1;
    return held;
  }

  void Reach(int from, const State& to, bool slice, CollectiveKind kind, int64_t sent) {
    Distance distance = best_[At(from)];
    distance.sent += sent;
    ++(slice ? distance.slices : distance.collectives);
    const int key = KeyOf(to);
    if (distance >= best_[At(key)]) return;
    best_[At(key)] = distance;
    states_[At(key)] = to;
    moves_[At(key)] = {from, slice, kind};
    queue_.push({distance, key});
  }

  void Expand(int key) {
    const State s = states_[At(key)];
    const bool partial =
        std::any_of(s.at.begin(), s.at.begin() + n_, [](const Place& p) { return p.dim == Place::kPartial; });
    if (partial) {  // the op that leaves partial results joins them, before anything else can be done
      AllReduce(key, s);
      Append(key, s, s, Place::kPartial, 1);
      return;
    }
    Append(key, s, s, Place::kCopies, 1);
    for (int8_t d = 0; d < static_cast<int8_t>(dims_.size()); ++d) TakeAway(key, s, d);
    State t;
    Permute(key, s, t, 0);
  }

  void AllReduce(int key, const State& s) {
    State t = s;
    int64_t group = 1;
    for (int i = 0; i < n_; ++i) {
      if (s.at[At(i)].dim != Place::kPartial) continue;
      group *= Extent(i);
      t.at[At(i)] = {};
    }
    Reach(key, t, false, CollectiveKind::kAllReduce, 2 * (group - 1) * Held(s) / group);
  }

  // Axes of copies (slice) or of partial results (reduce-scatter) split a dimension further, in any order.
  void Append(int key, const State& s, const State& t, int8_t what, int64_t group, int8_t only = -1) {
    for (int i = 0; i < n_; ++i) {
      if (t.at[At(i)].dim != what) continue;
      for (int8_t d = 0; d < static_cast<int8_t>(dims_.size()); ++d) {
        if (only >= 0 && d != only) continue;
        if (shape_.dims[At(dims_[At(d)])] % (PartsOf(t, d) * Extent(i)) != 0) continue;
        State u = t;
        u.at[At(i)] = {d, static_cast<int8_t>(Count(t, d))};
        const bool slice = what == Place::kCopies;
        const int64_t n = group * Extent(i);
        Reach(key, u, slice, CollectiveKind::kReduceScatter, slice ? 0 : Held(s) * (n - 1) / n);
        if (!slice) Append(key, s, u, what, n, d);
      }
    }
  }

  // Takes the most minor axes of dimension `d` away: an all-gather, or an all-to-all to another dimension.
  void TakeAway(int key, const State& s, int8_t d) {
    const std::vector<int> axes = AxesOf(s, d);
    State without = s;
    int64_t group = 1;
    for (size_t first = axes.size(); first-- > 0;) {
      without.at[At(axes[first])] = {};
      group *= Extent(axes[first]);
      Reach(key, without, false, CollectiveKind::kAllGather, Held(s) * (group - 1));
      for (int8_t to = 0; to < static_cast<int8_t>(dims_.size()); ++to) {
        if (to == d || shape_.dims[At(dims_[At(to)])] % (PartsOf(s, to) * group) != 0) continue;
        State t = without;
        auto pos = static_cast<int8_t>(Count(s, to));
        for (size_t k = first; k < axes.size(); ++k) t.at[At(axes[k])] = {to, pos++};
        Reach(key, t, false, CollectiveKind::kAllToAll, Held(s) / group * (group - 1));
      }
    }
  }

  // All layouts whose pieces have the same shape: each device sends what it has to one other.
  void Permute(int key, const State& s, State& t, int i) {
    if (i == n_) {
      for (int8_t d = 0; d < static_cast<int8_t>(dims_.size()); ++d) {
        if (PartsOf(t, d) != PartsOf(s, d)) return;
      }
      if (!(t == s)) Reach(key, t, false, CollectiveKind::kCollectivePermute, Held(s));
      return;
    }
    // Axis number i comes next: as the most minor of some dimension, but any earlier axes may follow it.
    t.at[At(i)] = {};
    Permute(key, s, t, i + 1);
    for (int8_t d = 0; d < static_cast<int8_t>(dims_.size()); ++d) {
      if (PartsOf(s, d) % Extent(i) != 0) continue;
      const State saved = t;
      int before = 0;
      for (int j = 0; j < i; ++j) before += t.at[At(j)].dim == d ? 1 : 0;
      for (int pos = 0; pos <= before; ++pos) {
        t = saved;
        for (int j = 0; j < i; ++j) {
          Place& p = t.at[At(j)];
          if (p.dim == d && p.pos >= pos) ++p.pos;
        }
        t.at[At(i)] = {d, static_cast<int8_t>(pos)};
        Permute(key, s, t, i + 1);
      }
      t = saved;
      t.at[At(i)] = {};
    }
  }

  std::vector<ReshardStep> Path(int end) const {
    std::vector<ReshardStep> steps;
    const int begin = KeyOf(begin_);
    for (int key = end; key != begin; key = moves_[At(key)].from) {
      const Move& move = moves_[At(key)];
      ALPA_CHECK(move.from >= 0, "no way between two layouts");
      ReshardStep step;
      step.spec = SpecOf(states_[At(key)]);
      if (!move.slice) step.collectives.push_back(CollectiveOf(move, states_[At(move.from)], states_[At(key)]));
      // Slices one after another are one.
      const bool joins = !steps.empty() && move.slice && steps.back().collectives.empty();
      if (!joins) steps.push_back(std::move(step));
    }
    std::reverse(steps.begin(), steps.end());
    return steps;
  }

  // An axis that stays in its place between others that swap, [xyz] to [zyx], lies elsewhere in the dimension all the
  // same when their extents differ: behind the first difference all axes of a dimension take part in a permutation.
  void AddFollowers(const State& from, std::array<bool, kMaxAxes>& moved) const {
    for (int8_t d = 0; d < static_cast<int8_t>(dims_.size()); ++d) {
      bool behind = false;
      for (const int i : AxesOf(from, d)) {
        behind = behind || moved[At(i)];
        moved[At(i)] = behind;
      }
    }
  }

  Collective CollectiveOf(const Move& move, const State& from, const State& to) const {
    Collective c;
    c.kind = move.kind;
    std::array<bool, kMaxAxes> moved{};
    for (int i = 0; i < n_; ++i) moved[At(i)] = from.at[At(i)] != to.at[At(i)];
    if (move.kind == CollectiveKind::kCollectivePermute) AddFollowers(from, moved);
    for (int i = 0; i < n_; ++i) {
      if (moved[At(i)]) c.axes.push_back(Axis(i));
    }
    const State& larger = move.kind == CollectiveKind::kAllGather ? to : from;
    c.bytes = ShardShape(SpecOf(larger), shape_, mesh_).bytes();
    return c;
  }

  const ir::Shape& shape_;
  const cluster::Mesh& mesh_;
  std::vector<int> axes_;
  int n_;
  std::vector<int> dims_;  // split at either end
  int codes_ = 0;          // places an axis can have
  int64_t devices_ = 1;    // along the axes
  State begin_, end_;

  // By key of a state.
  std::vector<Distance> best_;
  std::vector<Move> moves_;
  std::vector<State> states_;
  using Entry = std::pair<Distance, int>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_;
};

// All-reduce, then all-gathers of what differs, then one slice.
std::vector<ReshardStep> Detour(const Layout& from, const Spec& to, const ir::Shape& shape, const cluster::Mesh& mesh) {
  std::vector<ReshardStep> steps;
  Spec spec = from.spec;
  spec.dims.resize(shape.dims.size());
  if (!from.partial.empty()) {
    const Bytes bytes = ShardShape(spec, shape, mesh).bytes();
    steps.push_back({spec, {{CollectiveKind::kAllReduce, from.partial, bytes}}});
  }
  for (size_t d = 0; d < spec.dims.size(); ++d) {
    auto& axes = spec.dims[d];
    const std::vector<int> wanted = to.dims.empty() ? std::vector<int>() : to.dims[d];
    const auto differs = std::mismatch(axes.begin(), axes.end(), wanted.begin(), wanted.end()).first;
    if (differs == axes.end()) continue;
    std::vector<int> gathered(differs, axes.end());
    std::sort(gathered.begin(), gathered.end());
    axes.erase(differs, axes.end());
    steps.push_back({spec, {{CollectiveKind::kAllGather, gathered, ShardShape(spec, shape, mesh).bytes()}}});
  }
  if (!(spec == to)) steps.push_back({to, {}});
  return steps;
}

}  // namespace

std::vector<ReshardStep> Reshard(const Layout& from, const Spec& to, const ir::Shape& shape,
                                 const cluster::Mesh& mesh) {
  ALPA_CHECK(from.partial.empty() || from.combiner != Combiner::kOther, "partial results that nothing can join");
  std::vector<int> axes = AxesThatMatter(from, to, mesh);
  if (axes.size() > kMaxAxes) return Detour(from, to, shape, mesh);
  return Search(from, to, shape, mesh, std::move(axes)).Run();
}

}  // namespace alpa::sharding
