#include "alpa/inter/plan_list.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

namespace alpa::inter {

bool Better(const FoundPlan& a, const FoundPlan& b) {
  return std::tuple(a.seconds, a.microbatches, a.schedule, a.stages.size()) <
         std::tuple(b.seconds, b.microbatches, b.schedule, b.stages.size());
}

void AddPlans(const std::vector<FoundPlan>& plans, size_t most, std::vector<FoundPlan>* known) {
  known->insert(known->end(), plans.begin(), plans.end());
  std::stable_sort(known->begin(), known->end(), Better);
  std::vector<FoundPlan> kept;
  for (FoundPlan& plan : *known) {
    const bool is_new = std::none_of(kept.begin(), kept.end(), [&](const FoundPlan& other) {
      return other.microbatches == plan.microbatches && other.schedule == plan.schedule &&
             other.stages.size() == plan.stages.size();
    });
    if (is_new && kept.size() < most) kept.push_back(std::move(plan));
  }
  *known = std::move(kept);
}

double Threshold(const std::vector<FoundPlan>& known, size_t most) {
  return known.size() < most ? std::numeric_limits<double>::infinity() : known.back().seconds;
}

}  // namespace alpa::inter
