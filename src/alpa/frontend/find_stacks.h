// Which values of a step can be taken apart along their first dimension.
#pragma once

#include <vector>

#include "alpa/ir/module.h"
#include "alpa/ir/step.h"

namespace alpa::frontend {

// By ValueId: it is a stacked parameter (see UnstackParameters), or lies on the way from one to its next value.
std::vector<char> FindStacks(const ir::Module& module, const ir::StepSignature& signature);

}  // namespace alpa::frontend
