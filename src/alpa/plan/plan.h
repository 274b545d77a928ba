// What the planner decides and the engine carries out: the only thing handed from one to the other.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/cluster/mesh.h"
#include "alpa/ir/module.h"
#include "alpa/sharding/spec.h"

namespace alpa::plan {

inline constexpr int kVersion = 1;

// The layout of a whole step on one mesh. Inputs and outputs are always given; ops that are not named follow from them
// (GSPMD propagates).
struct Plan {
  int version = kVersion;
  std::string method;              // who made it: "data-parallel", ...
  std::string model;               // name of the module, for messages
  uint64_t model_fingerprint = 0;  // ir::Fingerprint of the module it was made for
  cluster::Mesh mesh;
  std::vector<sharding::Spec> inputs;
  std::vector<sharding::Spec> outputs;
  std::map<std::string, sharding::Spec> ops;  // by op name; ops with one result only

  bool operator==(const Plan&) const = default;
};

// JSON, and back. Parse errors name the key and what was expected.
std::string ToJson(const Plan& plan);
Result<Plan> FromJson(std::string_view text);

// That the plan was made for this module (kMismatch otherwise) and every spec fits the array it is for.
Status Verify(const Plan& plan, const ir::Module& module);

}  // namespace alpa::plan
