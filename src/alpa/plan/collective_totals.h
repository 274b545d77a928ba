// Adds up collectives by kind and axes: those a planner expects, and those that are in a program.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "alpa/plan/plan.h"
#include "alpa/sharding/collective.h"

namespace alpa::plan {

class CollectiveTotals {
 public:
  // Counts `collective` `times` times.
  void Add(const sharding::Collective& collective, int64_t times = 1);

  // Counts each of `totals` `times` times.
  void Add(const std::vector<CollectiveTotal>& totals, int64_t times);

  // By kind, then by axes.
  std::vector<CollectiveTotal> Get() const;

 private:
  std::map<std::pair<sharding::CollectiveKind, std::vector<int>>, CollectiveTotal> totals_;
};

}  // namespace alpa::plan
