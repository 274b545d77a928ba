// From a pipeline's shape to what each mesh does.
#pragma once

#include "alpa/base/result.h"
#include "alpa/schedule/pipeline.h"
#include "alpa/schedule/program.h"

namespace alpa::schedule {

// The instruction lists of a step under the pipeline's schedule. They pass Check. Receives stand directly before the
// instruction that needs the value, sends and frees directly behind the one that makes them possible, updates at the
// end. kInvalidArgument as Verify(pipeline). Linear in the number of instructions.
Result<Program> MakeInstructions(const Pipeline& pipeline);

}  // namespace alpa::schedule
