#include "alpa/plan/collective_totals.h"

namespace alpa::plan {

void CollectiveTotals::Add(const sharding::Collective& collective, int64_t times) {
  CollectiveTotal& total = totals_[{collective.kind, collective.axes}];
  total.kind = collective.kind;
  total.axes = collective.axes;
  total.count += times;
  total.bytes += collective.bytes * times;
}

std::vector<CollectiveTotal> CollectiveTotals::Get() const {
  std::vector<CollectiveTotal> out;
  for (const auto& [key, total] : totals_) out.push_back(total);
  return out;
}

}  // namespace alpa::plan
