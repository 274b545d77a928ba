// Pages about clusters, for `alpa clusters`.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "alpa/cluster/cluster.h"

namespace alpa::report {

// The known clusters, a line each, and how to ask for several hosts or an own file.
std::string ClusterListText(const std::vector<std::pair<std::string, std::string>>& known);

// Device types, then hosts with their devices and links; equal hosts in a row share a line.
std::string ClusterText(const cluster::Cluster& cluster);

}  // namespace alpa::report
