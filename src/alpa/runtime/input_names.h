// What the inputs of a step are called: in files, in tables and in messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "alpa/ir/module.h"

namespace alpa::runtime {

// One name per input, all different and none empty: the module's where it has one, else "input_0007"; a name that was
// used before gets its index appended ("w#12").
std::vector<std::string> UniqueInputNames(const ir::Module& module);

// Gives the inputs that have no name those of `names` (one per input; empty strings are skipped).
void FillInputNames(const std::vector<std::string>& names, ir::Module& module);

// The keys a pytree name consists of: "param.h[0].fc1.b" and "param['h'][0].fc1.b" are {"param", "h", "0", "fc1", "b"}.
std::vector<std::string> NameComponents(std::string_view name);

// The last key of a name ("batch.ids" -> "ids"), or the name itself when it has none.
std::string LastComponent(std::string_view name);

}  // namespace alpa::runtime
