#include "alpa/driver/stage_variants.h"

#include <algorithm>
#include <set>

#include "alpa/inter/submeshes.h"

namespace alpa::driver {
namespace {

constexpr int kAllHostCounts = 4;

// The most neighbouring hosts with one number of devices of one type.
int MostAlike(const cluster::Cluster& cluster) {
  int most = 0, here = 0;
  for (size_t h = 0; h < cluster.hosts.size(); ++h) {
    const bool alike = h > 0 && cluster.hosts[h].devices == cluster.hosts[h - 1].devices &&
                       cluster.hosts[h].device_type == cluster.hosts[h - 1].device_type;
    here = alike ? here + 1 : 1;
    most = std::max(most, here);
  }
  return most;
}

}  // namespace

int64_t PartsOf(const cluster::Mesh& mesh, cost::AxisMask axes) {
  int64_t parts = 1;
  for (size_t a = 0; a < mesh.shape.size(); ++a) parts *= (axes >> a & 1) != 0 ? mesh.shape[a] : 1;
  return parts;
}

std::vector<std::string> DeviceTypes(const cluster::Cluster& cluster) {
  std::vector<std::string> types;
  for (const auto& [name, type] : cluster.device_types) types.push_back(name);
  return types;
}

std::vector<inter::Hosts> HostsOf(const cluster::Cluster& cluster) {
  const std::vector<std::string> types = DeviceTypes(cluster);
  std::vector<inter::Hosts> hosts;
  for (const cluster::Host& host : cluster.hosts) {
    const auto type = static_cast<int>(std::find(types.begin(), types.end(), host.device_type) - types.begin());
    if (hosts.empty() || hosts.back().type != type) hosts.push_back({type, {}});
    hosts.back().devices.push_back(static_cast<int>(host.devices));
  }
  return hosts;
}

std::vector<inter::Submesh> PricedSubmeshes(const cluster::Cluster& cluster, bool rectangles) {
  const int most = MostAlike(cluster);
  std::vector<inter::Submesh> submeshes;
  for (const inter::Submesh& submesh : inter::SubmeshChoices(HostsOf(cluster), rectangles)) {
    const int h = submesh.hosts;
    const bool round = h <= kAllHostCounts || (h & (h - 1)) == 0 || h == most;
    if (submesh.size() <= cluster::kMaxDevices && round) submeshes.push_back(submesh);
  }
  return submeshes;
}

std::vector<LogicalShape> LogicalShapes(const inter::Submesh& submesh) {
  const int64_t size = submesh.size();
  std::vector<LogicalShape> shapes;
  std::set<int64_t> parts;  // into which the batch can be split so far
  if (submesh.hosts > 1 && submesh.devices > 1) {
    shapes.push_back({cluster::MakeMesh({submesh.hosts, submesh.devices}), {}});
  } else {
    int64_t small = 1;
    for (int64_t d = 1; d * d <= submesh.devices; ++d) {
      if (submesh.devices % d == 0) small = d;
    }
    shapes.push_back({small == 1 ? cluster::MakeMesh({size}) : cluster::MakeMesh({small, size / small}), {}});
  }
  LogicalShape& first = shapes.front();
  for (cost::AxisMask mask = 0; mask < 1U << first.mesh.shape.size(); ++mask) {
    // The model over hosts and the batch within them puts the most traffic on the slowest links.
    if (submesh.hosts > 1 && mask == 2) continue;
    first.batch_axes.push_back(mask);
    parts.insert(PartsOf(first.mesh, mask));
  }
  for (int64_t k = submesh.devices - 1; k > 1; --k) {
    if (submesh.devices % k == 0 && parts.insert(size / k).second)
      shapes.push_back({cluster::MakeMesh({size / k, k}), {1}});
  }
  return shapes;
}

cost::Block FirstBlock(const cluster::Cluster& cluster, const inter::Submesh& submesh) {
  const std::vector<std::string> types = DeviceTypes(cluster);
  const std::string& type = types[static_cast<size_t>(submesh.type)];
  const auto fits = [&](const cluster::Host& host) {
    const bool whole = submesh.hosts > 1 && !submesh.rectangle;
    return host.device_type == type && (whole ? host.devices == submesh.devices : host.devices >= submesh.devices);
  };
  for (size_t first = 0; first + static_cast<size_t>(submesh.hosts) <= cluster.hosts.size(); ++first) {
    const auto begin = cluster.hosts.begin() + static_cast<std::ptrdiff_t>(first);
    if (std::all_of(begin, begin + submesh.hosts, fits))
      return {static_cast<int>(first), submesh.hosts, 0, submesh.devices};
  }
  ALPA_CHECK(false, "the cluster has such a submesh");
  return {};
}

int VariantId(const VariantChoice& choice) {
  return static_cast<int>(choice.batch_axes) | choice.weight_level << 8 | (choice.recompute ? 1 : 0) << 16 |
         choice.shape << 17;
}

VariantChoice ChoiceOf(int variant_id) {
  return {static_cast<cost::AxisMask>(variant_id & 0xff), variant_id >> 8 & 0xff, (variant_id >> 16 & 1) != 0,
          variant_id >> 17};
}

cluster::Mesh LogicalMesh(const inter::Submesh& submesh, int variant_id) {
  return LogicalShapes(submesh)[static_cast<size_t>(ChoiceOf(variant_id).shape)].mesh;
}

}  // namespace alpa::driver
