// Which layer lies on the way to which.
#pragma once

#include <cstddef>
#include <vector>

#include "alpa/frontend/layers.h"

namespace alpa::frontend {

// The partial order that a layer graph is: in a chain the earlier item comes before the later one, branches of one
// block are not ordered. Memory: count x count bytes.
class LayerOrder {
 public:
  LayerOrder(const LayerChain& graph, int count);
  // `a` is `b`, or forward values may flow from `a` to `b`.
  bool Precedes(int a, int b) const {
    return before_[static_cast<size_t>(a) * static_cast<size_t>(count_) + static_cast<size_t>(b)] != 0;
  }
  // The latest layer that precedes both; -1: there is none (branches that start from the inputs).
  int Meet(int a, int b) const;
  int count() const { return count_; }

 private:
  int count_;
  std::vector<char> before_;
};

}  // namespace alpa::frontend
