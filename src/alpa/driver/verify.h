// alpa verify: does a plan give the numbers of one device?
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "alpa/base/result.h"
#include "alpa/driver/load_step.h"

namespace alpa::driver {

struct VerifyOptions {
  LoadOptions load;
  std::string plan;  // file: of one mesh, of several stages, or a family
  int64_t steps = 3;
  std::string init;      // as of alpa run
  double tolerance = 1;  // factor
  bool all = false;      // all tensors in the table
  bool cache = true;     // as of alpa run
};

// Trains the step on one device and as the plan says, from the same values on the same batch, and prints how far each
// tensor of the first and the last step differs, worst first. What is beyond its tolerance is allowed what rounding
// alone changes in the step (GoldenCheck::AllowForRounding). kOutOfTolerance when the plan differs by more.
Status VerifyPlan(const VerifyOptions& options);

}  // namespace alpa::driver
