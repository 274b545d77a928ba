// alpa plan: how to run a step on a mesh.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/driver/load_step.h"
#include "alpa/driver/phase.h"
#include "alpa/intra/plan_step.h"

namespace alpa::driver {

struct PlanOptions {
  LoadOptions load;
  GateOptions gate;
  std::string cluster;  // name or file; empty: local, with as many devices as the mesh
  std::string mesh;     // "2x4"; empty: hosts x devices of the cluster
  std::string memory;   // "16GiB" per device; empty: what the device type has; "none": no limit
  std::string method = "auto";
  int64_t microbatches = 1;
  bool per_microbatch = false;    // also where the step is not separable: batch statistics are those of a microbatch
  std::vector<std::string> pins;  // PATTERN=SPEC
  double time_limit = 10;         // seconds for the solver
  int threads = 0;
  double gap = 0.005;         // good enough
  std::filesystem::path out;  // plan file
  bool json = false;
  bool quiet = false;  // no progress
};

// Plans and prints what was decided and why; writes the plan to `out`.
Status Plan(const PlanOptions& options);

// "2x4" -> a mesh. kInvalidArgument otherwise.
Result<cluster::Mesh> ParseMesh(const std::string& text);

// The frontend's findings as the planner wants them, for a number of microbatches.
struct PlannerInput {
  ir::Module module;  // batch dimensions are those of one microbatch
  std::vector<intra::OpWork> work;
  std::vector<int> batch_dims;
  std::vector<char> update_ops;
};
// kInvalidArgument when the step cannot be cut into that many (says why). With `per_microbatch` only shapes count:
// complete sums over the batch that later ops need are taken as those of one microbatch.
Result<PlannerInput> MakePlannerInput(const LoadedStep& loaded, int64_t microbatches, bool per_microbatch);

}  // namespace alpa::driver
