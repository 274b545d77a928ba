// Copies of blocks between arrays in host memory: prepared once, run for each microbatch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "alpa/reshard/transfer.h"

namespace alpa::reshard {

// One block from one dense row-major array to another, in bytes: `run` bytes at a time, over dimensions outermost
// first. Dimensions that continue each other in both arrays are one: a block of whole rows is a single run.
struct BlockCopy {
  struct Dim {
    int64_t count = 1;
    int64_t from_stride = 0, to_stride = 0;
    bool operator==(const Dim&) const = default;
  };
  int64_t from_offset = 0, to_offset = 0;
  int64_t run = 0;  // 0: nothing to copy
  std::vector<Dim> dims;

  // The arrays do not overlap. No allocation; nearly the speed of memcpy for runs of a few hundred bytes on.
  void Run(const std::byte* from, std::byte* to) const;
  bool operator==(const BlockCopy&) const = default;
};

// Where a shard lies in the whole array.
struct Window {
  std::vector<int64_t> start, extent;
};

// The block [start, start + extent) of the whole array, from one shard that holds it to another. Elements have
// `element_bytes` bytes.
BlockCopy PrepareCopy(const Window& from, const Window& to, const std::vector<int64_t>& start,
                      const std::vector<int64_t>& extent, int64_t element_bytes);

// A transfer made ready for arrays in host memory.
struct PreparedCopy {
  int from = 0, to = 0;  // devices, as in Copy
  BlockCopy block;
};
struct PreparedTransfer {
  std::vector<PreparedCopy> across, local;  // copy by copy those of the transfer
};
PreparedTransfer Prepare(const Transfer& transfer);

// Executes all copies, one after the other. `source` and `target`: the shard of each device, dense and row-major;
// no two overlap. Afterwards every shard of the target is complete.
void Run(const PreparedTransfer& transfer, std::span<const std::byte* const> source,
         std::span<std::byte* const> target);

}  // namespace alpa::reshard
