// alpa simulate: a plan of several stages, executed in simulated time.
#pragma once

#include <filesystem>
#include <string>

#include "alpa/base/result.h"

namespace alpa::driver {

struct SimulateOptions {
  std::filesystem::path plan;
  std::string cluster;                 // name or file; empty: the plan's
  std::string schedule;                // instead of the plan's; empty: the plan's
  int64_t microbatches = 0;            // of the same size as the plan's; 0: as many as the plan's
  std::filesystem::path trace;         // write a timeline for Perfetto here
  int trace_microbatches = 64;         // that many of them, and the last; 0: all
  std::filesystem::path instructions;  // write the instruction lists here
  bool json = false;
};

// Reads, checks, simulates and prints. kInvalidInput when the file is no plan of several stages.
Status Simulate(const SimulateOptions& options);

}  // namespace alpa::driver
