#include "alpa/cluster/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace alpa::cluster {
namespace {

bool Positive(double x) { return std::isfinite(x) && x > 0; }
bool NotNegative(double x) { return std::isfinite(x) && x >= 0; }
bool Share(double x) { return Positive(x) && x <= 1; }

// What is wrong with a device type, or nothing.
std::string Problem(const DeviceType& type) {
  if (type.memory.value < 1) return "memory must be above 0";
  if (!Positive(type.memory_bandwidth)) return "memory_bandwidth must be above 0";
  if (!type.matrix_flops.contains("f32")) return "matrix needs f32";
  for (const auto& [dtype, flops] : type.matrix_flops) {
    if (std::find(std::begin(kMatrixTypes), std::end(kMatrixTypes), dtype) == std::end(kMatrixTypes)) {
      return fmt::format("matrix has an unknown element type {}", dtype);
    }
    if (!Positive(flops)) return fmt::format("matrix.{} must be above 0", dtype);
  }
  if (!Positive(type.vector_flops)) return "vector must be above 0";
  if (!Share(type.matrix_efficiency)) return "matrix_efficiency must be above 0 and at most 1";
  if (!Share(type.bandwidth_efficiency)) return "bandwidth_efficiency must be above 0 and at most 1";
  if (!NotNegative(type.launch.value)) return "launch must not be negative";
  return "";
}

std::string Problem(const Link& link) {
  if (!NotNegative(link.alpha.value)) return "its latency must not be negative";
  if (!Positive(link.beta)) return "its bandwidth must be above 0";
  return "";
}

std::string Problem(const Host& host, const Cluster& cluster) {
  if (host.devices < 1) return "must have at least 1 device";
  if (!cluster.device_types.contains(host.device_type)) return fmt::format("unknown device type {}", host.device_type);
  if (host.devices > 1) {
    if (std::string problem = Problem(host.intra); !problem.empty()) return "intra: " + problem;
  }
  if (cluster.hosts.size() > 1) {
    if (std::string problem = Problem(host.network); !problem.empty()) return "network: " + problem;
  }
  if (!NotNegative(host.device_network_beta)) return "network: bandwidth_per_device must be above 0";
  return "";
}

}  // namespace

int64_t Cluster::device_count() const {
  int64_t count = 0;
  for (const Host& host : hosts) count += host.devices;
  return count;
}

int64_t Cluster::first_device(int host) const {
  int64_t first = 0;
  for (int h = 0; h < host; ++h) first += hosts[static_cast<size_t>(h)].devices;
  return first;
}

std::vector<int> Cluster::HostOfDevice() const {
  std::vector<int> host_of;
  host_of.reserve(static_cast<size_t>(device_count()));
  for (size_t h = 0; h < hosts.size(); ++h) {
    host_of.insert(host_of.end(), static_cast<size_t>(hosts[h].devices), static_cast<int>(h));
  }
  return host_of;
}

Status Verify(const Cluster& cluster) {
  auto broken = [&](const std::string& what) {
    return Error{Code::kInvalidInput, fmt::format("cluster {}: {}", cluster.name, what), ""};
  };
  if (cluster.hosts.empty()) return broken("has no host");
  for (const auto& [name, type] : cluster.device_types) {
    if (const std::string problem = Problem(type); !problem.empty()) {
      return broken(fmt::format("device type {}: {}", name, problem));
    }
  }
  int64_t devices = 0;
  for (const Host& host : cluster.hosts) {
    if (const std::string problem = Problem(host, cluster); !problem.empty()) {
      return broken(fmt::format("host {}: {}", host.name, problem));
    }
    if (host.devices > kMaxClusterDevices - devices) {
      return broken(fmt::format("has more than {} devices", kMaxClusterDevices));
    }
    devices += host.devices;
  }
  return Ok();
}

}  // namespace alpa::cluster
