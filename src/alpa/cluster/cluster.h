// The hardware that a plan is made for: hosts, device types, links. docs/clusters.md describes the files it is read
// from.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"

namespace alpa::cluster {

// Element types that a device type can state a peak for; "f32" always, "f8" stands for all 8-bit floats, "s8" for 8-bit
// integers. "f32" is what a product of f32 arrays gets by default, which may round its operands (TF32 on A100 and
// later).
inline constexpr std::string_view kMatrixTypes[] = {"f64", "f32", "bf16", "f16", "f8", "s8"};

// One kind of accelerator (or virtual CPU device). Rates are per device and second.
struct DeviceType {
  std::string name;                            // "V100-16GB"
  Bytes memory;                                // usable by a step
  double memory_bandwidth = 0;                 // bytes / s
  std::map<std::string, double> matrix_flops;  // peak of matrix products by element type, see kMatrixTypes
  double vector_flops = 0;                     // peak of everything else, f32
  double matrix_efficiency = 1;                // share of the peak that large matrix products reach, (0, 1]
  double bandwidth_efficiency = 1;             // share of the memory bandwidth that kernels reach, (0, 1]
  Seconds launch{0};                           // per kernel

  bool operator==(const DeviceType&) const = default;
};

// A way between devices: time of n bytes = alpha + beta * n for what one device (or host) sends.
struct Link {
  Seconds alpha;    // latency
  double beta = 0;  // seconds per byte
  bool operator==(const Link&) const = default;
};

// Equal devices that share a memory or a fast interconnect.
struct Host {
  std::string name;
  std::string device_type;  // key of Cluster::device_types
  int64_t devices = 1;
  Link intra;                      // between two devices of the host, each way, all at once
  Link network;                    // of the host's network card(s) together, each way
  double device_network_beta = 0;  // seconds per byte that one device needs at least: it reaches only some of the cards
  bool operator==(const Host&) const = default;
};

struct Cluster {
  std::string name;
  std::map<std::string, DeviceType> device_types;
  std::vector<Host> hosts;

  int64_t device_count() const;
  // Host of each device, hosts in order: devices 0 .. of hosts[0] first.
  std::vector<int> HostOfDevice() const;
  // The first device of hosts[host].
  int64_t first_device(int host) const;
  bool operator==(const Cluster&) const = default;
};

// A TOML file (ends in .toml, or no known name and an existing file), or the name of a cluster that ships with alpa:
//
//   p3.16xlarge        one such host            p3.16xlarge:8      8 of them
//   p3.16xlarge:2x4    2 of them, 4 devices of each
//   local              this machine as one host of `default_devices` virtual devices
//   local:2x4          this machine as 2 hosts of 4 virtual devices; each has 1/8 of the machine
//   FILE.toml:2x4      2 hosts like the one in the file, with 4 devices of each
//
// kInvalidInput names what is known, or file, line and key; kNotFound or kIo when a file cannot be read.
Result<Cluster> LoadCluster(std::string_view text, int64_t default_devices = 1);

// The names that LoadCluster knows, with a line of description each, in alphabetical order.
std::vector<std::pair<std::string, std::string>> KnownClusters();

// The file in which a known cluster is described, to be copied and changed. kInvalidInput when there is no such name.
Result<std::string> KnownClusterFile(std::string_view name);

// Rates positive and finite, counts at least 1 and kMaxClusterDevices in all, device types known, links there where
// they are needed.
Status Verify(const Cluster& cluster);

inline constexpr int64_t kMaxClusterDevices = 65536;

}  // namespace alpa::cluster
