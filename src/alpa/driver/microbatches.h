// Whether a step can be run as so many microbatches, and how.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/driver/load_step.h"
#include "alpa/intra/candidates.h"
#include "alpa/xla/engine.h"

namespace alpa::driver {

// kInvalidArgument when the step cannot be cut into that many; says why, with op and source line. With `per_microbatch`
// anything goes here: complete sums over the batch that later ops need are taken as those of one microbatch.
Status CheckMicrobatches(const LoadedStep& loaded, int64_t microbatches, bool per_microbatch);

// The batch dimension of each value of the step, by ValueId; -1 where it is not cut along the batch.
std::vector<int> BatchDimsOfValues(const LoadedStep& loaded);

// What each op of `sized` does and how often, for planners: `sized` has the batch dimensions of one of `microbatches`
// microbatches; `phases` and `accumulates` (its result 0 is a sum over the batch that is made there) are by OpId.
std::vector<intra::OpWork> WorkOfOps(const ir::Module& sized, const std::vector<frontend::OpPhase>& phases,
                                     int64_t microbatches, const std::function<bool(ir::OpId)>& accumulates);

// What the engine needs to run the step in that many pieces. kInvalidArgument as above; also with `per_microbatch`
// where examples are mixed by more than statistics, or the batch is not divisible.
Result<xla::MicrobatchSplit> MakeMicrobatchSplit(const LoadedStep& loaded, int64_t microbatches, bool per_microbatch);

}  // namespace alpa::driver
