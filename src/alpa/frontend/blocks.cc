#include "alpa/frontend/blocks.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace alpa::frontend {
namespace {

// prefix[d]: product of the extents before d; suffix[d]: of those behind d.
struct Products {
  explicit Products(const std::vector<int64_t>& dims) : prefix(dims.size(), 1), suffix(dims.size(), 1) {
    for (size_t d = 1; d < dims.size(); ++d) prefix[d] = prefix[d - 1] * dims[d - 1];
    for (size_t d = dims.size(); d-- > 1;) suffix[d - 1] = suffix[d] * dims[d];
  }
  std::vector<int64_t> prefix, suffix;
};

bool IsEmpty(const std::vector<int64_t>& dims) { return std::find(dims.begin(), dims.end(), 0) != dims.end(); }

// Dimension k of `to` starts where dimension `first` of `from` starts: the copies along it are those of `first` and, as
// far as the outer ones are the same everywhere, of the dimensions that k swallows.
int64_t RepeatsOfMerged(const std::vector<int64_t>& from, const std::vector<int64_t>& repeats, size_t first,
                        int64_t size, int64_t extent) {
  int64_t copies = 1;
  for (size_t d = first; d < from.size() && size > 1; ++d) {
    copies *= repeats[d];
    if (repeats[d] != from[d]) break;
    size /= from[d];
  }
  return std::gcd(copies, extent);
}

// Dimension k of `to` lies inside dimension d of `from`, whose copies are `period` elements long.
int64_t RepeatsOfInner(int64_t period, int64_t extent, int64_t suffix) {
  if (suffix % period == 0) return extent;
  if (period % suffix == 0 && (extent * suffix) % period == 0) return extent * suffix / period;
  return 1;
}

}  // namespace

std::optional<Blocks> ReshapeBlocks(const std::vector<int64_t>& from, const std::vector<int64_t>& to, Blocks blocks) {
  if (IsEmpty(from)) return std::nullopt;
  const auto dim = static_cast<size_t>(blocks.dim);
  const Products source(from);
  const Products target(to);
  std::optional<Blocks> best;
  for (size_t k = 0; k < to.size(); ++k) {
    if (target.prefix[k] != source.prefix[dim]) continue;
    // A block of size/parts elements must be whole rows of dimension k.
    const int64_t parts = std::gcd(blocks.parts, to[k]);
    if (!best.has_value() || parts > best->parts) best = Blocks{static_cast<int>(k), parts};
  }
  if (best.has_value() && best->parts == 1 && blocks.parts > 1) return std::nullopt;
  return best;
}

std::vector<int64_t> ReshapeRepeats(const std::vector<int64_t>& from, const std::vector<int64_t>& to,
                                    const std::vector<int64_t>& repeats) {
  const Products source(from);
  const Products target(to);
  std::vector<int64_t> out(to.size(), 1);
  if (IsEmpty(from)) return out;
  for (size_t k = 0; k < to.size(); ++k) {
    for (size_t d = 0; d < from.size(); ++d) {
      const int64_t begin = source.prefix[d];
      if (begin == target.prefix[k] && from[d] > 1) {
        out[k] = RepeatsOfMerged(from, repeats, d, to[k] * target.suffix[k], to[k]);
        break;
      }
      const bool inside = begin < target.prefix[k] && target.prefix[k] < begin * from[d] &&
                          source.suffix[d] <= target.suffix[k] && target.prefix[k] % begin == 0;
      if (inside) {
        const int64_t period = from[d] / repeats[d] * source.suffix[d];
        out[k] = RepeatsOfInner(period, to[k], target.suffix[k]);
        break;
      }
    }
    if (to[k] == 1) out[k] = 1;
  }
  return out;
}

}  // namespace alpa::frontend
