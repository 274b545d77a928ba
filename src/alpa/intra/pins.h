// Specs that the user fixes: the rest is planned around them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/cluster/mesh.h"
#include "alpa/ir/module.h"
#include "alpa/sharding/spec.h"

namespace alpa::intra {

// The arrays whose name matches `pattern` lie as `spec` says. Names are those of inputs ("params['wte']") and of ops
// ("dot.12"); the pattern is a regular expression that may match anywhere in the name.
struct Pin {
  std::string pattern;
  std::string spec;  // "[x,]", "[]" for replicated
};

// "PATTERN=SPEC", split at the last '='. kInvalidArgument otherwise.
Result<Pin> ParsePin(const std::string& text);

// What the pins say about each value (inputs, and results of ops with one result). kInvalidArgument: not a regular
// expression, a pattern that matches nothing (close names are listed), a spec that does not fit the shape, two pins
// that contradict each other.
Result<std::map<ir::ValueId, sharding::Spec>> ResolvePins(const std::vector<Pin>& pins, const ir::Module& module,
                                                          const cluster::Mesh& mesh);

}  // namespace alpa::intra
