// What stands in the way of running the batch in pieces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/frontend/batch_dims.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"

namespace alpa::frontend {

struct Obstacle {
  enum class Kind : uint8_t {
    kNotSeparable,   // a later op on blocks needs a complete sum that depends on weights (statistics of batch norm)
    kFolded,         // the batch is reduced by a maximum, product, ...: such results do not add up
    kMixed,          // an op mixes examples
    kPrologue,       // a complete sum of the batch inputs alone is needed first (the number of tokens that count)
    kRegrouped,      // examples are put together, which limits the number of microbatches
    kBatchedResult,  // a result has one entry per example: to be put together from all microbatches
    kBatchedState,   // the next value of a state input has one entry per example
    kPosition,       // an op treats examples by their place in the batch: each microbatch needs its number
    kRandom,         // random bits are drawn for the whole batch: each microbatch needs its share
  };
  Kind kind = Kind::kMixed;
  ir::OpId op = -1;  // the op to blame
  int count = 1;     // ops like this one, it included
  std::string text;  // the whole story, ops and source lines included
};
std::string_view Name(Obstacle::Kind kind);  // "not-separable", "folded", "mixed", "prologue", ...

// Without a change of the model the batch runs in one piece. The other kinds are notes: what the runtime has to do.
bool Blocks(Obstacle::Kind kind);

struct Microbatching {
  int accumulations = 0;  // ops that sum over the batch: what GSPMD would all-reduce over an axis of time
  int levels = 0;  // rounds of accumulation the step needs (0: no batch); more than one where it is not separable
  int64_t max_microbatches = 1;     // every divisor of it works too; 1 when something blocks
  std::vector<Obstacle> obstacles;  // blocking ones first; alike ones (same kind and source line) once, with a count

  bool separable() const;
};

Microbatching FindObstacles(const ir::Module& module, const ir::StepSignature& signature, const BatchAnalysis& batch);

}  // namespace alpa::frontend
