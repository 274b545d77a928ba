// The plan for the machine at hand: candidates by the cost model, the best few timed, the fastest remembered.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/driver/load_step.h"
#include "alpa/driver/session.h"
#include "alpa/xla/engine.h"

namespace alpa::driver {

inline constexpr std::string_view kAutoPlan = "auto";  // what --plan calls it

// One way to run the step here. `plan`, `devices` and `microbatches` mean what they mean in SessionOptions.
struct PlanChoice {
  std::string label;  // "2 devices, data parallel"
  std::string plan = "data-parallel";
  int64_t devices = 0;
  int64_t microbatches = 1;
  Seconds predicted;  // a step, by the cost model
  Seconds measured;   // a step: median, of the better of two rounds; 0: not measured

  bool operator==(const PlanChoice&) const = default;
};

struct ChooseOptions {
  LoadOptions load;
  std::string cluster;  // this machine: empty (local) or what alpa profile wrote
  int64_t most = 7;     // so many candidates are timed
  bool again = false;   // measure although there is a choice on disk
  bool quiet = false;   // no progress
};

struct MeasuredChoice {
  std::vector<PlanChoice> measured;  // the fastest first
  bool remembered = false;           // from disk: nothing was measured now
};

// Times one device with 1, 2, 4, 8 microbatches, data parallelism and the planner's layouts over 2, 4 and 8 devices,
// and pipelines of two stages, as far as the step allows them and the cost model puts them among the best. A candidate
// that cannot be compiled or run is left out. The outcome is kept in the cache folder under the fingerprint of the
// model, the machine and its profile. kUnsupported when no candidate runs.
Result<MeasuredChoice> ChoosePlan(xla::Engine& engine, const ChooseOptions& options);

// What is remembered, as JSON, and back. kCorrupt when it is not what ToJson writes.
std::string ToJson(const std::vector<PlanChoice>& choices);
Result<std::vector<PlanChoice>> ChoicesFromJson(std::string_view text);

// The measured candidates as a table, the fastest first.
std::string ChoicesText(const MeasuredChoice& choice);

// The candidates worth timing: the `most` with the least predicted time, and the first of all in any case (the step as
// it is, on one device); in the order of their predictions.
std::vector<PlanChoice> WorthTiming(std::vector<PlanChoice> candidates, int64_t most);

}  // namespace alpa::driver
