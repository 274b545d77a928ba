// From a cleaned-up HLO module to alpa's graph.
#pragma once

#include <string>

#include "alpa/base/result.h"
#include "alpa/ir/module.h"

namespace xla {
class HloModule;
}

namespace alpa::xla {

// The entry computation of `module` as a graph: tuples taken apart, parameters that are tuples refused, an op for every
// other instruction that a result depends on, in an order in which operands come first. kUnsupported names the op and
// its source line when alpa does not know it.
Result<ir::Module> BuildIr(const ::xla::HloModule& module, const std::string& source);

}  // namespace alpa::xla
