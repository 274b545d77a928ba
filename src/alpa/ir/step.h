// What the inputs and outputs of a training step are for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/ir/module.h"

namespace alpa::ir {

enum class InputRole : uint8_t {
  kParameter,  // state that the loss depends on through differentiable values: weights
  kState,      // state that it does not: optimizer moments, counters, running statistics, random keys
  kBatch,      // new data each step
};
std::string_view Name(InputRole role);  // "parameter", "state", "batch"

enum class OutputRole : uint8_t {
  kUpdatedState,  // the next step's value of a state input
  kResult,        // loss, metrics: goes to the user
};
std::string_view Name(OutputRole role);  // "state", "result"

struct StepInput {
  InputRole role = InputRole::kBatch;
  int32_t updated_by = -1;  // state: the output that carries its next value
  bool donated = false;     // the export allows its memory to be reused
  bool operator==(const StepInput&) const = default;
};

struct StepOutput {
  OutputRole role = OutputRole::kResult;
  int32_t updates = -1;  // updated state: the input it replaces
  bool operator==(const StepOutput&) const = default;
};

// One entry per input and output of the module, in its order.
struct StepSignature {
  std::vector<StepInput> inputs;
  std::vector<StepOutput> outputs;
  int32_t loss = -1;  // the output that is the loss; -1 when there is none

  bool operator==(const StepSignature&) const = default;
};

// Checks that the signature fits the module: lengths, and that state inputs and outputs point at each other with equal
// shapes.
Status Verify(const StepSignature& signature, const Module& module);

}  // namespace alpa::ir
