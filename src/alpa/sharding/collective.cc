#include "alpa/sharding/collective.h"

#include <fmt/format.h>

namespace alpa::sharding {

std::string_view Name(CollectiveKind kind) {
  switch (kind) {
    case CollectiveKind::kAllReduce:
      return "all-reduce";
    case CollectiveKind::kAllGather:
      return "all-gather";
    case CollectiveKind::kReduceScatter:
      return "reduce-scatter";
    case CollectiveKind::kAllToAll:
      return "all-to-all";
    case CollectiveKind::kCollectivePermute:
      return "collective-permute";
  }
  return "";
}

int64_t GroupSize(const Collective& collective, const cluster::Mesh& mesh) {
  int64_t n = 1;
  for (const int axis : collective.axes) n *= mesh.shape[static_cast<size_t>(axis)];
  return n;
}

std::string ToString(const Collective& collective, const cluster::Mesh& mesh) {
  const std::string axes = cluster::AxisNames(mesh, collective.axes);
  return fmt::format("{} over {}, {}", Name(collective.kind), axes, ToString(collective.bytes));
}

}  // namespace alpa::sharding
