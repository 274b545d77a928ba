#include "alpa/plan/collective_totals.h"

namespace alpa::plan {

void CollectiveTotals::Add(const sharding::Collective& collective, int64_t times) {
  Add({{collective.kind, collective.axes, 1, collective.bytes}}, times);
}

void CollectiveTotals::Add(const std::vector<CollectiveTotal>& totals, int64_t times) {
  for (const CollectiveTotal& more : totals) {
    CollectiveTotal& total = totals_[{more.kind, more.axes}];
    total.kind = more.kind;
    total.axes = more.axes;
    total.count += more.count * times;
    total.bytes += more.bytes * times;
  }
}

std::vector<CollectiveTotal> CollectiveTotals::Get() const {
  std::vector<CollectiveTotal> out;
  for (const auto& [key, total] : totals_) out.push_back(total);
  return out;
}

}  // namespace alpa::plan
