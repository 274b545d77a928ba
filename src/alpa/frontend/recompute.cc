#include "alpa/frontend/recompute.h"

namespace alpa::frontend {
namespace {

bool GivesTheSameAgain(const ir::Op& op) {
  if (op.kind == ir::OpKind::kRng || op.kind == ir::OpKind::kRngGetAndUpdateState) return false;
  const auto* call = std::get_if<ir::CustomCallAttr>(&op.attributes);
  return call == nullptr || !call->has_side_effect;
}

}  // namespace

std::map<int, std::vector<ir::OpId>> PlanRecomputation(const ir::Module& module, const StepAnalysis& analysis,
                                                       const Layering& layering, int first, int last) {
  std::map<int, std::vector<ir::OpId>> out;
  std::vector<char> again(module.ops.size(), 0);
  // Backward ops read forward ops, and these only forward ops in front of them: one pass from the back suffices.
  for (size_t i = module.ops.size(); i-- > 0;) {
    const int layer = layering.layer_of_op[i];
    if (layer < first || layer > last || (analysis.phases[i] != OpPhase::kBackward && !again[i])) continue;
    for (const ir::ValueId v : module.ops[i].operands) {
      const auto p = static_cast<size_t>(module.value(v).producer);
      const ir::Op& producer = module.ops[p];
      again[p] = again[p] || (layering.layer_of_op[p] == layer && analysis.phases[p] == OpPhase::kForward &&
                              producer.kind != ir::OpKind::kParameter && GivesTheSameAgain(producer));
    }
  }
  for (size_t i = 0; i < again.size(); ++i) {
    if (again[i]) out[layering.layer_of_op[i]].push_back(static_cast<ir::OpId>(i));
  }
  return out;
}

}  // namespace alpa::frontend
