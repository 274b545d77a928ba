// The closed forms of docs/design/07-inter-operator.md, in the parts that the searches share with EvaluatePlan.
#pragma once

#include <algorithm>
#include <cstdint>

#include "alpa/inter/problem.h"
#include "alpa/inter/search.h"

namespace alpa::inter {

// e of the design page: seconds per microbatch without transfers. `delays_weights`: what zb-h1 takes out of the way
// from end to end is left out.
inline double StageSeconds(const StageVariant& variant, int64_t microbatches, bool delays_weights) {
  const double seconds = variant.time() + variant.per_step / static_cast<double>(microbatches);
  const double hidden = std::min({variant.forward, variant.backward - variant.weight, variant.weight});
  return delays_weights ? seconds - hidden : seconds;
}

// Microbatches whose activations a stage holds at most, with `depth` stages from it to the end of the graph and
// `stages` in all. Weight gradients that zb-h1 delays keep them on every stage.
inline int64_t InFlight(Schedule schedule, int64_t microbatches, int depth, int stages) {
  if (schedule == Schedule::kGpipe && stages > 1) return microbatches;
  if (schedule == Schedule::kZbH1) depth = stages;
  return depth < microbatches ? depth : microbatches;
}

// Stage-microbatches on submesh `rank` of `ranks` with `chunks` stages each.
inline int64_t InterleavedInFlight(int64_t microbatches, int rank, int ranks, int chunks) {
  const int64_t most = 2 * (ranks - rank - 1) + int64_t{chunks - 1} * ranks + 1;
  return most < microbatches * chunks ? most : microbatches * chunks;
}

// c of the design page for one way: seconds per microbatch, there and back.
inline double TransferSeconds(const StageCosts::Transfer& transfer) { return transfer.forward + transfer.backward; }

// Largest e + c of the stages of a plan, as the closed form adds it up.
double Bottleneck(const SearchProblem& problem, const FoundPlan& plan);

}  // namespace alpa::inter
