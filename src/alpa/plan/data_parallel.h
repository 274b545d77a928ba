// The simplest plan: the batch is split, the state is copied.
#pragma once

#include "alpa/base/result.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"
#include "alpa/plan/plan.h"

namespace alpa::plan {

// Splits dimension batch_dims[i] of each batch input over a 1-D mesh of `devices` and replicates everything else
// (batch_dims[i] < 0: that input has no batch dimension and is replicated). Outputs are replicated, results with a
// batch dimension too. kInvalidArgument when a batch is not divisible (names the input and the counts that would work)
// or `devices` is not in 1 .. cluster::kMaxDevices.
Result<Plan> MakeDataParallel(const ir::Module& module, const ir::StepSignature& signature,
                              const std::vector<int>& batch_dims, int64_t devices);

}  // namespace alpa::plan
