// The dynamic program that cuts a chain of pieces into layers (Alpa §5.2).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace alpa::frontend {

struct ChainToCut {
  std::vector<double> work;    // of each piece
  std::vector<int64_t> bytes;  // that flow from piece p to p + 1; one entry less
  // A layer of several pieces has at most this much work; one of a single piece at most `single_bound`.
  double bound = 0;
  double single_bound = 0;
};

// `count` >= 1 runs of pieces, none empty, within the bounds, such that least bytes flow over the cuts together, and
// among those with the least sum of squares of their work. Returns the cuts as numbers of the pieces in front of them,
// ascending; nothing when there is no such way. Time O(count n w) for n pieces, w of which fit into one layer.
std::optional<std::vector<int>> CutChain(const ChainToCut& chain, int count);

// The least work that the largest of `count` runs can have. Time O(n log(range)).
double LeastLargest(const std::vector<double>& work, int count);

}  // namespace alpa::frontend
