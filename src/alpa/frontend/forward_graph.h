// The forward ops of a step in the order in which layers are cut from them.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/frontend/analyze_step.h"
#include "alpa/ir/module.h"

namespace alpa::frontend {

// Ops that depend on no input and draw no random numbers: constants, iotas, and what is computed from those alone.
// Every part of the step can have its own copy. Loops, calls, dots and convolutions are never free.
std::vector<char> FreeOps(const ir::Module& module);

struct ForwardGraph {
  std::vector<char> free;  // FreeOps, by OpId
  // Forward ops, neither free nor parameters, so that operands come first and what belongs together is adjacent: depth
  // first from the loss, longest way first; ops that make little of much come as soon as they can.
  std::vector<ir::OpId> order;
  std::vector<double> work;  // by OpId: FLOPs of dots and convolutions (of all ops where the model has neither)
  // By OpId: a forward op with no work in front of it (embeddings, masks, conversions of weights). It belongs where it
  // is read first, wherever it stands in `order`.
  std::vector<char> early;
  std::vector<std::vector<ir::OpId>> readers;  // by ValueId: the forward ops that read it

  bool contains(ir::OpId op) const { return forward[static_cast<size_t>(op)] != 0; }
  std::vector<char> forward;  // by OpId: it is in `order`
};

// Time linear in the size of the module.
ForwardGraph MakeForwardGraph(const ir::Module& module, const StepAnalysis& analysis);

}  // namespace alpa::frontend
