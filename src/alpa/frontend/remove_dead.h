// Ops that nothing needs.
#pragma once

#include "alpa/ir/module.h"

namespace alpa::frontend {

// `module` without the ops that no output depends on. Parameters and ops with side effects stay.
ir::Module RemoveDeadOps(const ir::Module& module);

}  // namespace alpa::frontend
