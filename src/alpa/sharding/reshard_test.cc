// Every resharding between any two layouts of small arrays: carried out on simulated devices, each collective by its
// definition, and compared with cutting the whole array; and no other way is cheaper.
#include "alpa/sharding/reshard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "alpa/ir/host_tensor.h"

namespace alpa::sharding {
namespace {

using cluster::MakeMesh;
using cluster::Mesh;
using ir::HostTensor;
using ir::Shape;

Shape S32(std::vector<int64_t> dims) { return {ir::DType::kS32, std::move(dims)}; }

// ---------------------------------------------------------------- simulated devices

using Pieces = std::vector<HostTensor>;  // by device

HostTensor Numbered(const Shape& shape) {
  HostTensor out(shape);
  auto numbers = out.as<int32_t>();
  std::iota(numbers.begin(), numbers.end(), 100);
  return out;
}

Pieces Cut(const HostTensor& whole, const Spec& spec, const Mesh& mesh) {
  Pieces out;
  const Shape piece = ShardShape(spec, whole.shape(), mesh);
  for (int64_t d = 0; d < mesh.size(); ++d) {
    out.push_back(SliceBlock(whole, ShardStart(spec, whole.shape(), mesh, d), piece.dims));
  }
  return out;
}

// Devices along partial axes hold numbers that add up to the right ones.
Pieces CutPartial(const HostTensor& whole, const Layout& layout, const Mesh& mesh) {
  Pieces out = Cut(whole, layout.spec, mesh);
  for (int64_t d = 0; d < mesh.size(); ++d) {
    int32_t sum_of_others = 0;  // device i > 0 of its group contributes i, device 0 the rest
    int64_t index = 0;
    int64_t group = 1;
    for (const int axis : layout.partial) {
      index = index * mesh.shape[axis] + mesh.Coordinates(d)[axis];
      group *= mesh.shape[axis];
    }
    for (int64_t i = 1; i < group; ++i) sum_of_others += static_cast<int32_t>(i);
    for (int32_t& x : out[d].as<int32_t>()) x = index == 0 ? x - sum_of_others : static_cast<int32_t>(index);
  }
  return out;
}

// The devices that differ from `device` only along `axes`, in row-major order of `order` (a permutation of axes).
std::vector<int64_t> GroupOf(int64_t device, const std::vector<int>& order, const Mesh& mesh) {
  const auto own = mesh.Coordinates(device);
  std::vector<std::pair<int64_t, int64_t>> members;
  for (int64_t d = 0; d < mesh.size(); ++d) {
    const auto at = mesh.Coordinates(d);
    bool same = true;
    int64_t index = 0;
    for (size_t a = 0; a < at.size(); ++a) {
      const bool in = std::find(order.begin(), order.end(), static_cast<int>(a)) != order.end();
      same = same && (in || at[a] == own[a]);
    }
    for (const int axis : order) index = index * mesh.shape[axis] + at[axis];
    if (same) members.emplace_back(index, d);
  }
  std::sort(members.begin(), members.end());
  std::vector<int64_t> out;
  out.reserve(members.size());
  for (const auto& [index, d] : members) out.push_back(d);
  return out;
}

// Part `i` of `n` of a piece along a dimension.
HostTensor Part(const HostTensor& piece, size_t dim, int64_t i, int64_t n) {
  std::vector<int64_t> sizes = piece.shape().dims;
  EXPECT_EQ(sizes[dim] % n, 0);
  sizes[dim] /= n;
  std::vector<int64_t> start(sizes.size(), 0);
  start[dim] = i * sizes[dim];
  return SliceBlock(piece, start, sizes);
}

HostTensor Concatenated(const Pieces& parts, size_t dim) {
  Shape shape = parts[0].shape();
  shape.dims[dim] *= static_cast<int64_t>(parts.size());
  HostTensor out(shape);
  std::vector<int64_t> start(shape.dims.size(), 0);
  for (const HostTensor& part : parts) {
    PasteBlock(out, part, start);
    start[dim] += part.shape().dims[dim];
  }
  return out;
}

HostTensor Sum(const Pieces& parts) {
  HostTensor out(parts[0].shape());
  for (const HostTensor& part : parts) {
    EXPECT_EQ(part.shape(), out.shape());
    for (size_t i = 0; i < out.as<int32_t>().size(); ++i) out.as<int32_t>()[i] += part.as<int32_t>()[i];
  }
  return out;
}

// The dimension that has axes in `more` beyond those it has in `less`; those axes, in their order.
std::pair<size_t, std::vector<int>> Added(const Spec& less, const Spec& more) {
  for (size_t d = 0; d < more.dims.size(); ++d) {
    const size_t n = less.dims[d].size();
    if (more.dims[d].size() > n) return {d, {more.dims[d].begin() + static_cast<int64_t>(n), more.dims[d].end()}};
  }
  ADD_FAILURE() << "nothing is added";
  return {};
}

int64_t IndexIn(const std::vector<int64_t>& group, int64_t device) {
  return std::find(group.begin(), group.end(), device) - group.begin();
}

// What each device has after one collective that leads from spec `from` to spec `to`.
Pieces Carry(const Collective& c, const Pieces& before, const Spec& from, const Spec& to, const Shape& shape,
             const Mesh& mesh) {
  Pieces after;
  std::vector<bool> sent(before.size(), false);
  for (int64_t d = 0; d < mesh.size(); ++d) {
    auto pieces_of = [&](const std::vector<int64_t>& group) {
      Pieces out;
      for (const int64_t member : group) out.push_back(before[member]);
      return out;
    };
    switch (c.kind) {
      case CollectiveKind::kAllReduce:
        after.push_back(Sum(pieces_of(GroupOf(d, c.axes, mesh))));
        break;
      case CollectiveKind::kReduceScatter: {
        const auto [dim, axes] = Added(from, to);
        const auto group = GroupOf(d, axes, mesh);
        after.push_back(Part(Sum(pieces_of(group)), dim, IndexIn(group, d), static_cast<int64_t>(group.size())));
        break;
      }
      case CollectiveKind::kAllGather: {
        const auto [dim, axes] = Added(to, from);
        after.push_back(Concatenated(pieces_of(GroupOf(d, axes, mesh)), dim));
        break;
      }
      case CollectiveKind::kAllToAll: {
        const auto [joined, axes] = Added(to, from);
        const auto [cut, same_axes] = Added(from, to);
        EXPECT_EQ(axes, same_axes);
        const auto group = GroupOf(d, axes, mesh);
        Pieces received;  // from each member its part for this device
        for (const int64_t member : group) {
          received.push_back(Part(before[member], cut, IndexIn(group, d), static_cast<int64_t>(group.size())));
        }
        after.push_back(Concatenated(received, joined));
        break;
      }
      case CollectiveKind::kCollectivePermute: {
        // From a device of the group that has the wanted piece and has not sent it yet.
        const auto wanted = ShardStart(to, shape, mesh, d);
        const auto group = GroupOf(d, c.axes, mesh);
        const auto sender = std::find_if(group.begin(), group.end(), [&](int64_t s) {
          return !sent[s] && ShardStart(from, shape, mesh, s) == wanted;
        });
        if (sender == group.end()) {
          ADD_FAILURE() << "nobody has the piece that device " << d << " needs";
          return before;
        }
        sent[*sender] = true;
        after.push_back(before[*sender]);
        break;
      }
    }
    const bool gathers = c.kind == CollectiveKind::kAllGather;
    EXPECT_EQ(c.bytes, (gathers ? after : before)[d].shape().bytes());
  }
  return after;
}

// Devices keep the part of their piece that `to` gives them.
Pieces Slice(const Pieces& before, const Spec& from, const Spec& to, const Shape& shape, const Mesh& mesh) {
  Pieces after;
  for (int64_t d = 0; d < mesh.size(); ++d) {
    std::vector<int64_t> start = ShardStart(to, shape, mesh, d);
    const auto own = ShardStart(from, shape, mesh, d);
    for (size_t i = 0; i < start.size(); ++i) start[i] -= own[i];
    after.push_back(SliceBlock(before[d], start, ShardShape(to, shape, mesh).dims));
  }
  return after;
}

// ---------------------------------------------------------------- all layouts, and the cheapest way between them

// All specs, also those with axes in descending order, by their text.
void AddOrderedSpecs(const Shape& shape, const Mesh& mesh, Spec& spec, std::map<std::string, Spec>& out) {
  if (!Verify(spec, shape, mesh).ok() || !out.emplace(ToString(spec, mesh), spec).second) return;
  for (int axis = 0; axis < static_cast<int>(mesh.shape.size()); ++axis) {
    if (mesh.shape[axis] == 1) continue;
    for (auto& dim : spec.dims) {
      dim.push_back(axis);
      AddOrderedSpecs(shape, mesh, spec, out);
      dim.pop_back();
    }
  }
}

std::vector<Spec> AllSpecs(const Shape& shape, const Mesh& mesh) {
  std::map<std::string, Spec> found;
  Spec spec;
  spec.dims.resize(shape.dims.size());
  AddOrderedSpecs(shape, mesh, spec, found);
  std::vector<Spec> out;
  out.reserve(found.size());
  for (const auto& [text, s] : found) out.push_back(s);
  return out;
}

bool IsPrefix(const std::vector<int>& a, const std::vector<int>& b) {
  return a.size() <= b.size() && std::equal(a.begin(), a.end(), b.begin());
}

double Held(const Spec& spec, const Mesh& mesh) {
  double parts = 1;
  for (int d = 0; d < static_cast<int>(spec.dims.size()); ++d) parts *= static_cast<double>(Parts(spec, d, mesh));
  return 1 / parts;
}

constexpr double kNever = std::numeric_limits<double>::infinity();

// What one basic operation from spec a to spec b sends, as a share of the array, or kNever: from the definitions.
double OneStep(const Spec& a, const Spec& b, const Mesh& mesh) {
  std::vector<size_t> grown;
  std::vector<size_t> shrunk;
  bool other = false;
  bool same_parts = true;
  for (size_t d = 0; d < a.dims.size(); ++d) {
    same_parts = same_parts && Parts(a, static_cast<int>(d), mesh) == Parts(b, static_cast<int>(d), mesh);
    if (a.dims[d] == b.dims[d]) continue;
    if (IsPrefix(a.dims[d], b.dims[d])) {
      grown.push_back(d);
    } else if (IsPrefix(b.dims[d], a.dims[d])) {
      shrunk.push_back(d);
    } else {
      other = true;
    }
  }
  double best = same_parts ? Held(a, mesh) : kNever;  // permute
  if (other) return best;
  if (shrunk.empty()) return 0;  // slice
  if (shrunk.size() != 1) return best;
  const double n = static_cast<double>(Parts(a, static_cast<int>(shrunk[0]), mesh)) /
                   static_cast<double>(Parts(b, static_cast<int>(shrunk[0]), mesh));
  if (grown.empty()) return std::min(best, Held(a, mesh) * (n - 1));
  if (grown.size() == 1 && Added(a, b).second == Added(b, a).second) best = std::min(best, Held(a, mesh) * (n - 1) / n);
  return best;
}

// Cheapest ways between all pairs of specs.
class Ways {
 public:
  Ways(std::vector<Spec> specs, const Mesh& mesh) : specs_(std::move(specs)), mesh_(mesh) {
    const size_t n = specs_.size();
    sent_.assign(n, std::vector<double>(n, kNever));
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) sent_[i][j] = i == j ? 0 : OneStep(specs_[i], specs_[j], mesh);
    }
    for (size_t k = 0; k < n; ++k) {
      for (size_t i = 0; i < n; ++i) {
        for (size_t j = 0; j < n; ++j) sent_[i][j] = std::min(sent_[i][j], sent_[i][k] + sent_[k][j]);
      }
    }
  }

  // From spec `from` with results partial over the axes in `partial` to spec `to`.
  double Sent(const Spec& from, const std::vector<int>& partial, const Spec& to) const {
    const auto i = static_cast<size_t>(std::find(specs_.begin(), specs_.end(), from) - specs_.begin());
    const auto j = static_cast<size_t>(std::find(specs_.begin(), specs_.end(), to) - specs_.begin());
    if (i == specs_.size()) return kNever;  // does not divide
    if (partial.empty()) return sent_[i][j];
    double n = 1;
    for (const int axis : partial) n *= static_cast<double>(mesh_.shape[axis]);
    double best = 2 * Held(from, mesh_) * (n - 1) / n + sent_[i][j];
    for (const int axis : partial) {  // one reduce-scatter over several axes sends what several send
      std::vector<int> rest = partial;
      rest.erase(std::find(rest.begin(), rest.end(), axis));
      const auto extent = static_cast<double>(mesh_.shape[axis]);
      for (size_t d = 0; d < from.dims.size(); ++d) {
        Spec scattered = from;
        scattered.dims[d].push_back(axis);
        best = std::min(best, Held(from, mesh_) * (extent - 1) / extent + Sent(scattered, rest, to));
      }
    }
    return best;
  }

 private:
  std::vector<Spec> specs_;
  const Mesh& mesh_;
  std::vector<std::vector<double>> sent_;
};

double Sent(const std::vector<ReshardStep>& steps, const Mesh& mesh, double array_bytes) {
  double sent = 0;
  for (const ReshardStep& step : steps) {
    for (const Collective& c : step.collectives) {
      const double b = static_cast<double>(c.bytes.value) / array_bytes;
      const auto n = static_cast<double>(GroupSize(c, mesh));
      switch (c.kind) {
        case CollectiveKind::kAllReduce:
          sent += 2 * b * (n - 1) / n;
          break;
        case CollectiveKind::kCollectivePermute:
          sent += b;
          break;
        default:
          sent += b * (n - 1) / n;
      }
    }
  }
  return sent;
}

// Which axes and dimensions take part in a way: those that do at one of its ends. Ways through others are not looked
// for.
std::pair<std::set<int>, std::set<size_t>> PartIn(const Layout& from, const Spec& to) {
  std::pair<std::set<int>, std::set<size_t>> out;
  out.first.insert(from.partial.begin(), from.partial.end());
  for (const Spec* spec : {&from.spec, &to}) {
    for (size_t d = 0; d < spec->dims.size(); ++d) {
      if (!spec->dims[d].empty()) out.second.insert(d);
      out.first.insert(spec->dims[d].begin(), spec->dims[d].end());
    }
  }
  return out;
}

// Checks the way between every layout and every spec; returns the number of ways.
int TryAll(const Shape& shape, const Mesh& mesh, bool compare_cost = true) {
  int count = 0;
  const HostTensor whole = Numbered(shape);
  const std::vector<Spec> specs = AllSpecs(shape, mesh);
  std::map<std::pair<std::set<int>, std::set<size_t>>, Ways> all_ways;
  const auto axes = static_cast<int>(mesh.shape.size());
  for (int mask = 0; mask < 1 << axes; ++mask) {
    for (const Spec& from : specs) {
      Layout layout{from, {}};
      bool possible = true;
      for (int a = 0; a < axes; ++a) {
        if ((mask >> a & 1) == 0) continue;
        layout.partial.push_back(a);
        possible = possible && mesh.shape[a] > 1;
      }
      if (!possible || !Verify(layout, shape, mesh).ok()) continue;
      for (const Spec& wanted : specs) {
        ++count;
        const std::string name = ToString(mesh) + " " + ToString(layout, mesh) + " to " + ToString(wanted, mesh);
        const auto steps = Reshard(layout, wanted, shape, mesh);
        EXPECT_EQ(steps.empty(), (layout == Layout{wanted, {}})) << name;
        Pieces pieces = CutPartial(whole, layout, mesh);
        Spec at = from;
        for (const ReshardStep& step : steps) {
          EXPECT_LE(step.collectives.size(), 1U);
          pieces = step.collectives.empty() ? Slice(pieces, at, step.spec, shape, mesh)
                                            : Carry(step.collectives[0], pieces, at, step.spec, shape, mesh);
          at = step.spec;
        }
        EXPECT_EQ(at, wanted) << name;
        EXPECT_TRUE(pieces == Cut(whole, wanted, mesh)) << name;
        if (!compare_cost) continue;
        const auto part = PartIn(layout, wanted);
        auto ways = all_ways.find(part);
        if (ways == all_ways.end()) {
          std::vector<Spec> within;
          for (const Spec& s : specs) {
            const auto own = PartIn({s, {}}, s);
            if (std::includes(part.first.begin(), part.first.end(), own.first.begin(), own.first.end()) &&
                std::includes(part.second.begin(), part.second.end(), own.second.begin(), own.second.end())) {
              within.push_back(s);
            }
          }
          ways = all_ways.emplace(part, Ways(within, mesh)).first;
        }
        const double sent = Sent(steps, mesh, static_cast<double>(shape.bytes().value));
        EXPECT_NEAR(sent, ways->second.Sent(from, layout.partial, wanted), 1e-9) << name;
        if (testing::Test::HasFailure()) return count;
      }
    }
  }
  return count;
}

TEST(Reshard, IsRightAndCheapestBetweenAllLayouts) {
  int count = 0;
  for (const Mesh& mesh : {MakeMesh({2, 2}), MakeMesh({2, 3}), MakeMesh({2, 4}), MakeMesh({1, 8}), MakeMesh({4})}) {
    count += TryAll(S32({24, 24}), mesh);
    count += TryAll(S32({24}), mesh);
  }
  count += TryAll(S32({8, 4, 8}), MakeMesh({2, 2}));
  count += TryAll(S32({6, 6, 6}), MakeMesh({2, 3}));
  count += TryAll(S32({6, 4}), MakeMesh({2, 3}));  // y divides only the rows
  count += TryAll(S32({2, 3}), MakeMesh({2, 3}));
  EXPECT_GT(count, 1900);
}

TEST(Reshard, IsRightAndCheapestOnThreeAxes) {
  EXPECT_GT(TryAll(S32({8, 8}), MakeMesh({2, 2, 2})), 3000);
  EXPECT_GT(TryAll(S32({12, 12}), MakeMesh({2, 3, 2})), 3000);
}

// On more axes the way is right; nobody promises that it is the cheapest.
TEST(Reshard, IsRightOnFourAxes) {
  const Mesh mesh{{2, 2, 2, 2}, {"x", "y", "z", "w"}};
  EXPECT_GT(TryAll(S32({16}), mesh, /*compare_cost=*/false), 4000);
}

// ---------------------------------------------------------------- single ways, written out

// "slice [x,y]; all-gather over x, 96 B [,y]".
std::string Way(const std::string& from, const std::string& to, const Shape& shape, const Mesh& mesh,
                std::vector<int> partial = {}) {
  std::string out;
  for (const ReshardStep& step :
       Reshard({*ParseSpec(from, mesh), std::move(partial)}, *ParseSpec(to, mesh), shape, mesh)) {
    if (!out.empty()) out += "; ";
    out += (step.collectives.empty() ? "slice" : ToString(step.collectives[0], mesh)) + " " + ToString(step.spec, mesh);
  }
  return out;
}

TEST(Reshard, TakesOneStepWhereOneIsEnough) {
  const Mesh mesh = MakeMesh({2, 4});
  const Shape shape = S32({8, 8});  // 256 bytes
  EXPECT_EQ(Way("[x,]", "[x,]", shape, mesh), "");
  EXPECT_EQ(Way("[,]", "[x,y]", shape, mesh), "slice [x,y]");
  EXPECT_EQ(Way("[x,y]", "[x,]", shape, mesh), "all-gather over y, 128 B [x,]");
  EXPECT_EQ(Way("[xy,]", "[,]", shape, mesh), "all-gather over xy, 256 B [,]");
  EXPECT_EQ(Way("[x,]", "[,x]", shape, mesh), "all-to-all over x, 128 B [,x]");
  EXPECT_EQ(Way("[xy,]", "[x,y]", shape, mesh), "all-to-all over y, 32 B [x,y]");
  EXPECT_EQ(Way("[xy,]", "[yx,]", shape, mesh), "collective-permute over xy, 32 B [yx,]");
  EXPECT_EQ(Way("[,]", "[,]", shape, mesh, {0, 1}), "all-reduce over xy, 256 B [,]");
  EXPECT_EQ(Way("[,]", "[,y]", shape, mesh, {1}), "reduce-scatter over y, 256 B [,y]");
  EXPECT_EQ(Way("[x,]", "[xy,]", shape, mesh, {1}), "reduce-scatter over y, 128 B [xy,]");
}

TEST(Reshard, CombinesSteps) {
  const Mesh mesh = MakeMesh({2, 4});
  const Shape shape = S32({8, 8});
  // Scatter what is wanted split, reduce the small rest.
  EXPECT_EQ(Way("[,]", "[x,]", shape, mesh, {0, 1}),
            "reduce-scatter over x, 256 B [x,]; all-reduce over y, 128 B [x,]");
  // Slices come before, gathers after.
  EXPECT_EQ(Way("[x,]", "[,y]", shape, mesh), "slice [x,y]; all-gather over x, 64 B [,y]");
  EXPECT_EQ(Way("[x,y]", "[y,x]", shape, mesh),
            "all-to-all over x, 32 B [,yx]; all-to-all over xy, 32 B [yx,]; all-to-all over x, 32 B [y,x]");
  EXPECT_EQ(Way("[x,y]", "[y,x]", shape, MakeMesh({2, 2})), "collective-permute over xy, 64 B [y,x]");
}

TEST(Reshard, KnowsTwoWaysToSayReplicated) {
  const Mesh mesh = MakeMesh({2, 4});
  EXPECT_TRUE(Reshard({Spec{}, {}}, {{{}, {}}}, S32({8, 8}), mesh).empty());
  EXPECT_TRUE(Reshard({{{{}, {}}}, {}}, {}, S32({8, 8}), mesh).empty());
  EXPECT_EQ(Way("[x,]", "[]", S32({8, 8}), mesh), "all-gather over x, 256 B [,]");
}

TEST(Reshard, IgnoresAxesOfOneDevice) {
  const Mesh mesh = MakeMesh({1, 4});
  EXPECT_EQ(Way("[x,]", "[,x]", S32({8, 8}), mesh), "");
  EXPECT_EQ(Way("[xy,]", "[,]", S32({8, 8}), mesh), "all-gather over y, 256 B [,]");
}

}  // namespace
}  // namespace alpa::sharding
