// The slices of a transfer: what each shard of the source has in common with each shard of the target.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/cluster/mesh.h"
#include "alpa/ir/shape.h"
#include "alpa/sharding/spec.h"

namespace alpa::reshard {

struct Block {
  std::vector<int64_t> start, extent;
  int64_t elements() const;
  bool operator==(const Block&) const = default;
};

// The different shards of an array, and who holds each. Shard i is at (i / .., ..) of the grid `parts`, row-major.
struct Shards {
  std::vector<int64_t> parts;             // per dimension: into how many it is cut
  std::vector<int64_t> extent;            // of every shard
  std::vector<std::vector<int>> holders;  // per shard, ascending
};
Shards ShardsOf(const sharding::Spec& spec, const ir::Shape& shape, const cluster::Mesh& mesh);

struct Slice {
  int from = 0;  // number of the shard of the source
  Block block;
};
// The slices that make up shard `to` of the target, in row-major order; no two overlap. All extents are positive.
std::vector<Slice> SlicesOf(const Shards& source, const Shards& target, int to);

// The block in about n parts, none empty, that differ by at most one row in each dimension that is cut: along the
// outermost dimension that n divides (long runs of memory), or else along the largest first. Fewer than n parts where
// the block does not give n.
std::vector<Block> CutBlock(const Block& block, int64_t n);

}  // namespace alpa::reshard
