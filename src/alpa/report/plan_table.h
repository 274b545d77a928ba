// What a plan decided, where its time goes, and what other ways would have cost: for the terminal.
#pragma once

#include <optional>
#include <string>

#include "alpa/cost/model.h"
#include "alpa/intra/plan_step.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"

namespace alpa::report {

// Summary, largest arrays, most expensive operations, collectives. `limit`: bytes per device that the plan had to keep
// to, absent: none.
std::string PlanText(const ir::Module& module, const ir::StepSignature& signature, const cost::Model& model,
                     const intra::PlannedStep& planned, std::optional<Bytes> limit);

// The same as JSON (without the plan itself).
std::string PlanJson(const ir::Module& module, const cost::Model& model, const intra::PlannedStep& planned);

}  // namespace alpa::report
