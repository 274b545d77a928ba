// The step as one microbatch sees it.
#pragma once

#include <cstdint>

#include "alpa/base/result.h"
#include "alpa/frontend/batch_dims.h"
#include "alpa/ir/module.h"

namespace alpa::frontend {

// The module with every batch dimension (BatchInfo::dim of batched values) divided by `microbatches`: same ops, same
// order, same ids. For costs and layouts only; constants such as 1 / batch stay those of the whole batch. What runs
// once per step (update) has no batch dimension and is unchanged. kInvalidArgument when a batched value cannot be cut
// into that many blocks.
Result<ir::Module> ScaleBatch(const ir::Module& module, const BatchAnalysis& batch, int64_t microbatches);

}  // namespace alpa::frontend
