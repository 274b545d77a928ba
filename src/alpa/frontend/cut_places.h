// Where a sequence of forward ops can be cut, and which of these places are natural borders of layers.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/frontend/forward_graph.h"
#include "alpa/ir/module.h"

namespace alpa::frontend {

// A sequence of forward ops as work in pieces, with one place to cut between each two: of all places between two ops
// that do work, the one that least bytes flow through.
struct CutPlaces {
  std::vector<double> work;       // of each piece; one more entry than there are places
  std::vector<int> position;      // by place: how many ops of the sequence lie in front of it
  std::vector<int64_t> bytes;     // by place: bytes of the values that come from before it and are read behind it
  std::vector<int64_t> largest;   // by place: bytes of the largest one of them
  std::vector<uint64_t> content;  // by piece: hash of its ops that do work
  std::vector<int> workers;       // by piece: ops that do work

  int pieces() const { return static_cast<int>(work.size()); }
};

// The places of `ops`, a part of graph.order; at most `max_places` of them. A value that comes from outside counts from
// where it is first read, inputs of the step do not count.
CutPlaces FindCutPlaces(const ir::Module& module, const ForwardGraph& graph, const std::vector<ir::OpId>& ops,
                        int max_places);

// Joins neighbouring pieces such that only the places `kept` (ascending) are left.
CutPlaces Coarsen(const CutPlaces& places, const std::vector<int>& kept);

// Places where one value flows, or less than at the places nearby: borders of half or whole blocks. As numbers of
// places, ascending.
std::vector<int> NarrowPlaces(const CutPlaces& places);

// Of places that are all narrow those that separate whole blocks: pieces that come again at a fixed distance are
// one block, what stands before the first block or behind the last (embedding, head) belongs to it. As numbers of
// places, ascending.
std::vector<int> BlockPlaces(const CutPlaces& narrow);

}  // namespace alpa::frontend
