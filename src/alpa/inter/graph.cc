#include "alpa/inter/graph.h"

#include <algorithm>
#include <string>

#include "alpa/base/result.h"

namespace alpa::inter {
namespace {

// Adds `chain` and all inside it; the number it got. `next` is the first layer that has not been seen.
int AddChain(const Chain& chain, bool ends_graph, int* next, FlatGraph* graph) {
  ALPA_CHECK(!chain.items.empty(), "a chain of layers without any");
  const int number = static_cast<int>(graph->chains.size());
  graph->chains.emplace_back();
  graph->chains[number].ends_graph = ends_graph;
  for (size_t i = 0; i < chain.items.size(); ++i) {
    const Chain::Item& item = chain.items[i];
    FlatChain::Item flat;
    flat.first = *next;
    if (item.branches.empty()) {
      ALPA_CHECK(item.layer == *next,
                 "layer " + std::to_string(item.layer) + " where " + std::to_string(*next) + " should be");
      ++*next;
    }
    ALPA_CHECK(item.branches.size() != 1, "a block with one branch");
    for (const Chain& branch : item.branches) {
      flat.branches.push_back(AddChain(branch, ends_graph && i + 1 == chain.items.size(), next, graph));
    }
    flat.last = *next - 1;
    graph->chains[number].items.push_back(flat);
  }
  return number;
}

// For each chain the places where stages that end behind a block can begin.
void FindCrossings(FlatGraph* graph) {
  for (FlatChain& chain : graph->chains) {
    for (int i = 0; i + 1 < chain.size(); ++i) {
      const FlatChain::Item& item = chain.items[static_cast<size_t>(i)];
      if (item.branches.empty()) continue;
      const FlatChain& last = graph->chains[static_cast<size_t>(item.branches.back())];
      for (int j = 0; j < last.size(); ++j) chain.crossings.push_back({i, j, last.items[static_cast<size_t>(j)].first});
    }
  }
}

// Links the stages of the items in front of `end` of a chain to those in `following`, which read from there; the stages
// at its beginning.
std::vector<int> Link(const FlatGraph& graph, int chain, int end, const std::vector<int>& stage_of_layer,
                      std::vector<int> following, std::vector<Stage>* stages) {
  const std::vector<FlatChain::Item>& items = graph.chains[chain].items;
  for (int i = end - 1; i >= 0; --i) {
    const int number = stage_of_layer[items[i].last];
    Stage& stage = (*stages)[number];
    int crossed = 0;  // items of the last branch that stay apart from a stage that crosses into it
    bool crosses = false;
    if (stage.first <= items[i].first && stage.last == items[i].last) {
      const int from = i;
      while (i > 0 && items[i].first > stage.first) --i;
      stage.next = std::move(following);
      following = {number};
      if (items[i].first == stage.first) continue;
      crosses = i < from && !items[i].branches.empty();
      ALPA_CHECK(crosses, "a stage that is no range of a chain");
      const FlatChain& last = graph.chains[items[i].branches.back()];
      while (crossed < last.size() && last.items[crossed].first < stage.first) ++crossed;
      ALPA_CHECK(crossed < last.size() && last.items[crossed].first == stage.first,
                 "a stage that is no range of a chain");
    }
    ALPA_CHECK(crosses || (!items[i].branches.empty() && stage.first > items[i].first),
               "a stage that is no range of a chain");
    std::vector<int> heads;
    for (const int branch : items[i].branches) {
      const bool partly = crosses && branch == items[i].branches.back();
      const int size = partly ? crossed : graph.chains[branch].size();
      const std::vector<int> of_branch = Link(graph, branch, size, stage_of_layer, following, stages);
      heads.insert(heads.end(), of_branch.begin(), of_branch.end());
    }
    following = std::move(heads);
  }
  return following;
}

}  // namespace

FlatGraph Flatten(const Chain& graph, int layers) {
  FlatGraph flat;
  int next = 0;
  AddChain(graph, true, &next, &flat);
  ALPA_CHECK(next == layers, "the graph has other layers than the problem");
  FindCrossings(&flat);
  return flat;
}

void LinkStages(const FlatGraph& graph, std::vector<Stage>* stages) {
  std::vector<int> stage_of_layer(static_cast<size_t>(graph.chains[0].items.back().last) + 1, -1);
  for (size_t s = 0; s < stages->size(); ++s) {
    for (int layer = (*stages)[s].first; layer <= (*stages)[s].last; ++layer) {
      ALPA_CHECK(stage_of_layer.at(layer) < 0, "a layer in two stages");
      stage_of_layer[layer] = static_cast<int>(s);
    }
  }
  ALPA_CHECK(std::find(stage_of_layer.begin(), stage_of_layer.end(), -1) == stage_of_layer.end(),
             "a layer that is in no stage");
  Link(graph, 0, graph.chains[0].size(), stage_of_layer, {}, stages);
}

std::vector<int> StageDepths(const std::vector<Stage>& stages) {
  std::vector<int> depth(stages.size(), 1);
  for (size_t i = stages.size(); i-- > 0;) {
    for (const int next : stages[i].next) {
      ALPA_CHECK(next > static_cast<int>(i), "stages that are not in the order of their layers");
      depth[i] = std::max(depth[i], depth[next] + 1);
    }
  }
  return depth;
}

}  // namespace alpa::inter
