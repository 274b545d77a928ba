// The layer graph with its chains numbered, so that stages (ranges of items of one chain) have numbers too.
#pragma once

#include <vector>

#include "alpa/inter/problem.h"
#include "alpa/inter/search.h"

namespace alpa::inter {

struct FlatChain {
  struct Item {
    int first = 0, last = 0;    // layers
    std::vector<int> branches;  // chains; none: one layer
  };
  // Where a stage can begin that ends behind a block: at item `position` of the last branch of block `item`, which it
  // then has the rest of. (Layers of the last branch and those behind the block are a range.)
  struct Crossing {
    int item = 0, position = 0;
    int layer = 0;  // the stage's first
  };
  std::vector<Item> items;
  std::vector<Crossing> crossings;
  bool ends_graph = false;  // nothing comes behind its last item
  int size() const { return static_cast<int>(items.size()); }
  // Where stages begin: items, the end of the chain (size()), and behind that the crossings.
  int positions() const { return size() + 1 + static_cast<int>(crossings.size()); }
  const Crossing* CrossingAt(int position) const {
    return position <= size() ? nullptr : &crossings[static_cast<size_t>(position - size() - 1)];
  }
  // Whether a stage that ends in front of item `end` can begin at `position`.
  bool MayBegin(int position, int end) const {
    const Crossing* const crossing = CrossingAt(position);
    return crossing == nullptr ? position < end : crossing->item + 1 < end;
  }
  int FirstLayer(int position) const {
    const Crossing* const crossing = CrossingAt(position);
    return crossing == nullptr ? items[static_cast<size_t>(position)].first : crossing->layer;
  }
};

// Chains come before those inside them; chain 0 is the whole graph.
struct FlatGraph {
  std::vector<FlatChain> chains;
};

// Checks that the layers are 0 .. layers - 1 in order, that blocks have at least two branches and no chain is empty.
FlatGraph Flatten(const Chain& graph, int layers);

// Whether items begin .. end - 1 of the chain are a stage that nothing reads from.
inline bool IsSink(const FlatChain& chain, int end) { return chain.ends_graph && end == chain.size(); }

// Sets Stage::next. The stages' layers have to partition the graph as inter::LinkStages says.
void LinkStages(const FlatGraph& graph, std::vector<Stage>* stages);

// Longest number of stages from each one to the end of the graph, itself included. Needs `next`.
std::vector<int> StageDepths(const std::vector<Stage>& stages);

}  // namespace alpa::inter
