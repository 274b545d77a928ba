// What a simulated step looks like on the terminal, and as JSON.
#pragma once

#include <cstdint>
#include <string>

#include "alpa/base/units.h"
#include "alpa/cluster/cluster.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/schedule/pipeline.h"
#include "alpa/simulate/simulate.h"

namespace alpa::report {

struct SimulationPage {
  const plan::PipelinePlan* plan = nullptr;
  const cluster::Cluster* cluster = nullptr;
  const schedule::Pipeline* pipeline = nullptr;
  const simulate::Timeline* timeline = nullptr;
  int64_t instructions = 0;
  Seconds took;  // by scheduling and simulating
};

std::string SimulationText(const SimulationPage& page);
std::string SimulationJson(const SimulationPage& page);

}  // namespace alpa::report
