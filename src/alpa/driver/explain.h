// alpa explain: where each input of a step lies by a plan.
#pragma once

#include <filesystem>
#include <string>

#include "alpa/base/result.h"
#include "alpa/driver/load_step.h"

namespace alpa::driver {

struct ExplainOptions {
  LoadOptions load;
  std::filesystem::path plan;  // of one mesh or of several stages
  std::string name;            // only inputs whose names hold this; empty: all
  bool json = false;
};

// Prints for each input of the model the stages that have it, its layout there, and what a device holds of it.
Status Explain(const ExplainOptions& options);

}  // namespace alpa::driver
