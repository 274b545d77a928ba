#include "alpa/frontend/recompute.h"

#include <set>

namespace alpa::frontend {
namespace {

using ir::OpId;

bool GivesTheSameAgain(const ir::Op& op) {
  if (op.kind == ir::OpKind::kRng || op.kind == ir::OpKind::kRngGetAndUpdateState) return false;
  const auto* call = std::get_if<ir::CustomCallAttr>(&op.attributes);
  return call == nullptr || !call->has_side_effect;
}

// The ops that the backward ops of one layer need again: those of the layer, and the copied ones, in order. `backward`:
// the layer's backward ops, ascending.
std::vector<OpId> OpsAgain(const ir::Module& module, const StepAnalysis& analysis, const Layering& layering,
                           const std::vector<char>& late, const std::vector<OpId>& backward) {
  const int layer = layering.layer_of_op[static_cast<size_t>(backward[0])];
  std::vector<OpId> stack = backward;
  std::set<OpId> again;
  while (!stack.empty()) {
    const ir::Op& op = module.op(stack.back());
    stack.pop_back();
    for (const ir::ValueId v : op.operands) {
      const OpId p = module.value(v).producer;
      const auto i = static_cast<size_t>(p);
      const bool forward = layering.layer_of_op[i] == layer && analysis.phases[i] == OpPhase::kForward &&
                           module.op(p).kind != ir::OpKind::kParameter && GivesTheSameAgain(module.op(p));
      const bool copied = layering.layer_of_op[i] == -1 && !late[i];
      if ((forward || copied) && again.insert(p).second) stack.push_back(p);
    }
  }
  return {again.begin(), again.end()};
}

}  // namespace

std::vector<char> CopiesOfCotangents(const ir::Module& module, const StepAnalysis& analysis, const Layering& layering) {
  std::vector<char> out(module.ops.size(), 0);
  for (size_t i = 0; i < out.size(); ++i) {
    if (layering.layer_of_op[i] != -1) continue;
    for (const ir::ValueId v : module.ops[i].operands) {
      const auto p = static_cast<size_t>(module.value(v).producer);
      const bool backward = layering.layer_of_op[p] >= 0 && analysis.phases[p] == OpPhase::kBackward;
      if (backward || out[p]) out[i] = 1;
    }
  }
  return out;
}

std::map<int, std::vector<OpId>> PlanRecomputation(const ir::Module& module, const StepAnalysis& analysis,
                                                   const Layering& layering, int first, int last) {
  std::map<int, std::vector<OpId>> backward;
  for (size_t i = 0; i < module.ops.size(); ++i) {
    const int layer = layering.layer_of_op[i];
    if (first <= layer && layer <= last && analysis.phases[i] == OpPhase::kBackward) {
      backward[layer].push_back(static_cast<OpId>(i));
    }
  }
  const std::vector<char> late = CopiesOfCotangents(module, analysis, layering);
  std::map<int, std::vector<OpId>> out;
  for (const auto& [layer, ops] : backward) out[layer] = OpsAgain(module, analysis, layering, late, ops);
  return out;
}

}  // namespace alpa::frontend
