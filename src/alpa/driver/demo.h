// alpa demo: the main job on one page. A byte-level GPT learns from text on virtual devices and writes some.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "alpa/base/result.h"

namespace alpa::driver {

struct DemoOptions {
  std::vector<std::filesystem::path> data;  // empty: the texts of the checkout
  int64_t devices = 8;
  int64_t steps = 200;
  std::filesystem::path out = "build/demo";  // loss.svg goes here
  std::string prompt = "The ";
};

// Trains, draws the loss curve, samples a few lines, and compares with the same steps on one device.
Status Demo(const DemoOptions& options);

}  // namespace alpa::driver
