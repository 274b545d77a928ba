#include "alpa/report/clusters.h"

#include <fmt/format.h>

#include <algorithm>

#include "alpa/cluster/quantity.h"

namespace alpa::report {
namespace {

using cluster::Cluster;
using cluster::DeviceType;
using cluster::Dimension;
using cluster::Host;
using cluster::Link;

std::string Rate(double bytes_per_second) { return cluster::ToString(bytes_per_second, Dimension::kBytesPerSecond); }
std::string Peak(double flops) { return cluster::ToString(flops, Dimension::kFlopsPerSecond); }

std::string Count(int64_t n, std::string_view noun) { return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s"); }

std::string DeviceText(const DeviceType& type) {
  std::string products;
  for (const std::string_view dtype : cluster::kMatrixTypes) {
    const auto it = type.matrix_flops.find(std::string(dtype));
    if (it == type.matrix_flops.end()) continue;
    products += fmt::format("{}{} {}", products.empty() ? "" : ", ", dtype, Peak(it->second));
  }
  std::string text = fmt::format("{}\n", type.name);
  text += fmt::format("  memory           {}, {}, of which kernels reach {:.0f} %\n", ToString(type.memory),
                      Rate(type.memory_bandwidth), 100 * type.bandwidth_efficiency);
  text += fmt::format("  matrix products  {}; large ones reach {:.0f} %\n", products, 100 * type.matrix_efficiency);
  text += fmt::format("  everything else  {}\n", Peak(type.vector_flops));
  text += fmt::format("  launch           {}\n", ToString(type.launch));
  return text;
}

std::string LinkText(const Link& link) {
  return link.beta > 0 ? fmt::format("{} + {}", ToString(link.alpha), Rate(1 / link.beta)) : "none";
}

bool EqualButForTheName(const Host& a, Host b) {
  b.name = a.name;
  return a == b;
}

std::string HostsText(const Cluster& cluster) {
  constexpr std::string_view kRow = "{:<22}{:<18}{:<26}{}\n";
  std::string text = fmt::format(fmt::runtime(kRow), "hosts", "devices of each", "within a host", "network of a host");
  for (auto first = cluster.hosts.begin(); first != cluster.hosts.end();) {
    const auto end =
        std::find_if(first, cluster.hosts.end(), [&](const Host& host) { return !EqualButForTheName(*first, host); });
    const std::string names =
        end - first == 1 ? first->name : fmt::format("{} .. {}", first->name, std::prev(end)->name);
    std::string network = cluster.hosts.size() > 1 ? LinkText(first->network) : "not used";
    if (cluster.hosts.size() > 1 && first->device_network_beta > 0) {
      network += fmt::format(", {} for one device", Rate(1 / first->device_network_beta));
    }
    text += fmt::format(fmt::runtime(kRow), names, fmt::format("{} {}", first->devices, first->device_type),
                        first->devices > 1 ? LinkText(first->intra) : "not used", network);
    first = end;
  }
  return text;
}

}  // namespace

std::string ClusterListText(const std::vector<std::pair<std::string, std::string>>& known) {
  std::string text;
  for (const auto& [name, description] : known) text += fmt::format("{:<14}{}\n", name, description);
  text +=
      "\nNAME:8 means 8 such hosts, NAME:2x4 2 hosts of which 4 devices each are used. A cluster of your own is a "
      "file:\n"
      "begin with `alpa clusters NAME --toml > mine.toml`; docs/clusters.md explains its keys.\n";
  return text;
}

std::string ClusterText(const Cluster& cluster) {
  std::string text =
      fmt::format("{}: {}, {}\n\n", cluster.name, Count(static_cast<int64_t>(cluster.hosts.size()), "host"),
                  Count(cluster.device_count(), "device"));
  for (const auto& [name, type] : cluster.device_types) text += DeviceText(type) + "\n";
  return text + HostsText(cluster);
}

}  // namespace alpa::report
