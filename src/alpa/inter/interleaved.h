// Interleaved schedules: several stages on each submesh (Megatron-LM, SC 2021, §2.2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "alpa/inter/chain_search.h"
#include "alpa/inter/search.h"

namespace alpa::inter {

struct InterleavedQuery {
  const std::vector<FoundPlan>& known;  // only what is better than the last of `top` of these is of interest
  size_t top = 1;
  int stages = 0;  // as SearchOptions
  double tolerance = 0;
  const std::function<bool()>& cancelled;
};

struct InterleavedResult {
  std::vector<FoundPlan> plans;
  double bound = 0;      // no interleaved plan with so many microbatches takes less
  bool complete = true;  // false: cancelled
  int64_t states = 0;
};

// Depth-first branch and bound over the stages of the outermost chain, for each submesh, number of submeshes and stages
// on each. The submeshes lie side by side from the end of the order of hosts on. Each of these searches ends after a
// fixed amount of work; then `bound` is that of its root, and the tolerance need not hold.
InterleavedResult SearchInterleaved(const StageSpace& space, int64_t microbatches, const InterleavedQuery& query);

}  // namespace alpa::inter
