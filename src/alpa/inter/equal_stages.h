// Plans by hand: given stages, and equal ones.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "alpa/inter/problem.h"
#include "alpa/inter/search.h"

namespace alpa::inter {

// Stages with these ranges of layers (first, last) on these submeshes, laid out one after the other over the hosts;
// each gets its fastest variant that fits in memory with the microbatches that it has in flight. Nothing if one has
// none, or devices run out. Schedule: not interleaved.
std::optional<FoundPlan> PlanOfStages(const SearchProblem& problem, int64_t microbatches, Schedule schedule,
                                      const std::vector<std::pair<int, int>>& ranges,
                                      const std::vector<Submesh>& submeshes);

// Equally many layers (as nearly as they can be) for each of `stages` stages.
std::vector<std::pair<int, int>> EqualRanges(int layers, int stages);

// The space of Megatron-LM and DeepSpeed: equal stages on equal submeshes that make up all devices, for every number of
// stages and of microbatches, by `schedule` (none are interleaved). The best `most` by closed form. Empty where hosts
// are not equal.
std::vector<FoundPlan> EqualStages(const SearchProblem& problem, Schedule schedule, size_t most);

}  // namespace alpa::inter
