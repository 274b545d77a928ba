// What things cost on a mesh of a cluster. One model serves the intra-operator pass, the stage search and the
// simulator.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/cluster/cluster.h"
#include "alpa/cluster/mesh.h"
#include "alpa/ir/shape.h"
#include "alpa/sharding/collective.h"

namespace alpa::cost {

// Mesh axes as a set: bit a stands for axis a.
using AxisMask = uint32_t;

// Most axes of a mesh that costs are kept for.
inline constexpr int kMaxAxes = 6;

// The way of a collective over one set of axes. All its groups run at the same time, so what they share is shared out:
// betas are seconds per byte that one device sends while all others do the same.
struct Path {
  int64_t inner = 1;         // devices of a group on each host
  int64_t outer = 1;         // hosts of a group; inner * outer devices in all
  cluster::Link within;      // between devices of a host
  cluster::Link across;      // between hosts
  double exchange_beta = 0;  // as across.beta, where each device sends to all others: all-to-all, permutation
  // False: groups do not have equally many devices on each of their hosts (3 devices per group, 4 per host). Then inner
  // is 1 and outer the size of the group: all of it is priced as one ring over the slow link.
  bool aligned = true;

  bool operator==(const Path&) const = default;
};

// By which formulas collectives are priced.
enum class Formulas : uint8_t {
  kHierarchical,  // what README.md describes
  kAlpa,          // Alpa's, per mesh axis, its tie-breakers included (see MakeAlphaBetaModel)
};

// The devices of a mesh as costs see them: one type, and for each set of axes the path that a collective takes.
// A value: copy it, compare it, print it.
struct Model {
  cluster::Mesh mesh;
  cluster::DeviceType device;
  // Inner to outer: within a host, between hosts; the latter for one device while all of the mesh send. With
  // Formulas::kAlpa one link per axis.
  std::vector<cluster::Link> links;
  // level_of_axis[a][l]: how many devices along axis a share a unit of level l (product over l = the axis' extent);
  // level 0: within a host, level 1: hosts. An axis can span both (8 devices of 2 hosts of 4: {4, 2}). An axis that
  // does not line up with the hosts lies on level 1 as a whole.
  std::vector<std::vector<int64_t>> level_of_axis;

  Formulas formulas = Formulas::kHierarchical;
  std::vector<Path> paths;  // by AxisMask; empty with Formulas::kAlpa

  // Derived from `device`, so that no name is looked up: seconds per FLOP of matrix products by element type, with
  // efficiency; per FLOP of everything else; per byte of memory, with efficiency.
  std::array<double, static_cast<size_t>(ir::DType::kToken) + 1> matrix_seconds{};
  double vector_seconds = 0;
  double memory_seconds = 0;

  bool operator==(const Model&) const = default;
};

// Devices first_device .. first_device + mesh.size() - 1 of the cluster in row-major order, hosts major; any shape.
// kInvalidInput: mesh larger than the rest of the cluster, devices of several types (says which), more than kMaxAxes.
Result<Model> MakeModel(const cluster::Cluster& cluster, const cluster::Mesh& mesh, int64_t first_device = 0);

// Devices first_device .. first_device + devices - 1 of each of `hosts` hosts, from first_host on.
struct Block {
  int first_host = 0, hosts = 1, first_device = 0, devices = 1;
};
// The same on the devices of a block, host by host. CHECKs that the cluster has them and that the mesh is as large.
Result<Model> MakeModel(const cluster::Cluster& cluster, const cluster::Mesh& mesh, const Block& block);

// A model without compute costs whose collectives over axis a, n devices, cost what Alpa's solver assumes
// (alpa/shard_parallel/auto_sharding.py), b being Collective::bytes:
//
//   all-gather      alpha + beta (n-1)/n b + 0.1        all-reduce      alpha + 2 beta (n-1)/n b + 0.01
//   reduce-scatter  alpha + beta (n-1)/n b + 0.001      all-to-all      alpha + beta (n-1)/2 b + 0.001
//   permutation     alpha + beta b
//
// Over several axes: one after the other, an all-gather from the last axis to the first with growing results, a
// reduce-scatter the other way, all others with all the bytes each time. (Alpa's all-to-all has the bytes of all n
// devices and a factor (n-1)/n^2 n/2: the same.) alpha and beta: one per axis.
Model MakeAlphaBetaModel(const cluster::Mesh& mesh, const std::vector<double>& alpha, const std::vector<double>& beta);

// Time of one collective: alpha-beta per level, hierarchical where its axes span levels (reduce-scatter inside,
// all-reduce between hosts over every device's share, all-gather inside), the better of ring and tree for all-reduce.
// Formulas in README.md. 0 over no axes. Neither allocates; the second is for inner loops.
Seconds CollectiveTime(const Model& model, const sharding::Collective& collective);
Seconds CollectiveTime(const Model& model, sharding::CollectiveKind kind, AxisMask axes, Bytes bytes);

// The set of these axes.
AxisMask MaskOf(const std::vector<int>& axes);

// Roofline of one kernel on one device: max(flops / (efficiency * peak of dtype), bytes / memory bandwidth) + launch.
// `bytes`: what it reads and writes. Matrix products (contraction = true) run at the matrix peak, others at the vector
// one. 0 without FLOPs and bytes: that is no kernel. Element types without a peak of their own are priced by the next
// wider one that has it (bf16 on V100: f32); f64 without one at half of f32.
Seconds ComputeTime(const Model& model, Flops flops, Bytes bytes, ir::DType dtype, bool contraction);

// The model as a page: device, links, and the path of each set of axes.
std::string ToString(const Model& model);

}  // namespace alpa::cost
