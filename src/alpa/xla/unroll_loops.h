// Counted loops become straight code.
#pragma once

#include <cstdint>

#include "alpa/base/result.h"

namespace xla {
class HloModule;
}

namespace alpa::xla {

// Replaces each `while` of the entry computation whose number of trips follows from constants (lax.scan, fori_loop with
// fixed bounds) by its iterations, innermost loops last, as long as the module grows by at most `max_ops` instructions
// in all. Loops whose condition depends on data stay. Expects inlined calls. Indices that were loop counters become
// constants: dynamic slices at such places become slices. Returns the number of loops unrolled.
Result<int> UnrollLoops(::xla::HloModule& module, int64_t max_ops);

}  // namespace alpa::xla
