// Ways to run a step on the devices of this machine, priced.
#pragma once

#include <filesystem>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/driver/choose_plan.h"
#include "alpa/driver/load_step.h"

namespace alpa::driver {

// All candidates of ChoosePlan with their predictions, the step as it is on one device first. Plans that are more than
// a number of devices are written into `folder`, which exists. Ways that do not exist for this step are left out; kIo
// when a plan cannot be written, errors of the cluster.
Result<std::vector<PlanChoice>> PlanCandidates(const LoadedStep& loaded, const ChooseOptions& options,
                                               const std::filesystem::path& folder);

}  // namespace alpa::driver
