#include "alpa/inter/shortage.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "alpa/inter/cell_search.h"
#include "alpa/inter/stage_table.h"

namespace alpa::inter {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kPrecision = 0.01;  // of the factor by which memory is short
constexpr double kMostScale = 1e6;   // where more memory is believed not to help
constexpr double kAnyPlan = 1e12;    // a tolerance with which the first plan will do

double Fullness(const Shortage& shortage) { return shortage.needed / shortage.available; }

// The layer that is furthest from fitting where it fits best, alone and with one microbatch in flight. Nothing when all
// fit.
std::optional<Shortage> LargestLayer(const StageSpace& space) {
  const SearchProblem& problem = space.problem;
  std::optional<Shortage> worst;
  for (int layer = 0; layer < problem.layers; ++layer) {
    std::optional<Shortage> best;
    for (const int64_t microbatches : problem.microbatches) {
      for (const Submesh& submesh : space.submeshes) {
        for (const StageVariant& variant : problem.costs->Variants(layer, layer, submesh, microbatches)) {
          const Shortage one{layer, layer, submesh, microbatches, variant.memory(1), problem.memory[submesh.type]};
          if (!best || Fullness(one) < Fullness(*best)) best = one;
        }
      }
    }
    if (best && best->needed > best->available && (!worst || Fullness(*best) > Fullness(*worst))) worst = best;
  }
  return worst;
}

// A plan that fits when devices have `scale` times their memory.
std::optional<FoundPlan> AnyPlan(const StageSpace& space, int stages, double scale,
                                 const std::function<bool()>& cancelled) {
  SearchProblem problem = space.problem;
  for (double& memory : problem.memory) memory *= scale;
  const StageSpace scaled{problem, space.graph, space.submeshes, space.orders};
  for (const int64_t microbatches : problem.microbatches) {
    const StageTables tables = MakeStageTables(problem, space.graph, space.submeshes, microbatches, true);
    TransferTable transfers(problem, space.submeshes, tables);
    for (const NamedCell& one : ListCells(scaled, stages)) {
      if (cancelled && cancelled()) return std::nullopt;
      const CellCosts costs = MakeCellCosts(scaled, tables, one.cell.schedule, &transfers);
      CellResult result = SearchCell(scaled, one.cell, costs, {kInfinity, kAnyPlan, cancelled});
      if (result.plan) return result.plan;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Shortage> FindShortage(const StageSpace& space, int stages, const std::function<bool()>& cancelled) {
  if (std::optional<Shortage> layer = LargestLayer(space)) return layer;
  double low = 1, high = 2;
  std::optional<FoundPlan> plan = AnyPlan(space, stages, high, cancelled);
  if (!plan) {
    // Before many steps, whether it is memory at all.
    if (!AnyPlan(space, stages, kMostScale, cancelled)) return std::nullopt;
    while (!plan && high < kMostScale && !(cancelled && cancelled())) {
      low = high;
      high *= 2;
      plan = AnyPlan(space, stages, high, cancelled);
    }
  }
  while (plan && high - low > kPrecision * high && !(cancelled && cancelled())) {
    const double middle = low + (high - low) / 2;
    std::optional<FoundPlan> fits = AnyPlan(space, stages, middle, cancelled);
    (fits ? high : low) = middle;
    if (fits) plan = std::move(fits);
  }
  if (!plan) return std::nullopt;
  Shortage fullest;
  for (const Stage& stage : plan->stages) {
    const Shortage one{stage.first,
                       stage.last,
                       stage.submesh,
                       plan->microbatches,
                       stage.variant.memory(stage.in_flight),
                       space.problem.memory[stage.submesh.type]};
    if (fullest.available == 0 || Fullness(one) > Fullness(fullest)) fullest = one;
  }
  return fullest;
}

}  // namespace alpa::inter
