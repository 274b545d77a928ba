// What the planner decides and the engine carries out: the only thing handed from one to the other.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/cluster/mesh.h"
#include "alpa/ir/module.h"
#include "alpa/sharding/collective.h"
#include "alpa/sharding/spec.h"

namespace alpa::plan {

// Version 2 added operands and predictions; a plan of version 1 has neither.
inline constexpr int kVersion = 2;
inline constexpr int kOldestVersion = 1;  // that FromJson reads

// Collectives of one kind over the same axes, added up.
struct CollectiveTotal {
  sharding::CollectiveKind kind = sharding::CollectiveKind::kAllReduce;
  std::vector<int> axes;
  int64_t count = 0;
  Bytes bytes;  // as sharding::Collective counts them
  bool operator==(const CollectiveTotal&) const = default;
};

// What the planner expects of a plan, per step.
struct Prediction {
  std::string cluster;
  Seconds compute, communication;
  Bytes memory;      // peak per device
  double cost = 0;   // the objective, seconds
  double bound = 0;  // no plan in the search space costs less
  std::vector<CollectiveTotal> collectives;
  bool operator==(const Prediction&) const = default;
};

// The key of Plan::ops for result `index` of `op`: its name, with "#index" where it has several results.
std::string ResultName(const ir::Op& op, size_t index);

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
  std::map<std::string, sharding::Spec> ops;  // by ResultName
  // By op name: the spec in which an op needs each operand (absent: whichever it comes in). Where the operand lies
  // otherwise it is brought there by the steps of sharding::Reshard.
  std::map<std::string, std::vector<std::optional<sharding::Spec>>> operands;
  // By ResultName: sums over microbatches of which each device adds up its own part, lying as said here, to be summed
  // up over the devices once per step and then to lie as `ops` says. Others are summed up with each microbatch.
  std::map<std::string, sharding::Spec> sums;
  std::optional<Prediction> prediction;  // of plans that a cost model made

  bool operator==(const Plan&) const = default;
};

// The plan that splits nothing: inputs and outputs whole on each device of `mesh`.
Plan Replicated(const ir::Module& module, cluster::Mesh mesh);

// JSON, and back (from older versions as a plan of this one). Parse errors name the key and what was expected.
std::string ToJson(const Plan& plan);
Result<Plan> FromJson(std::string_view text);

// That the plan was made for this module (kMismatch otherwise) and every spec fits the array it is for.
Status Verify(const Plan& plan, const ir::Module& module);

}  // namespace alpa::plan
