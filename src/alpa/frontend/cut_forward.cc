#include "alpa/frontend/cut_forward.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "alpa/frontend/cut_chain.h"
#include "alpa/frontend/cut_places.h"
#include "alpa/frontend/find_branches.h"

namespace alpa::frontend {
namespace {

using ir::OpId;

constexpr int kMaxPlaces = 4096;         // places looked at for natural borders
constexpr int kMaxPlacesToSearch = 512;  // that the dynamic program chooses from
constexpr int kLayersWithoutBlocks = 8;
constexpr double kWorthABranch = 0.5;  // the least work of a branch, in average layers

// A sequence of ops and three ways to cut it, coarse ones first: between blocks, where little flows, anywhere.
struct Sequence {
  std::vector<OpId> ops;
  CutPlaces blocks, narrow, all;
};

Sequence MakeSequence(const ir::Module& module, const ForwardGraph& graph, std::vector<OpId> ops) {
  Sequence s;
  s.all = FindCutPlaces(module, graph, ops, kMaxPlaces);
  s.narrow = Coarsen(s.all, NarrowPlaces(s.all));
  s.blocks = Coarsen(s.narrow, BlockPlaces(s.narrow));
  if (s.all.pieces() > kMaxPlacesToSearch) s.all = FindCutPlaces(module, graph, ops, kMaxPlacesToSearch);
  s.ops = std::move(ops);
  return s;
}

// `bytes` up to a tenth more: differences below that are no reason for layers that are less balanced.
int64_t Rounded(int64_t bytes) {
  if (bytes == 0) return 0;
  const double step = std::log(1.1);
  return std::llround(std::exp(step * std::ceil(std::log(static_cast<double>(bytes)) / step)));
}

// The places (positions) that cut `places` into `count` layers, if the bounds allow it.
std::optional<std::vector<int>> Cut(const CutPlaces& places, int count, double bound, double single_bound) {
  constexpr double kRounding = 1 + 1e-9;
  ChainToCut chain{places.work, {}, bound * kRounding, single_bound * kRounding};
  for (const int64_t bytes : places.bytes) chain.bytes.push_back(Rounded(bytes));
  const auto cuts = CutChain(chain, count);
  if (!cuts.has_value()) return std::nullopt;
  std::vector<int> positions;
  for (const int cut : *cuts) positions.push_back(places.position[static_cast<size_t>(cut)]);
  return positions;
}

double WorkOf(const Sequence& s) { return std::accumulate(s.all.work.begin(), s.all.work.end(), 0.0); }

// Whole blocks where they are balanced enough, else smaller pieces.
std::vector<int> CutInto(const Sequence& s, int count, double imbalance) {
  if (count == s.blocks.pieces()) return s.blocks.position;
  const double bound = (1 + imbalance) * WorkOf(s) / count;
  const double least = LeastLargest(s.all.work, count);
  const double single = std::max(bound, (1 + imbalance) * least);
  for (const CutPlaces* places : {&s.blocks, &s.narrow, &s.all}) {
    if (const auto cuts = Cut(*places, count, bound, single)) return *cuts;
  }
  for (const CutPlaces* places : {&s.blocks, &s.narrow, &s.all}) {
    if (const auto cuts = Cut(*places, count, single, single)) return *cuts;
  }
  ALPA_CHECK(false, "a run of pieces for each layer exists");
  return {};
}

int NaturalCount(const Sequence& s, int max_count) {
  const int blocks = s.blocks.pieces();
  // No narrow place at all (skip connections from one end to the other): some layers, so that there is a choice.
  if (blocks == 1) return std::min({s.all.pieces(), max_count, kLayersWithoutBlocks});
  const int together = (blocks + max_count - 1) / max_count;
  return (blocks + together - 1) / together;
}

// Gives the ops of the sequence their layers, numbered from `first`.
void Assign(const Sequence& s, const std::vector<int>& cuts, int first, std::vector<int>& layer_of_op) {
  size_t layer = 0;
  for (size_t k = 0; k < s.ops.size(); ++k) {
    while (layer < cuts.size() && static_cast<int>(k) >= cuts[layer]) ++layer;
    layer_of_op[static_cast<size_t>(s.ops[k])] = first + static_cast<int>(layer);
  }
}

// A sequence in the series-parallel graph, and how many layers it gets.
struct Leaf {
  Sequence sequence;
  int layers = 1;
};

void CollectLeaves(const ir::Module& module, const ForwardGraph& graph, const std::vector<ForwardPart>& parts,
                   std::vector<Leaf>& leaves) {
  for (const ForwardPart& part : parts) {
    if (part.branches.empty()) leaves.push_back({MakeSequence(module, graph, part.ops), 1});
    for (const auto& branch : part.branches) CollectLeaves(module, graph, branch, leaves);
  }
}

// Gives the leaves their natural numbers of layers, or `count` of them by their work. False: that is not possible.
bool ShareLayers(std::vector<Leaf>& leaves, const LayerOptions& options) {
  int sum = 0;
  if (options.count == 0) {
    for (Leaf& leaf : leaves) sum += leaf.layers = leaf.sequence.blocks.pieces();
    if (sum <= options.max_count) return true;
    for (Leaf& leaf : leaves) leaf.layers = 1;
  }
  const int count = options.count > 0 ? options.count : options.max_count;
  sum = static_cast<int>(leaves.size());
  if (sum > count) return false;
  for (; sum < count; ++sum) {
    Leaf* most = nullptr;
    double most_work = 0;
    for (Leaf& leaf : leaves) {
      const double work = WorkOf(leaf.sequence) / leaf.layers;
      if (leaf.layers == leaf.sequence.all.pieces() || work <= most_work) continue;
      most = &leaf;
      most_work = work;
    }
    if (most == nullptr) return options.count == 0;
    ++most->layers;
  }
  return true;
}

// The graph of the layers that the leaves, taken in order, got; numbers from `next` on.
LayerChain GraphOf(const std::vector<ForwardPart>& parts, const Leaf*& leaf, int& next) {
  LayerChain chain;
  for (const ForwardPart& part : parts) {
    if (part.branches.empty()) {
      for (int k = 0; k < leaf->layers; ++k) chain.items.push_back({next++, {}});
      ++leaf;
      continue;
    }
    LayerChain::Item item;
    for (const auto& branch : part.branches) item.branches.push_back(GraphOf(branch, leaf, next));
    chain.items.push_back(std::move(item));
  }
  return chain;
}

// Ops with no work in front of them go where they are first read.
void PlaceEarlyOps(const ir::Module& module, const ForwardGraph& graph, std::vector<int>& layer_of_op) {
  for (size_t k = graph.order.size(); k-- > 0;) {
    const OpId id = graph.order[k];
    if (!graph.early[static_cast<size_t>(id)]) continue;
    int first = std::numeric_limits<int>::max();
    for (const ir::ValueId v : module.op(id).results) {
      for (const OpId reader : graph.readers[static_cast<size_t>(v)]) {
        first = std::min(first, layer_of_op[static_cast<size_t>(reader)]);
      }
    }
    if (first != std::numeric_limits<int>::max()) layer_of_op[static_cast<size_t>(id)] = first;
  }
}

Error TooMany(int wanted, int possible) {
  return Error{Code::kInvalidArgument,
               fmt::format("{} layers wanted, but the forward pass has only {} between which it can be cut", wanted,
                           possible == 1 ? "1 part" : fmt::format("{} parts", possible)),
               fmt::format("ask for at most {}", possible)};
}

}  // namespace

Result<ForwardLayers> CutForward(const ir::Module& module, const ForwardGraph& graph, const LayerOptions& options) {
  if (options.count < 0 || options.max_count < 1) {
    return Error{Code::kInvalidArgument,
                 fmt::format("{} layers wanted, of at most {}", options.count, options.max_count),
                 "give a number of layers of at least 1"};
  }
  Sequence chain = MakeSequence(module, graph, graph.order);
  if (options.count > chain.all.pieces()) return TooMany(options.count, chain.all.pieces());
  const int count = options.count > 0 ? options.count : NaturalCount(chain, options.max_count);
  std::vector<ForwardPart> parts = {{graph.order, {}}};
  std::vector<Leaf> leaves;
  if (options.branches && count > 2) {
    parts = FindBranches(module, graph, graph.order, kWorthABranch * WorkOf(chain) / count);
    CollectLeaves(module, graph, parts, leaves);
  }
  // Branches that start from a layer without work (of what they all read) are not worth it.
  if (leaves.size() < 2 || WorkOf(leaves[0].sequence) <= 0 || !ShareLayers(leaves, options)) {
    parts = {{graph.order, {}}};
    leaves.clear();
    leaves.push_back({std::move(chain), count});
  }
  ForwardLayers out;
  out.layer_of_op.assign(module.ops.size(), -1);
  const Leaf* leaf = leaves.data();
  out.graph = GraphOf(parts, leaf, out.count);
  int first = 0;
  for (const Leaf& l : leaves) {
    Assign(l.sequence, CutInto(l.sequence, l.layers, options.imbalance), first, out.layer_of_op);
    first += l.layers;
  }
  PlaceEarlyOps(module, graph, out.layer_of_op);
  return out;
}

}  // namespace alpa::frontend
