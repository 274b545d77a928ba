#include "alpa/frontend/layer_order.h"

#include <algorithm>

namespace alpa::frontend {
namespace {

// Appends the layers of `chain`; `mark(a, b)` for each pair in order.
template <typename Mark>
void Walk(const LayerChain& chain, std::vector<int>& layers, Mark mark) {
  std::vector<int> before;
  for (const LayerChain::Item& item : chain.items) {
    std::vector<int> mine;
    if (item.branches.empty()) mine.push_back(item.layer);
    for (const LayerChain& branch : item.branches) {
      std::vector<int> inner;
      Walk(branch, inner, mark);
      mine.insert(mine.end(), inner.begin(), inner.end());
    }
    for (const int b : mine) {
      for (const int a : before) mark(a, b);
    }
    before.insert(before.end(), mine.begin(), mine.end());
  }
  layers.insert(layers.end(), before.begin(), before.end());
}

}  // namespace

LayerOrder::LayerOrder(const LayerChain& graph, int count)
    : count_(count), before_(static_cast<size_t>(count) * static_cast<size_t>(count), 0) {
  auto mark = [&](int a, int b) {
    before_[static_cast<size_t>(a) * static_cast<size_t>(count) + static_cast<size_t>(b)] = 1;
  };
  std::vector<int> layers;
  Walk(graph, layers, mark);
  for (const int layer : layers) mark(layer, layer);
}

int LayerOrder::Meet(int a, int b) const {
  for (int layer = std::min(a, b); layer >= 0; --layer) {
    if (Precedes(layer, a) && Precedes(layer, b)) return layer;
  }
  return -1;
}

}  // namespace alpa::frontend
