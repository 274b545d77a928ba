// A cluster file (TOML) into a Cluster; docs/clusters.md describes the keys.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "alpa/base/result.h"
#include "alpa/cluster/cluster.h"

namespace alpa::cluster {

struct ClusterFile {
  Cluster cluster;
  std::string description;  // one line, may be empty
  bool is_virtual = false;  // the devices share one machine, and its figures are those of the machine: see ShareMachine
};

// What a file may mention without describing it: device types, and hosts by the name of their cluster (`like`).
struct KnownParts {
  std::map<std::string, DeviceType> device_types;
  std::map<std::string, Host> hosts;
};

// `source`: how messages call the file. kInvalidInput: "FILE:LINE: KEY: what is wrong". The cluster passes Verify.
Result<ClusterFile> ParseCluster(std::string_view text, std::string_view source, const KnownParts& known = {});

// Turns the figures of a machine into those of each of its N virtual devices: 1/N of the memory and of all rates; a
// launch and the latency of a link take N times as long, since the cores work off N devices one after another. The
// bandwidth of links stays: it is that of one device, within a host and between hosts, and hardly depends on N as
// measured with bench/machine.
void ShareMachine(Cluster* cluster);

}  // namespace alpa::cluster
