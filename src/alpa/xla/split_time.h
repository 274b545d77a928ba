// The programs that run a step as microbatches: some many times, one once.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/xla/engine.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {

struct TimeProgram {
  std::unique_ptr<::xla::HloModule> module;  // its result is a flat tuple
  std::vector<StageValue> inputs;            // by parameter: arguments of the step (whole), the number, accumulators
};

// One pass over all microbatches.
struct Round {
  std::vector<int> accumulators;  // those that this round fills
  TimeProgram begin;              // run first: they start as zeros
  // Run for each microbatch: its first inputs are these accumulators, which it may overwrite, its results their next
  // values. 16-bit floats are summed in 32 bits; entries of examples are written in their places.
  TimeProgram microbatch;
};

// Where an output of the step comes from.
struct TimeOutput {
  bool updated = false;  // a result of the update program, else an accumulator
  int index = 0;
  bool operator==(const TimeOutput&) const = default;
};

// A step cut where sums over the batch are complete.
struct TimeSplit {
  int64_t count = 1;
  std::vector<::xla::Shape> accumulators;
  // A round can read what earlier rounds have summed up. More than one where something is needed of the whole batch
  // before its examples can be worked on: the number of tokens that count, for a masked mean.
  std::vector<Round> rounds;
  TimeProgram update;               // run once, behind all rounds
  std::vector<TimeOutput> outputs;  // of the step, in its order
};

// Cuts a step for `split.count` microbatches. kUnsupported, naming the op, where it does not fall apart into blocks and
// sums, or (without split.per_microbatch) a sum that depends on weights is needed for single examples.
Result<TimeSplit> SplitOverTime(const ImportedStep& step, const MicrobatchSplit& split);

}  // namespace alpa::xla
