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
  std::vector<std::filesystem::path> models;  // several: one model at several shapes, see plan_family.h
  std::vector<double> frequency;              // of each; empty: all alike
  GateOptions gate;
  std::string cluster;  // name or file; empty: local, with as many devices as the mesh
  std::string mesh;     // "2x4": one mesh, no pipeline; empty: stages on submeshes of the cluster
  std::string memory;   // "16GiB" per device; empty: what the device type has; "none": no limit
  std::string method = "auto";
  bool methods = false;               // also plan by all other methods, to compare with
  std::string microbatches = "auto";  // or a number; auto on one mesh: 1
  std::string schedule = "auto";      // or gpipe, 1f1b, interleaved, zb-h1
  std::string stages = "auto";        // or a number
  std::string submeshes = "auto";     // or regular, all: see UsesRectangles in find_pipeline.h
  int layers = 0;                     // that the model is cut into for stages; 0: found out
  int top = 8;                        // so many plans are simulated and shown
  int exact = 3;                      // so many of them are solved exactly before the fastest is taken
  bool no_recompute = false;          // never compute forward again
  bool per_microbatch = false;    // also where the step is not separable: batch statistics are those of a microbatch
  bool half_sums = false;         // 16-bit gradients are added up in 16 bits
  std::vector<std::string> pins;  // PATTERN=SPEC
  double time_limit = 0;  // seconds for each sharding problem; 0: 10 on one mesh, a fixed amount of work for a stage
  std::optional<uint64_t> random;  // not a good plan but a random one of this seed, to test with (random_pipeline.h)
  int threads = 0;
  double gap = 0.005;         // good enough
  std::filesystem::path out;  // plan file
  bool json = false;
  bool measure = false;  // time the candidates for this machine (choose_plan.h) and print them, nothing else
  bool measure_again = false;
  bool quiet = false;  // no progress
};

// Plans and prints what was decided and why; writes the plan to `out`: of one mesh where that is asked for, or where
// the search for stages comes to one stage and one microbatch; of several stages otherwise.
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
