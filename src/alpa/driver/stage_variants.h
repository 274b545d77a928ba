// What a stage can lie on: submeshes of a cluster, their logical meshes, and the numbers by which the search knows a
// variant.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alpa/cluster/cluster.h"
#include "alpa/cluster/mesh.h"
#include "alpa/cost/model.h"
#include "alpa/inter/problem.h"

namespace alpa::driver {

// The device types of the cluster in the order that numbers stand for (inter::Submesh::type).
std::vector<std::string> DeviceTypes(const cluster::Cluster& cluster);

// The hosts as the stage search sees them.
std::vector<inter::Hosts> HostsOf(const cluster::Cluster& cluster);

// The submeshes that are priced: of those the search can use, beyond four hosts only powers of two and all of them.
// `rectangles`: as inter::SearchProblem.
std::vector<inter::Submesh> PricedSubmeshes(const cluster::Cluster& cluster, bool rectangles = false);

// A logical mesh of a submesh, with the splits of the batch on stages' borders that are tried on it.
struct LogicalShape {
  cluster::Mesh mesh;
  std::vector<cost::AxisMask> batch_axes;
};

// The logical meshes of a submesh of n devices. First hosts x devices (within a host the factors of its devices that
// are nearest to a square), with all splits but one: the batch within hosts and the model over them; then n / k x k,
// where k divides the devices of a host, with the batch over the n / k, where that is new (4x4 on 2 hosts of 8: data
// parallel between hosts and within them).
std::vector<LogicalShape> LogicalShapes(const inter::Submesh& submesh);

// The first devices of the cluster that are such a submesh. CHECKs that there are.
cost::Block FirstBlock(const cluster::Cluster& cluster, const inter::Submesh& submesh);

// Into how many parts a split over these axes cuts.
int64_t PartsOf(const cluster::Mesh& mesh, cost::AxisMask axes);

// Which numbers a StageVariant::id stands for.
struct VariantChoice {
  cost::AxisMask batch_axes = 0;
  int weight_level = 0;  // the larger, the more memory costs
  bool recompute = false;
  int shape = 0;  // of LogicalShapes
  bool operator==(const VariantChoice&) const = default;
};
int VariantId(const VariantChoice& choice);
VariantChoice ChoiceOf(int variant_id);
// StageVariant::layout is the id of a choice as well: of shape and split of the batch alone.
inline int LayoutId(const VariantChoice& choice) { return VariantId({choice.batch_axes, 0, false, choice.shape}); }
// The mesh that a variant of a stage on `submesh` (or a layout there) is for.
cluster::Mesh LogicalMesh(const inter::Submesh& submesh, int variant_id);

}  // namespace alpa::driver
