// alpa serve: a step that another program trains, its state on our devices.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "alpa/base/result.h"
#include "alpa/driver/load_step.h"

namespace alpa::driver {

struct ServeOptions {
  LoadOptions load;
  GateOptions gate;
  int fd = -1;                         // a connected socket, inherited from who started us
  int64_t devices = 0;                 // 0: as many as the plan file says, or 1
  std::string plan = "data-parallel";  // or a plan file, or auto: what is fastest here (choose_plan.h)
  std::string cluster;                 // of plan auto: what alpa profile wrote; empty: local
  int64_t microbatches = 1;            // as of alpa run
  bool per_microbatch = false;
  std::filesystem::path backend;  // PJRT plugin; empty: virtual CPU devices
  bool cache = true;              // keep compiled programs on disk, for the next run
};

// Answers requests (messages as serve_wire.h has them) until the other side closes the socket; an answer is
// {"ok": true, ...}, or {"error": {"code", "message", "hint"}}, after which it goes on. Inputs and outputs are numbered
// as in the model.
//   at first, unasked:             the step: {"inputs": [{"name", "role", "dtype", "shape", "updated_by"}],
//                                  "outputs": [{"role", "updates", "dtype", "shape"}], "loss", "devices"}, with plan
//                                  auto also "plan", what it is in words; or the error
//                                  that ends it
//   {"op": "state", "inputs": L}   takes the arrays as values of the state inputs in L: all of them the first time
//                                  (which compiles the step) and after a step that failed
//   {"op": "step", "inputs": L}    takes the arrays as batch inputs L, the others being those of the step before, and
//                                  runs a step: {"loss", "seconds", "outputs": M}, with the small results, M
//   {"op": "fetch", "inputs": L, "outputs": M}   the present values of state inputs L, and results M of the last step
// Errors of the session (model, plan) go to the client and are no error of this function; those of the socket are.
Status Serve(const ServeOptions& options);

}  // namespace alpa::driver
