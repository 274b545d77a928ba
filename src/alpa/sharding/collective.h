// Communication among the devices of a mesh, as costs and execution see it: which, over which axes, how much.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/units.h"
#include "alpa/cluster/mesh.h"

namespace alpa::sharding {

enum class CollectiveKind : uint8_t { kAllReduce, kAllGather, kReduceScatter, kAllToAll, kCollectivePermute };

// "all-reduce", ... as HLO writes them.
std::string_view Name(CollectiveKind kind);

// One collective. Groups are the devices that differ only in their coordinates along `axes` (ascending, no axis twice;
// all of extent > 1).
//
// `bytes` is the larger of what one device puts in and gets out: all-reduce, reduce-scatter and all-to-all the operand
// of one device, all-gather its result, collective-permute what it sends.
struct Collective {
  CollectiveKind kind = CollectiveKind::kAllReduce;
  std::vector<int> axes;
  Bytes bytes;
  bool operator==(const Collective&) const = default;
};

// Devices in each group.
int64_t GroupSize(const Collective& collective, const cluster::Mesh& mesh);

// "all-reduce over x, 1.50 MiB", "all-gather over xy, 12 B".
std::string ToString(const Collective& collective, const cluster::Mesh& mesh);

}  // namespace alpa::sharding
