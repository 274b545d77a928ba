// Boxes of an array: what of it a device holds, or a process writes or reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/shape.h"
#include "alpa/sharding/spec.h"

namespace alpa::sharding {

// The elements start[d] <= i < start[d] + extent[d] in each dimension d of an array. Of a scalar: no dimensions.
struct Block {
  std::vector<int64_t> start;
  std::vector<int64_t> extent;

  bool operator==(const Block&) const = default;
};

// All of an array of this shape.
Block WholeBlock(const ir::Shape& shape);
// How many elements it has; 1 without dimensions.
int64_t Elements(const Block& block);
// Whether the block has the shape's rank and lies in it.
bool LiesIn(const Block& block, const ir::Shape& shape);
// What two blocks of one array have in common; nothing when that has no elements.
std::optional<Block> Intersect(const Block& a, const Block& b);
// As NumPy writes it: "[0:4,8:16]"; "[]" without dimensions.
std::string ToString(const Block& block);

// That the blocks lie in an array of this shape and hold each of its elements exactly once. kInvalidInput says what is
// missing or there twice; the caller knows where. Takes time quadratic in the number of blocks.
Status CheckCovers(const std::vector<Block>& blocks, const ir::Shape& shape);

// A block and the devices of the mesh that hold it, ascending.
struct HeldBlock {
  Block block;
  std::vector<int64_t> devices;

  bool operator==(const HeldBlock&) const = default;
};

// The different blocks of an array that lies on `mesh` as `spec` says, in the order of the first device that holds
// each. CheckCovers holds for them.
std::vector<HeldBlock> HeldBlocks(const ir::Shape& shape, const Spec& spec, const cluster::Mesh& mesh);

// A block and the one device that is to write it.
struct OwnedBlock {
  Block block;
  int64_t device = 0;  // of the mesh

  bool operator==(const OwnedBlock&) const = default;
};

// The blocks of array number `number` of several, each with one owner among the devices that hold it. Which one changes
// from array to array, so that copies of small arrays do not all fall to the first device.
std::vector<OwnedBlock> OwnedBlocks(size_t number, const ir::Shape& shape, const Spec& spec, const cluster::Mesh& mesh);

}  // namespace alpa::sharding
