// Runs the programs of alpa/profile on a client and takes their time.
#pragma once

#include <cstdint>
#include <string>

#include "alpa/base/result.h"
#include "alpa/profile/probes.h"
#include "alpa/sharding/collective.h"
#include "alpa/xla/engine.h"

namespace alpa::driver {

struct ProbeTime {
  double seconds = 0;  // of one run: the median of the faster half, since other load only makes things slower
  int64_t inside = 0;  // collectives of the kind asked for in the program as compiled
};

// Compiles `text` for `devices` devices, laid out as `layout` says (default: all copied), and runs it on zeros: once to
// warm up, then for at least 0.1 s and nine times. `kind`: which collectives to count.
Result<ProbeTime> TimeProbe(xla::Engine& engine, xla::Client& client, const std::string& text, int64_t devices,
                            const profile::ProbeLayout& layout = {},
                            sharding::CollectiveKind kind = sharding::CollectiveKind::kAllReduce);

}  // namespace alpa::driver
