// Layers of the forward pass.
#pragma once

#include <vector>

#include "alpa/base/result.h"
#include "alpa/frontend/forward_graph.h"
#include "alpa/frontend/layers.h"
#include "alpa/ir/module.h"

namespace alpa::frontend {

struct ForwardLayers {
  int count = 0;
  LayerChain graph;
  std::vector<int> layer_of_op;  // by OpId; -1: not a forward op, or free
};

// Cuts the forward ops into layers; see FindLayers for what is asked of them.
Result<ForwardLayers> CutForward(const ir::Module& module, const ForwardGraph& graph, const LayerOptions& options);

}  // namespace alpa::frontend
