#include "alpa/sharding/collective.h"

#include <fmt/format.h>

#include "alpa/base/result.h"

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
  ALPA_CHECK(false);
}

}  // namespace alpa::sharding
