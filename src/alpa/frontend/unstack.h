// Takes stacked parameters apart: a model written as a scan over its layers keeps each parameter of all layers in one
// array [layers, ...]. Behind the transformation every layer has inputs, updates and outputs of its own, so that a
// stage holds its layers' parameters only.
#pragma once

#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"

namespace alpa::frontend {

// Where an input or output of the new step comes from.
struct StackPart {
  int whole = -1;  // the input or output of the old step
  int part = -1;   // the index along its first dimension, whose extent here is 1; -1: it is that input or output itself
  bool operator==(const StackPart&) const = default;
};

struct Unstacked {
  ir::Module module;  // parts of NAME are called "NAME[0]", "NAME[1]", ..., and lie where it lay
  ir::StepSignature signature;
  std::vector<StackPart> inputs;   // by input of `module`
  std::vector<StackPart> outputs;  // by output of `module`
  int stacks = 0;                  // inputs that were taken apart
};

// A parameter is taken apart when the step reads it only by single parts along the first dimension, each at least once,
// and when all that leads from it to its next value (gradients put together from parts, moments, norms, updates) works
// part by part or sums over parts; the state on that way is taken apart with it. Everything else stays as it is; a step
// without such parameters comes back unchanged. Time linear in the size of the result.
// kInvalidInput when the signature does not fit the module.
Result<Unstacked> UnstackParameters(const ir::Module& module, const ir::StepSignature& signature);

}  // namespace alpa::frontend
