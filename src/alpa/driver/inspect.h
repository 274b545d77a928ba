// alpa inspect: what is in a model.
#pragma once

#include "alpa/base/result.h"
#include "alpa/driver/load_step.h"

namespace alpa::driver {

struct InspectOptions {
  LoadOptions load;
  GateOptions gate;
  bool json = false;
};

// Prints the report on stdout.
Status Inspect(const InspectOptions& options);

}  // namespace alpa::driver
