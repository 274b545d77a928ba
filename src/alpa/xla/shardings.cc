#include "alpa/xla/shardings.h"

#include <algorithm>
#include <map>

#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

int64_t Extent(const cluster::Mesh& mesh, int axis) { return mesh.shape[static_cast<size_t>(axis)]; }

DeviceGroups Sorted(DeviceGroups groups) {
  for (auto& group : groups) std::sort(group.begin(), group.end());
  std::sort(groups.begin(), groups.end());
  return groups;
}

}  // namespace

std::vector<int> LiveAxes(const cluster::Mesh& mesh) {
  std::vector<int> out;
  for (size_t a = 0; a < mesh.shape.size(); ++a) {
    if (mesh.shape[a] > 1) out.push_back(static_cast<int>(a));
  }
  return out;
}

::xla::HloSharding ToHloSharding(const sharding::Spec& spec, int rank, const cluster::Mesh& mesh) {
  std::vector<int64_t> tiles;
  std::vector<int> order;  // mesh axes in the order in which tiles are counted
  int64_t used = 1;
  for (int d = 0; d < rank; ++d) {
    tiles.push_back(sharding::Parts(spec, d, mesh));
    used *= tiles.back();
    if (spec.dims.empty()) continue;
    const auto& axes = spec.dims[static_cast<size_t>(d)];
    order.insert(order.end(), axes.begin(), axes.end());
  }
  if (used == 1) return ::xla::HloSharding::Replicate();
  for (int a = 0; a < static_cast<int>(mesh.shape.size()); ++a) {
    if (std::find(order.begin(), order.end(), a) == order.end()) order.push_back(a);
  }
  const int64_t copies = mesh.size() / used;
  if (copies > 1) tiles.push_back(copies);
  const ::xla::TileAssignment assignment(tiles, mesh.shape, order);
  return copies > 1 ? ::xla::HloSharding::PartialTile(assignment) : ::xla::HloSharding::Tile(assignment);
}

DeviceGroups GroupsAlong(const std::vector<int>& axes, const cluster::Mesh& mesh) {
  std::map<std::vector<int64_t>, std::vector<int64_t>> groups;  // by the coordinates that a group shares
  for (int64_t device = 0; device < mesh.size(); ++device) {
    std::vector<int64_t> key = mesh.Coordinates(device);
    for (const int axis : axes) key[static_cast<size_t>(axis)] = 0;
    groups[key].push_back(device);
  }
  DeviceGroups out;
  for (auto& [key, group] : groups) out.push_back(std::move(group));
  return out;
}

std::optional<std::vector<int>> AxesOfGroups(const DeviceGroups& groups, const cluster::Mesh& mesh) {
  if (groups.empty()) return LiveAxes(mesh);
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (const auto& group : groups) {
    for (const int64_t device : group) pairs.emplace_back(group.front(), device);
  }
  const std::vector<int> axes = AxesOfPairs(pairs, mesh);
  if (Sorted(groups) != Sorted(GroupsAlong(axes, mesh))) return std::nullopt;
  return axes;
}

std::vector<int> AxesOfPairs(const std::vector<std::pair<int64_t, int64_t>>& pairs, const cluster::Mesh& mesh) {
  std::vector<bool> differs(mesh.shape.size(), false);
  for (const auto& [source, target] : pairs) {
    const auto a = mesh.Coordinates(source);
    const auto b = mesh.Coordinates(target);
    for (size_t i = 0; i < a.size(); ++i) differs[i] = differs[i] || a[i] != b[i];
  }
  std::vector<int> out;
  for (size_t i = 0; i < differs.size(); ++i) {
    if (differs[i]) out.push_back(static_cast<int>(i));
  }
  return out;
}

bool SameLayout(const sharding::Spec& a, const sharding::Spec& b, int rank, const cluster::Mesh& mesh) {
  auto live = [&](const sharding::Spec& spec) {
    std::vector<std::vector<int>> out(static_cast<size_t>(rank));
    for (size_t d = 0; d < spec.dims.size(); ++d) {
      for (const int axis : spec.dims[d]) {
        if (Extent(mesh, axis) > 1) out[d].push_back(axis);
      }
    }
    return out;
  };
  return live(a) == live(b);
}

}  // namespace alpa::xla
