// Whether a step can be run as so many microbatches, and how.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/driver/load_step.h"
#include "alpa/xla/engine.h"

namespace alpa::driver {

// kInvalidArgument when the step cannot be cut into that many; says why, with op and source line. With `per_microbatch`
// anything goes here: complete sums over the batch that later ops need are taken as those of one microbatch.
Status CheckMicrobatches(const LoadedStep& loaded, int64_t microbatches, bool per_microbatch);

// The batch dimension of each value of the step, by ValueId; -1 where it is not cut along the batch.
std::vector<int> BatchDimsOfValues(const LoadedStep& loaded);

// What the engine needs to run the step in that many pieces. kInvalidArgument as above; also with `per_microbatch`
// where examples are mixed by more than statistics, or the batch is not divisible.
Result<xla::MicrobatchSplit> MakeMicrobatchSplit(const LoadedStep& loaded, int64_t microbatches, bool per_microbatch);

}  // namespace alpa::driver
