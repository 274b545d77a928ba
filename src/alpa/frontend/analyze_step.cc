#include "alpa/frontend/analyze_step.h"

namespace alpa::frontend {

FlopCount StepAnalysis::total() const {
  FlopCount sum;
  for (const FlopCount& count : by_phase) sum += count;
  return sum;
}

Result<StepAnalysis> AnalyzeStep(const ir::Module& module, const AnalyzeOptions& options) {
  StepAnalysis out;
  ALPA_TRY(out.signature, AssignRoles(module, options.roles));
  ALPA_TRY(out.batch, AnalyzeBatch(module, RolesOf(out.signature), BatchOptions{{}, options.batch_dim}));
  out.phases = AssignPhases(module, out.signature, out.batch);
  out.flops = CountFlops(module);
  for (size_t i = 0; i < out.flops.size(); ++i) out.by_phase[static_cast<size_t>(out.phases[i])] += out.flops[i];
  out.microbatching = FindObstacles(module, out.signature, out.batch);
  return out;
}

}  // namespace alpa::frontend
