// The layers of the backward pass.
#pragma once

#include <vector>

#include "alpa/frontend/analyze_step.h"
#include "alpa/frontend/layer_order.h"
#include "alpa/ir/module.h"

namespace alpa::frontend {

// By OpId: the forward op that a backward op computes again (jax.checkpoint), -1 for all others. An optimization
// barrier stands for its operands.
std::vector<ir::OpId> FindRecomputed(const ir::Module& module, const StepAnalysis& analysis);

// Fills in the layers of backward ops. On entry `layer_of_op` holds those of forward ops, -1 elsewhere; `free` as
// FreeOps. Rules (see FindLayers for the short form):
//   A layer touches the forward values it computes or reads, and the inputs its forward ops read. A backward op goes to
//   the latest layer not behind its cotangents that touches all that it reads of the forward pass.
//   What follows from values of the forward pass alone (derivatives of activations, recomputed ops) is no cotangent:
//   it goes where it is read, and a recomputed op into the layer it recomputes or, if it is read behind that, there.
// Between backward ops values flow only to the same or earlier layers.
void PlaceBackward(const ir::Module& module, const StepAnalysis& analysis, const std::vector<char>& free,
                   const LayerOrder& order, std::vector<int>& layer_of_op);

// Moves backward ops that read cotangents alone (a reshape, a spread, the sum that is a bias's gradient) to an earlier
// layer that reads what they give, where fewer bytes cross borders then. On entry everything has its layer.
void MoveToReaders(const ir::Module& module, const StepAnalysis& analysis, const LayerOrder& order,
                   std::vector<int>& layer_of_op);

// By OpId: backward ops that no value depends on which another layer's backward ops read.
std::vector<char> FindWeightGradients(const ir::Module& module, const StepAnalysis& analysis,
                                      const std::vector<int>& layer_of_op);

}  // namespace alpa::frontend
