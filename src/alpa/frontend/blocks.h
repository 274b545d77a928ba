// Arithmetic of equal, contiguous blocks along a dimension, and what reshapes do to them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace alpa::frontend {

// `parts` equal blocks along dimension `dim`.
struct Blocks {
  int dim = -1;
  int64_t parts = 1;
  bool operator==(const Blocks&) const = default;
};

// Where blocks of an array of extents `from` lie when it is reshaped to `to`: as many of them as stay contiguous along
// one dimension. [16,32] in 16 parts -> [512] in 16 parts -> [8,64] in 8 parts. Nothing when the blocks are not
// contiguous any more ([4,16] with blocks along dimension 1 -> [64]).
std::optional<Blocks> ReshapeBlocks(const std::vector<int64_t>& from, const std::vector<int64_t>& to, Blocks blocks);

// For each dimension d of `from`, repeats[d] says that the array consists of that many equal copies along d (1: no
// repetition; the extent: the same everywhere). Returns the same for the reshaped array, 1 where it cannot tell.
std::vector<int64_t> ReshapeRepeats(const std::vector<int64_t>& from, const std::vector<int64_t>& to,
                                    const std::vector<int64_t>& repeats);

}  // namespace alpa::frontend
