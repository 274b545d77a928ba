// alpa doctor: what this machine has and lacks.
#pragma once

#include <cstdint>
#include <filesystem>

#include "alpa/base/result.h"

namespace alpa::driver {

struct DoctorOptions {
  int64_t devices = 8;            // virtual devices to try
  std::filesystem::path backend;  // a PJRT plugin to try
  bool json = false;
};

// Looks at the processor, memory, XLA, devices (which compute and communicate), MPI, plugin and cache, and prints what
// it found and what to do. kEnvironment when something keeps alpa from working.
Status Doctor(const DoctorOptions& options);

}  // namespace alpa::driver
