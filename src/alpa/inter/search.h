// The stage search (Alpa §5.1 without its limits): which layers run on which devices, in how many microbatches, by
// which schedule.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/inter/problem.h"

namespace alpa::inter {

// One stage. `chunk` > 0 only in interleaved schedules, where several stages share one submesh.
struct Stage {
  int first = 0, last = 0;  // layers
  Submesh submesh;
  int first_host = 0, first_device = 0;  // where the submesh lies: host of the cluster, device within the host
  int chunk = 0;
  int64_t in_flight = 1;  // microbatches whose activations it holds at most
  StageVariant variant;
  std::vector<int> next;  // stages that read from it
};

struct FoundPlan {
  int64_t microbatches = 1;
  Schedule schedule = Schedule::k1F1B;
  std::vector<Stage> stages;  // in the order of their layers
  double seconds = 0;         // by the closed form of docs/design/07-inter-operator.md
};

struct SearchOptions {
  int top = 8;     // so many plans, the best ones that differ
  int stages = 0;  // so many entries in FoundPlan::stages; 0: any number
  // Relative error allowed for the sake of speed: the best plan found costs at most (1 + this) times the best there is.
  // Not where interleaved plans are searched, whose search ends after a fixed amount of work; SearchResult::bound
  // tells.
  double tolerance = 0;
  int threads = 0;  // 0: one per core; the answer does not depend on it
  // Asked often, from all threads; true: the best so far is the answer.
  std::function<bool()> cancelled;
  // Share of the work, never less than before, and seconds of the best plan (infinity: none). From one thread at a
  // time.
  std::function<void(double done, double best)> progress;
};

// Why nothing fits. Either a layer that fits on no devices even if it has them for itself, or, when every layer has a
// place where it would fit, the fullest stage of the plan that would fit if all devices had a little more memory.
struct Shortage {
  int first = 0, last = 0;  // layers of the stage that needs most
  Submesh submesh;
  int64_t microbatches = 1;
  double needed = 0, available = 0;  // bytes per device
};

struct SearchResult {
  // Best first; empty when nothing fits. No two agree in microbatches, schedule and number of stages. Tolerance and
  // bound hold for the first one; the others are the best there are unless finding them takes too long.
  std::vector<FoundPlan> plans;
  double bound = 0;                  // no plan of this space costs less; infinity: nothing fits
  double flat_bound = 0;             // the same without interleaved plans, whose search gives up after some work
  bool complete = true;              // false: cancelled; the bound still holds, but may be 0
  std::optional<Shortage> shortage;  // when nothing fits, unless more memory would not help
  int64_t states = 0;                // of the dynamic programs, for curiosity
  Seconds elapsed;
};

// The best plans over all of: number of microbatches, stages (ranges of layers; branches may run on devices of their
// own), submeshes (all the devices of whole hosts, or part of one host), device types, variants, schedule.
SearchResult SearchStages(const SearchProblem& problem, const SearchOptions& options);

// The closed form by which the search compares plans; also for plans that others made (stages' submeshes, variants and
// order given). Infinity when a stage does not fit in its memory. Sets in_flight of each stage.
double EvaluatePlan(const SearchProblem& problem, FoundPlan* plan);

// Sets `next` of each stage from the layers that the stages have; every layer has to be in one stage, and every stage
// has to be a range of items of one chain, or the end of a block's last branch with items that follow the block.
void LinkStages(const SearchProblem& problem, FoundPlan* plan);

}  // namespace alpa::inter
