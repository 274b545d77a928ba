#include "alpa/frontend/layers.h"

#include <fmt/format.h>

#include <algorithm>

#include "alpa/frontend/cut_forward.h"
#include "alpa/frontend/forward_graph.h"
#include "alpa/frontend/layer_order.h"
#include "alpa/frontend/place_backward.h"
#include "alpa/frontend/place_update.h"

namespace alpa::frontend {
namespace {

using ir::OpId;
using ir::ValueId;

bool MaySpread(const ir::Op& op) { return op.kind == ir::OpKind::kBroadcast; }

std::vector<LayerContent> ContentsOf(const ir::Module& module, const StepAnalysis& analysis, const Layering& layering) {
  std::vector<LayerContent> out(static_cast<size_t>(layering.count));
  for (size_t i = 0; i < module.ops.size(); ++i) {
    const int layer = layering.layer_of_op[i];
    if (layer < 0) continue;
    LayerContent& content = out[static_cast<size_t>(layer)];
    if (analysis.phases[i] == OpPhase::kBackward) content.backward += analysis.flops[i].total();
    if (analysis.phases[i] != OpPhase::kForward || module.ops[i].kind == ir::OpKind::kParameter) continue;
    content.forward += analysis.flops[i].total();
    for (const ValueId v : module.ops[i].operands) {
      const int from = layering.layer_of_op[static_cast<size_t>(module.value(v).producer)];
      if (from >= 0 && from != layer && module.producer(v).kind != ir::OpKind::kParameter) content.from.push_back(from);
    }
  }
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    if (analysis.signature.inputs[i].role != ir::InputRole::kParameter) continue;
    const int owner = layering.layer_of_op[static_cast<size_t>(module.value(module.inputs[i]).producer)];
    out[static_cast<size_t>(owner)].parameters += module.shape(module.inputs[i]).bytes();
  }
  for (LayerContent& content : out) {
    std::sort(content.from.begin(), content.from.end());
    content.from.erase(std::unique(content.from.begin(), content.from.end()), content.from.end());
  }
  return out;
}

// Spreading a value over an array costs less than sending the array: ops that do so and that other layers read are
// copied like free ones (a mask for all heads, a scalar that every parameter's update divides by).
void CopySpreads(const ir::Module& module, std::vector<int>& layers) {
  std::vector<char> elsewhere(module.ops.size(), 0);  // another layer reads a result, maybe through copies
  for (size_t i = module.ops.size(); i-- > 0;) {
    const ir::Op& op = module.ops[i];
    if (elsewhere[i] && MaySpread(op) && layers[i] >= 0) layers[i] = -1;
    for (const ValueId v : op.operands) {
      const auto p = static_cast<size_t>(module.value(v).producer);
      if (layers[i] == -1 || layers[i] != layers[p]) elsewhere[p] = 1;
    }
  }
}

Result<Layering> Place(const ir::Module& module, const StepAnalysis& analysis, const ForwardGraph& graph,
                       const LayerOptions& options) {
  ALPA_TRY(ForwardLayers forward, CutForward(module, graph, options));
  Layering out;
  out.count = forward.count;
  out.graph = std::move(forward.graph);
  out.layer_of_op = std::move(forward.layer_of_op);
  const LayerOrder order(out.graph, out.count);
  PlaceBackward(module, analysis, graph.free, order, out.layer_of_op);
  PlaceUpdate(module, analysis, graph.free, out.count, out.layer_of_op);
  MoveToReaders(module, analysis, order, out.layer_of_op);
  for (size_t i = 0; i < module.ops.size(); ++i) {
    const bool input = module.ops[i].kind == ir::OpKind::kParameter;
    if (input || analysis.phases[i] == OpPhase::kUpdate) out.layer_of_op[i] = -1;
  }
  PlaceUpdate(module, analysis, graph.free, out.count, out.layer_of_op);
  CopySpreads(module, out.layer_of_op);
  out.weight_gradient = FindWeightGradients(module, analysis, out.layer_of_op);
  out.layers = ContentsOf(module, analysis, out);
  return out;
}

}  // namespace

Result<Layering> FindLayers(const ir::Module& module, const StepAnalysis& analysis, const LayerOptions& options) {
  const ForwardGraph graph = MakeForwardGraph(module, analysis);
  ALPA_TRY(Layering out, Place(module, analysis, graph, options));
  if (!options.branches || Verify(out, module, analysis).ok()) return out;
  // Values flow across the branches in a way that no order of the layers allows.
  LayerOptions chain = options;
  chain.branches = false;
  return Place(module, analysis, graph, chain);
}

Status Verify(const Layering& layering, const ir::Module& module, const StepAnalysis& analysis) {
  auto broken = [](const std::string& what) { return Error{Code::kInvalidInput, "layers: " + what, ""}; };
  if (layering.layer_of_op.size() != module.ops.size() || layering.weight_gradient.size() != module.ops.size() ||
      static_cast<int>(layering.layers.size()) != layering.count) {
    return broken("their number of entries differs from the module's");
  }
  const LayerOrder order(layering.graph, layering.count);
  for (int layer = 0; layer < layering.count; ++layer) {
    if (!order.Precedes(layer, layer)) return broken(fmt::format("layer {} is not in the graph", layer));
  }
  const std::vector<char> free = FreeOps(module);
  for (size_t i = 0; i < module.ops.size(); ++i) {
    const ir::Op& op = module.ops[i];
    const int layer = layering.layer_of_op[i];
    if (layer < -1 || layer >= layering.count || (layer != -1 && free[i]) ||
        (layer == -1 && !free[i] && !MaySpread(op))) {
      return broken(fmt::format("{} is in layer {}", Describe(module, op), layer));
    }
    if (layer == -1) continue;
    for (const ValueId v : op.operands) {
      const OpId p = module.value(v).producer;
      const int from = layering.layer_of_op[static_cast<size_t>(p)];
      const OpPhase phase = analysis.phases[i];
      if (from == -1 || module.op(p).kind == ir::OpKind::kParameter || analysis.phases[static_cast<size_t>(p)] != phase)
        continue;
      if ((phase == OpPhase::kForward && !order.Precedes(from, layer)) ||
          (phase == OpPhase::kBackward && !order.Precedes(layer, from))) {
        return broken(
            fmt::format("{} value flows from layer {} to {}, to {}", Name(phase), from, layer, Describe(module, op)));
      }
    }
  }
  return Ok();
}

}  // namespace alpa::frontend
