#include "alpa/frontend/cut_forward.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "alpa/frontend/cut_chain.h"
#include "alpa/frontend/cut_places.h"

namespace alpa::frontend {
namespace {

using ir::OpId;

constexpr int kMaxPlaces = 4096;         // places looked at for natural borders
constexpr int kMaxPlacesToSearch = 512;  // that the dynamic program chooses from

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

// The places (positions) that cut `places` into `count` layers, if the bounds allow it.
std::optional<std::vector<int>> Cut(const CutPlaces& places, int count, double bound, double single_bound) {
  constexpr double kRounding = 1 + 1e-9;
  const auto cuts = CutChain({places.work, places.bytes, bound * kRounding, single_bound * kRounding}, count);
  if (!cuts.has_value()) return std::nullopt;
  std::vector<int> positions;
  for (const int cut : *cuts) positions.push_back(places.position[static_cast<size_t>(cut)]);
  return positions;
}

// Whole blocks where they are balanced enough, else smaller pieces.
std::vector<int> CutInto(const Sequence& s, int count, double imbalance) {
  const double total = std::accumulate(s.all.work.begin(), s.all.work.end(), 0.0);
  const double bound = (1 + imbalance) * total / count;
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
  const Sequence all = MakeSequence(module, graph, graph.order);
  if (options.count > all.all.pieces()) return TooMany(options.count, all.all.pieces());
  ForwardLayers out;
  out.layer_of_op.assign(module.ops.size(), -1);
  out.count = options.count > 0 ? options.count : NaturalCount(all, options.max_count);
  const bool natural = options.count == 0 && out.count == all.blocks.pieces();
  Assign(all, natural ? all.blocks.position : CutInto(all, out.count, options.imbalance), 0, out.layer_of_op);
  for (int layer = 0; layer < out.count; ++layer) out.graph.items.push_back({layer, {}});
  PlaceEarlyOps(module, graph, out.layer_of_op);
  return out;
}

}  // namespace alpa::frontend
