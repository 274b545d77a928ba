// The best plans that differ.
#pragma once

#include <cstddef>
#include <vector>

#include "alpa/inter/search.h"

namespace alpa::inter {

// Best first; what makes plans differ (microbatches, schedule, number of stages) decides between equal ones.
bool Better(const FoundPlan& a, const FoundPlan& b);

// Adds plans to those known, best first; of plans that do not differ the best one stays, and `most` in all.
void AddPlans(const std::vector<FoundPlan>& plans, size_t most, std::vector<FoundPlan>* known);

// A plan has to take less than this to become one of the `most` best; infinity while there are fewer.
double Threshold(const std::vector<FoundPlan>& known, size_t most);

}  // namespace alpa::inter
