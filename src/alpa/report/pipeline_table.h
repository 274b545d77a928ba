// What a plan of several stages looks like on the terminal, and as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "alpa/base/units.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/schedule/pipeline.h"
#include "alpa/simulate/simulate.h"

namespace alpa::report {

// Another plan that was considered.
struct RunnerUp {
  int64_t microbatches = 1;
  std::string schedule;
  std::string stages;  // "4 x 1x8", "1x4 1x2 1x2"
  Seconds step;        // simulated
};

struct PipelinePage {
  const plan::PipelinePlan* plan = nullptr;
  const schedule::Pipeline* pipeline = nullptr;
  const simulate::Timeline* timeline = nullptr;
  int64_t batch = 0;      // examples in a step; 0: unknown
  int64_t devices = 0;    // of the cluster
  double peak_flops = 0;  // of all devices that the plan uses, per second, for the model's products; 0: unknown
  std::vector<std::pair<std::string, Bytes>> memory;  // limit by device type
  double gap = 0;
  Seconds interleaved_bound;  // lower than the plan's bound where interleaved plans are not settled
  bool complete = true;
  std::vector<RunnerUp> runners_up;
  std::vector<std::pair<std::string, Seconds>> times;  // of planning, by phase
};

std::string PipelineText(const PipelinePage& page);
std::string PipelineJson(const PipelinePage& page);

// Where a stage lies: "host 0: 0-3", "hosts 0-1: 0-7"; and its layers: "0-5", "6".
std::string PlaceText(const plan::StagePlacement& at);
std::string LayersText(const plan::PipelineStage& stage);

// The stages in short: "16 x 1x4", "1x2 1x2 1x4".
std::string StagesInShort(const plan::PipelinePlan& plan);

// How the devices of a simulated plan spend the step: shares of all their time.
struct TimeShares {
  double busy = 0, waiting = 0, bubble = 0;  // they add up to 1
};
TimeShares SharesOf(const PipelinePage& page);

}  // namespace alpa::report
