#include "alpa/reshard/slices.h"

#include <algorithm>
#include <numeric>

namespace alpa::reshard {
namespace {

// Calls visit(at) for each point of the box [low, high), row-major. The box is not empty; rank 0 is one point.
template <typename Visit>
void ForEachPoint(const std::vector<int64_t>& low, const std::vector<int64_t>& high, Visit visit) {
  std::vector<int64_t> at = low;
  while (true) {
    visit(at);
    size_t d = at.size();
    while (d > 0 && ++at[d - 1] == high[d - 1]) {
      at[d - 1] = low[d - 1];
      --d;
    }
    if (d == 0) return;
  }
}

// Into how many parts each dimension is cut so that there are n: exact divisors of n where that gives n parts,
// otherwise as many as the largest dimension has.
std::vector<int64_t> CutsPerDim(const std::vector<int64_t>& extent, int64_t n) {
  std::vector<int64_t> cuts(extent.size(), 1);
  for (size_t d = 0; d < extent.size(); ++d) {
    if (extent[d] % n != 0) continue;
    cuts[d] = n;
    return cuts;
  }
  std::vector<size_t> order(extent.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return extent[a] > extent[b]; });
  int64_t left = n;
  for (const size_t d : order) {
    int64_t divisor = std::min(extent[d], left);
    while (left % divisor != 0) --divisor;
    cuts[d] = divisor;
    left /= divisor;
  }
  if (left > 1 && !order.empty() && n / left < extent[order[0]]) {  // a prime number of parts, say
    std::fill(cuts.begin(), cuts.end(), 1);
    cuts[order[0]] = std::min(extent[order[0]], n);
  }
  return cuts;
}

}  // namespace

int64_t Block::elements() const {
  return std::accumulate(extent.begin(), extent.end(), int64_t{1}, std::multiplies<>());
}

Shards ShardsOf(const sharding::Spec& spec, const ir::Shape& shape, const cluster::Mesh& mesh) {
  Shards out;
  out.extent = sharding::ShardShape(spec, shape, mesh).dims;
  int64_t count = 1;
  for (int d = 0; d < shape.rank(); ++d) {
    out.parts.push_back(sharding::Parts(spec, d, mesh));
    count *= out.parts.back();
  }
  out.holders.resize(static_cast<size_t>(count));
  for (int device = 0; device < mesh.size(); ++device) {
    const std::vector<int64_t> start = sharding::ShardStart(spec, shape, mesh, device);
    int64_t shard = 0;
    for (size_t d = 0; d < start.size(); ++d) shard = shard * out.parts[d] + start[d] / out.extent[d];
    out.holders[static_cast<size_t>(shard)].push_back(device);
  }
  return out;
}

std::vector<Slice> SlicesOf(const Shards& source, const Shards& target, int to) {
  const size_t rank = target.parts.size();
  std::vector<int64_t> begin(rank);  // of the target's shard, in elements
  std::vector<int64_t> low(rank);    // the source's shards that it touches, by their position in the grid
  std::vector<int64_t> high(rank);
  int64_t rest = to;
  for (size_t d = rank; d-- > 0;) {
    begin[d] = rest % target.parts[d] * target.extent[d];
    rest /= target.parts[d];
    low[d] = begin[d] / source.extent[d];
    high[d] = (begin[d] + target.extent[d] - 1) / source.extent[d] + 1;
  }
  std::vector<Slice> out;
  ForEachPoint(low, high, [&](const std::vector<int64_t>& at) {
    Slice slice{0, {std::vector<int64_t>(rank), std::vector<int64_t>(rank)}};
    int64_t from = 0;
    for (size_t d = 0; d < rank; ++d) {
      from = from * source.parts[d] + at[d];
      slice.block.start[d] = std::max(begin[d], at[d] * source.extent[d]);
      const int64_t end = std::min(begin[d] + target.extent[d], (at[d] + 1) * source.extent[d]);
      slice.block.extent[d] = end - slice.block.start[d];
    }
    slice.from = static_cast<int>(from);
    out.push_back(std::move(slice));
  });
  return out;
}

std::vector<Block> CutBlock(const Block& block, int64_t n) {
  if (n <= 1) return {block};
  const size_t rank = block.extent.size();
  const std::vector<int64_t> cuts = CutsPerDim(block.extent, n);
  std::vector<Block> out;
  ForEachPoint(std::vector<int64_t>(rank, 0), cuts, [&](const std::vector<int64_t>& at) {
    Block part{std::vector<int64_t>(rank), std::vector<int64_t>(rank)};
    for (size_t d = 0; d < rank; ++d) {
      const int64_t low = at[d] * block.extent[d] / cuts[d];
      const int64_t high = (at[d] + 1) * block.extent[d] / cuts[d];
      part.start[d] = block.start[d] + low;
      part.extent[d] = high - low;
    }
    out.push_back(std::move(part));
  });
  return out;
}

}  // namespace alpa::reshard
