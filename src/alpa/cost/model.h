// What things cost on a mesh of a cluster. One model serves the intra-operator pass, the stage search and the simulator.
#pragma once

#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/cluster/cluster.h"
#include "alpa/cluster/mesh.h"
#include "alpa/ir/shape.h"
#include "alpa/sharding/collective.h"

namespace alpa::cost {

// The devices of a mesh as costs see them: one type, and for each subset of axes the path that a collective takes.
// A value: copy it, compare it, print it.
struct Model {
  cluster::Mesh mesh;
  cluster::DeviceType device;
  std::vector<cluster::Link> links;      // inner to outer: within a host, between hosts, ...
  // level_of_axis[a][l]: how many devices along axis a share a unit of level l (product over l = the axis' extent);
  // level 0: within a host, level 1: hosts. An axis can span both (8 devices of 2 hosts of 4: {4, 2}).
  std::vector<std::vector<int64_t>> level_of_axis;

  bool operator==(const Model&) const = default;
};

// The first mesh.size() devices of the cluster in row-major order, hosts major. kInvalidInput: mesh larger than the
// cluster, or devices of several types (says which).
Result<Model> MakeModel(const cluster::Cluster& cluster, const cluster::Mesh& mesh);

// Time of one collective: alpha-beta per level, hierarchical where its axes span levels (reduce-scatter inside, all-reduce
// between hosts over every device's share, all-gather inside), the better of ring and tree for all-reduce.
Seconds CollectiveTime(const Model& model, const sharding::Collective& collective);

// Roofline of one kernel on one device: max(flops / (efficiency * peak of dtype), bytes / memory bandwidth) + launch.
// `bytes`: what it reads and writes. Matrix products (contraction = true) run at the matrix peak, others at the vector one.
Seconds ComputeTime(const Model& model, Flops flops, Bytes bytes, ir::DType dtype, bool contraction);

}  // namespace alpa::cost
