// A training step as the engine reads it, and how it is cut over time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alpa/ir/module.h"

namespace alpa::xla {

struct ImportOptions {
  std::string source;                  // file name, for messages
  int64_t max_unrolled_ops = 100'000;  // loops whose unrolled body would pass this stay loops
};

// A training step, cleaned up: calls inlined, counted loops unrolled, dead and common code dropped.
struct ImportedStep {
  ir::Module module;
  std::string hlo;  // the same step as a serialized HloModuleProto; op names agree with the module's
};

// How a step is run as microbatches, one after the other, with what sums over the batch accumulated between them.
struct MicrobatchSplit {
  int64_t count = 1;
  // By ValueId of the step's module: the dimension along which a microbatch's part of the value is a block of the
  // whole; -1 where it is none (weights, sums over the batch).
  std::vector<int> batch_dims;
  // Sums over the batch that depend on weights and that each example needs (batch statistics) become those of each
  // microbatch, scaled to the whole batch: another step than the unsplit one. Otherwise such a step is refused.
  bool per_microbatch = false;
};

}  // namespace alpa::xla
