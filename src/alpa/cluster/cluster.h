// The hardware that a plan is made for: hosts, device types, links.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"

namespace alpa::cluster {

// One kind of accelerator (or virtual CPU device). Rates are per device and second.
struct DeviceType {
  std::string name;                            // "V100-16GB"
  Bytes memory;                                // usable by a step
  double memory_bandwidth = 0;                 // bytes / s
  std::map<std::string, double> matrix_flops;  // peak of matrix products by element type ("f32", "bf16", "f16", ...)
  double vector_flops = 0;                     // peak of everything else, f32
  double matrix_efficiency = 1;                // share of the peak that large matrix products reach, (0, 1]
  double bandwidth_efficiency = 1;             // share of the memory bandwidth that kernels reach, (0, 1]
  Seconds launch{0};                           // per kernel

  bool operator==(const DeviceType&) const = default;
};

// A way between devices: time of n bytes = alpha + beta * n for what one device (or host) sends.
struct Link {
  Seconds alpha;           // latency
  double beta = 0;         // seconds per byte
  bool operator==(const Link&) const = default;
};

// Equal devices that share a memory or a fast interconnect.
struct Host {
  std::string name;
  std::string device_type;  // key of Cluster::device_types
  int64_t devices = 1;
  Link intra;               // between two devices of the host, each way, all at once
  Link network;             // of the host's network card(s) together, each way
  bool operator==(const Host&) const = default;
};

struct Cluster {
  std::string name;
  std::map<std::string, DeviceType> device_types;
  std::vector<Host> hosts;

  int64_t device_count() const;
  bool operator==(const Cluster&) const = default;
};

// A TOML file (ends in .toml or exists), or a name: "local:2x4" (this machine as 2 hosts of 4 virtual devices),
// "local" with `default_devices` devices, "p3.16xlarge:8" (8 such hosts; ":1" may be left out) and the others that ship
// with alpa. kInvalidInput names what is known, or file, line and key.
Result<Cluster> LoadCluster(std::string_view text, int64_t default_devices = 1);

// The names that LoadCluster knows, with a line of description each.
std::vector<std::pair<std::string, std::string>> KnownClusters();

// Rates positive and finite, counts at least 1, device types known.
Status Verify(const Cluster& cluster);

}  // namespace alpa::cluster
