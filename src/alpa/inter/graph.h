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
  std::vector<Item> items;
  bool ends_graph = false;  // nothing comes behind its last item
  int size() const { return static_cast<int>(items.size()); }
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
