// alpa run: train a step on several devices.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/cluster/mesh.h"
#include "alpa/driver/load_step.h"

namespace alpa::driver {

inline constexpr int64_t kMostDevices = cluster::kMaxDevices;  // that --devices takes

struct RunOptions {
  LoadOptions load;
  GateOptions gate;
  int64_t devices = 0;                 // 0: as many as the plan file says, or 1
  std::string plan = "data-parallel";  // or a plan file, or auto: see choose_plan.h
  std::string cluster;                 // of plan auto: what alpa profile wrote; empty: local
  bool measure_again = false;          // with plan auto
  int64_t microbatches = 1;            // pieces the batch is run in, one after the other
  bool per_microbatch = false;         // also where batch statistics then become those of a microbatch
  std::filesystem::path save_plan;
  int64_t steps = 0;  // 0: those the golden file holds, or 10
  std::vector<std::filesystem::path> data;
  std::string init;                    // FILE or random:SEED; empty: the sidecar's rules, else random:0
  uint64_t seed = 0;                   // order of the data
  std::filesystem::path check;         // golden file
  std::filesystem::path check_report;  // what --check found, as JSON
  double tolerance = 1;                // factor on the tolerances of --check
  std::filesystem::path checkpoint;    // folder
  int64_t checkpoint_every = 0;        // steps; 0: at the end only
  int keep = 3;                        // newest checkpoints to keep
  bool resume = false;                 // from the newest checkpoint that is sound
  std::filesystem::path backend;       // PJRT plugin; empty: virtual CPU devices
  std::filesystem::path metrics;       // JSON lines
  std::filesystem::path loss_curve;    // SVG
  std::filesystem::path trace;         // of the last step, for Perfetto
  bool quiet = false;
  bool cache = true;      // keep compiled programs on disk, for the next run
  double hang_limit = 0;  // seconds without a step after which several processes end; 0: never
};

// Trains; progress on stderr, the outcome on stdout. Checkpoints are written while training goes on. kOutOfTolerance
// when --check fails; kInterrupted when SIGINT or SIGTERM came: the step was finished and, with a checkpoint folder,
// the state saved. Started by mpirun or srun, all processes train together: on one mesh that spans them, or each on the
// stages of its host; the first one prints and writes files.
Status Run(const RunOptions& options);

}  // namespace alpa::driver
