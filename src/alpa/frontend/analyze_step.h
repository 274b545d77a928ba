// Everything the frontend finds out about a step.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/frontend/assign_roles.h"
#include "alpa/frontend/batch_dims.h"
#include "alpa/frontend/flops.h"
#include "alpa/frontend/microbatch.h"
#include "alpa/frontend/phases.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"

namespace alpa::frontend {

struct AnalyzeOptions {
  RoleOptions roles;
  std::optional<int> batch_dim;  // where the batch lies in the batch inputs; found out when not given
};

struct StepAnalysis {
  ir::StepSignature signature;
  BatchAnalysis batch;                // batch size, batch dimension of each input, where it lies in each value
  std::vector<OpPhase> phases;        // by OpId
  std::vector<FlopCount> flops;       // by OpId
  std::array<FlopCount, 3> by_phase;  // totals, by OpPhase
  Microbatching microbatching;

  // Per input of the module: its batch dimension, or -1.
  const std::vector<int>& batch_dims() const { return batch.input_dims; }
  const FlopCount& total(OpPhase phase) const { return by_phase[static_cast<size_t>(phase)]; }
  FlopCount total() const;
};

// Roles, batch dimensions, phases, FLOPs and obstacles to microbatching, in time linear in the size of the module (plus
// inputs x outputs where roles have to be found without donation). Errors are those of AssignRoles and AnalyzeBatch.
Result<StepAnalysis> AnalyzeStep(const ir::Module& module, const AnalyzeOptions& options);

}  // namespace alpa::frontend
