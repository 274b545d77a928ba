// Parallelizations that people write by hand, as restrictions on the specs of values.
#pragma once

#include <map>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/intra/candidates.h"
#include "alpa/intra/plan_step.h"

namespace alpa::intra {

// For each restricted value the numbers (in its SpecSpace) of the specs that `method` allows. Arrays that no axis
// divides stay copied. kInvalidArgument when no axis divides the batch and the method is to split it.
Result<std::map<ir::ValueId, std::vector<int>>> AllowedSpecs(Method method, const StepToPlan& step,
                                                             const CandidateTable& table, const cluster::Mesh& mesh);

}  // namespace alpa::intra
