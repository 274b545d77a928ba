#include "alpa/cost/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace alpa::cost {
namespace {

using cluster::Cluster;
using cluster::DeviceType;
using cluster::Host;
using cluster::Link;
using cluster::Mesh;

// Which hosts the devices of a mesh lie on.
struct Placement {
  std::vector<int> host_of;        // by device of the mesh: index into `hosts`
  std::vector<const Host*> hosts;  // those that have devices of the mesh
  std::vector<int64_t> devices;    // of the mesh, by host
};

Placement Place(const Cluster& cluster, int64_t first, int64_t count) {
  Placement placement;
  int64_t begin = 0;
  for (const Host& host : cluster.hosts) {
    const int64_t here = std::min(begin + host.devices, first + count) - std::max(begin, first);
    begin += host.devices;
    if (here <= 0) continue;
    placement.host_of.insert(placement.host_of.end(), static_cast<size_t>(here),
                             static_cast<int>(placement.hosts.size()));
    placement.hosts.push_back(&host);
    placement.devices.push_back(here);
  }
  return placement;
}

Placement Place(const Cluster& cluster, const Block& block) {
  Placement placement;
  for (int h = 0; h < block.hosts; ++h) {
    const Host& host = cluster.hosts[static_cast<size_t>(block.first_host) + static_cast<size_t>(h)];
    ALPA_CHECK(block.first_device + block.devices <= host.devices, "the host has these devices");
    placement.host_of.insert(placement.host_of.end(), static_cast<size_t>(block.devices), h);
    placement.hosts.push_back(&host);
    placement.devices.push_back(block.devices);
  }
  return placement;
}

// By device: its group when those that differ only along `axes` are together; groups are numbered from 0.
std::vector<int> Groups(const Mesh& mesh, AxisMask axes) {
  std::vector<int> group(static_cast<size_t>(mesh.size()));
  for (size_t d = 0; d < group.size(); ++d) {
    const std::vector<int64_t> at = mesh.Coordinates(static_cast<int64_t>(d));
    int64_t g = 0;
    for (size_t a = 0; a < at.size(); ++a) {
      if ((axes >> a & 1) == 0) g = g * mesh.shape[a] + at[a];
    }
    group[d] = static_cast<int>(g);
  }
  return group;
}

// members[g][h]: how many devices of group g lie on host h.
std::vector<std::vector<int64_t>> Members(const std::vector<int>& group, const Placement& placement) {
  const int groups = 1 + *std::max_element(group.begin(), group.end());
  std::vector<std::vector<int64_t>> members(static_cast<size_t>(groups), std::vector<int64_t>(placement.hosts.size()));
  for (size_t d = 0; d < group.size(); ++d) {
    ++members[static_cast<size_t>(group[d])][static_cast<size_t>(placement.host_of[d])];
  }
  return members;
}

// What one device has of the network while `sharing` of its host send through it.
double NetworkBeta(const Host& host, int64_t sharing) {
  return std::max(host.network.beta * static_cast<double>(sharing), host.device_network_beta);
}

// The slowest of the hosts' inner links.
Link SlowestIntra(const Placement& placement) {
  Link slowest;
  for (size_t h = 0; h < placement.hosts.size(); ++h) {
    if (placement.devices[h] == 1) continue;
    slowest.alpha = std::max(slowest.alpha, placement.hosts[h]->intra.alpha);
    slowest.beta = std::max(slowest.beta, placement.hosts[h]->intra.beta);
  }
  return slowest;
}

// The slowest network, where sharing[h] devices of host h send at the same time.
Link SlowestNetwork(const Placement& placement, const std::vector<int64_t>& sharing) {
  Link slowest;
  for (size_t h = 0; h < placement.hosts.size(); ++h) {
    if (sharing[h] == 0) continue;
    slowest.alpha = std::max(slowest.alpha, placement.hosts[h]->network.alpha);
    slowest.beta = std::max(slowest.beta, NetworkBeta(*placement.hosts[h], sharing[h]));
  }
  return slowest;
}

// Devices per host if all groups have equally many on each host that they touch, and touch equally many hosts.
std::optional<int64_t> EvenShare(const std::vector<std::vector<int64_t>>& members) {
  int64_t share = 0;
  for (const std::vector<int64_t>& by_host : members) {
    for (const int64_t m : by_host) {
      if (m != 0 && share != 0 && m != share) return std::nullopt;
      if (m != 0) share = m;
    }
  }
  return share;  // all groups have the same size, so they touch equally many hosts
}

Path MakePath(const Mesh& mesh, AxisMask axes, const Placement& placement) {
  const std::vector<std::vector<int64_t>> members = Members(Groups(mesh, axes), placement);
  int64_t size = 0;
  for (const int64_t m : members[0]) size += m;
  std::vector<int64_t> devices(placement.hosts.size());  // of groups that cross hosts
  std::vector<int64_t> rings(placement.hosts.size());    // such groups
  for (const std::vector<int64_t>& by_host : members) {
    if (*std::max_element(by_host.begin(), by_host.end()) == size) continue;
    for (size_t h = 0; h < by_host.size(); ++h) {
      devices[h] += by_host[h];
      rings[h] += by_host[h] > 0 ? 1 : 0;
    }
  }
  Path path;
  path.within = SlowestIntra(placement);
  path.across = SlowestNetwork(placement, devices);
  path.exchange_beta = path.across.beta;
  const std::optional<int64_t> share = EvenShare(members);
  if (share) {
    path.inner = *share;
    path.outer = size / *share;
    return path;
  }
  // A ring goes through each of its hosts once, so only one device of each group sends over the network at a time.
  path.aligned = false;
  path.outer = size;
  path.across = SlowestNetwork(placement, rings);
  path.across.alpha = std::max(path.across.alpha, path.within.alpha);
  path.across.beta = std::max(path.across.beta, path.within.beta);
  path.exchange_beta = std::max(path.exchange_beta, path.within.beta);
  return path;
}

// The peak that products of `dtype` run at.
double MatrixFlops(const DeviceType& device, ir::DType dtype) {
  using ir::DType;
  auto first_of = [&](std::initializer_list<const char*> names) {
    for (const char* const name : names) {
      if (const auto it = device.matrix_flops.find(name); it != device.matrix_flops.end()) return it->second;
    }
    return 0.0;
  };
  const double f32 = first_of({"f32"});
  switch (dtype) {
    case DType::kF64:
    case DType::kC128: {
      const double f64 = first_of({"f64"});
      return f64 > 0 ? f64 : f32 / 2;
    }
    case DType::kBF16:
      return first_of({"bf16", "f32"});
    case DType::kF16:
      return first_of({"f16", "f32"});
    case DType::kF8E5M2:
    case DType::kF8E4M3:
    case DType::kF8E4M3FN:
    case DType::kF8E4M3B11FNUZ:
    case DType::kF8E5M2FNUZ:
    case DType::kF8E4M3FNUZ:
    case DType::kF8E3M4:
    case DType::kF8E8M0FNU:
    case DType::kF4E2M1FN:
      return first_of({"f8", "bf16", "f16", "f32"});
    case DType::kS2:
    case DType::kS4:
    case DType::kS8:
    case DType::kU2:
    case DType::kU4:
    case DType::kU8:
      return first_of({"s8", "f32"});
    default:
      return f32;
  }
}

void DeriveRates(Model* model) {
  const DeviceType& device = model->device;
  for (size_t t = 0; t < model->matrix_seconds.size(); ++t) {
    model->matrix_seconds[t] = 1 / (device.matrix_efficiency * MatrixFlops(device, static_cast<ir::DType>(t)));
  }
  model->vector_seconds = 1 / device.vector_flops;
  model->memory_seconds = 1 / (device.bandwidth_efficiency * device.memory_bandwidth);
}

Error Refuse(const Cluster& cluster, const Mesh& mesh, const std::string& what, std::string hint = "") {
  return Error{Code::kInvalidInput, fmt::format("mesh {} on cluster {}: {}", ToString(mesh), cluster.name, what),
               std::move(hint)};
}

Result<Model> MakePlaced(const Cluster& cluster, const Mesh& mesh, const Placement& placement) {
  if (mesh.shape.size() > kMaxAxes) return Refuse(cluster, mesh, fmt::format("more than {} axes", kMaxAxes));
  const Host& first = *placement.hosts[0];
  for (const Host* const host : placement.hosts) {
    if (host->device_type == first.device_type) continue;
    return Refuse(cluster, mesh,
                  fmt::format("its devices are of several types: {} on host {}, {} on host {}", first.device_type,
                              first.name, host->device_type, host->name),
                  "a mesh lies on devices of one type");
  }
  Model model;
  model.mesh = mesh;
  model.device = cluster.device_types.at(first.device_type);
  DeriveRates(&model);
  for (AxisMask axes = 0; axes < AxisMask{1} << mesh.shape.size(); ++axes) {
    model.paths.push_back(MakePath(mesh, axes, placement));
  }
  for (size_t a = 0; a < mesh.shape.size(); ++a) {
    const Path& path = model.paths[AxisMask{1} << a];
    model.level_of_axis.push_back({path.inner, path.outer});
  }
  model.links = {SlowestIntra(placement)};
  if (placement.hosts.size() > 1) model.links.push_back(SlowestNetwork(placement, placement.devices));
  return model;
}

}  // namespace

Result<Model> MakeModel(const Cluster& cluster, const Mesh& mesh, int64_t first_device) {
  ALPA_RETURN_IF_ERROR(cluster::Verify(mesh));
  const int64_t available = cluster.device_count() - first_device;
  if (first_device < 0 || mesh.size() > available) {
    return Refuse(cluster, mesh,
                  fmt::format("the mesh has {} devices, the cluster {}{}", mesh.size(), cluster.device_count(),
                              first_device == 0 ? "" : fmt::format(" and the mesh begins at {}", first_device)));
  }
  return MakePlaced(cluster, mesh, Place(cluster, first_device, mesh.size()));
}

Result<Model> MakeModel(const Cluster& cluster, const Mesh& mesh, const Block& block) {
  ALPA_RETURN_IF_ERROR(cluster::Verify(mesh));
  ALPA_CHECK(mesh.size() == int64_t{block.hosts} * block.devices, "a mesh as large as the block");
  return MakePlaced(cluster, mesh, Place(cluster, block));
}

AxisMask MaskOf(const std::vector<int>& axes) {
  AxisMask mask = 0;
  for (const int axis : axes) mask |= AxisMask{1} << axis;
  return mask;
}

Seconds ComputeTime(const Model& model, Flops flops, Bytes bytes, ir::DType dtype, bool contraction) {
  if (flops.value <= 0 && bytes.value <= 0) return Seconds(0);
  const double per_flop = contraction ? model.matrix_seconds[static_cast<size_t>(dtype)] : model.vector_seconds;
  const double compute = flops.value * per_flop;
  const double memory = static_cast<double>(bytes.value) * model.memory_seconds;
  return Seconds(std::max(compute, memory)) + model.device.launch;
}

}  // namespace alpa::cost
