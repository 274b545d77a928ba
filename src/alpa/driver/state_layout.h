// Where the state of a step lies in a cluster, and how long it takes to bring it from one layout to another.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/cluster/cluster.h"
#include "alpa/driver/load_step.h"
#include "alpa/frontend/layers.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/plan/plan.h"

namespace alpa::driver {

// One array on one mesh: mesh device k is device devices[k] of the cluster.
struct StatePart {
  cluster::Mesh mesh;
  sharding::Spec spec;  // with an entry per dimension
  std::vector<int64_t> devices;
  bool operator==(const StatePart&) const = default;
};

// By input of the step, empty for batch inputs: the meshes that hold it. Several where stages share it.
using StateLayout = std::vector<std::vector<StatePart>>;

// Of a plan of one mesh, on the first devices of a cluster.
StateLayout LayoutOf(const LoadedStep& loaded, const plan::Plan& plan);

// By stage: which of its inputs are state of the step, and which input of the step each is.
std::vector<std::map<int32_t, int32_t>> StateInputs(const LoadedStep& loaded, const frontend::Layering& layering,
                                                    const plan::PipelinePlan& plan);

// By stage of a solved pipeline: the specs of its inputs that are state of the step, by input of the stage.
std::vector<std::map<int32_t, sharding::Spec>> StageStates(const LoadedStep& loaded, const frontend::Layering& layering,
                                                           const plan::PipelinePlan& plan);

StateLayout LayoutOf(const LoadedStep& loaded, const frontend::Layering& layering, const cluster::Cluster& cluster,
                     const plan::PipelinePlan& plan);

// Seconds until every device has its pieces of `to` when `from` lies there: what a device has it keeps; what another
// one of its host has comes over the host's links, all else over the network, whose time is that of the host that
// receives most. 0 for equal layouts. `shapes`: of the arrays, by input of the step.
Seconds SwitchTime(const StateLayout& from, const StateLayout& to, const std::vector<ir::Shape>& shapes,
                   const cluster::Cluster& cluster);

// That both have the same state inputs: names, shapes and types in the same order. kMismatch names the first
// difference.
Status CheckSameState(const LoadedStep& first, const std::string& first_file, const LoadedStep& other,
                      const std::string& other_file);

}  // namespace alpa::driver
