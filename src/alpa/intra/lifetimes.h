// Which values take memory, and when.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/ir/module.h"
#include "alpa/ir/step.h"
#include "alpa/solver/problem.h"

namespace alpa::intra {

// How a value exists while the step runs. Time is the position of an op in Module::ops.
struct Lifetime {
  // Every device can make any part of it by itself at no cost: constants, iotas, scalars spread over a shape, and what
  // is computed from those alone. Such values take no memory and are never resharded.
  bool free = false;
  // It is written to memory. Not: free values, other views of one buffer (reshape), and element-wise results that a
  // kernel passes on to the only op that reads them.
  bool materialized = false;
  // Occupies memory in this range (empty when it does not). A new state value written over the old one (element-wise,
  // the input donated and not read afterwards) occupies none.
  solver::Interval live;
};

// By ValueId. State inputs live from beginning to end, batch inputs until they are last read. `accumulates` (by OpId,
// may be empty): results of these ops are added up over several runs, so they live from the beginning. `handed_over`
// (by output, may be empty): these outputs leave as soon as they are there, so they live no longer than the ops here
// that read them.
std::vector<Lifetime> FindLifetimes(const ir::Module& module, const ir::StepSignature& signature,
                                    const std::vector<char>& accumulates = {},
                                    const std::vector<char>& handed_over = {});

// When results of `op` occupy memory: from the first begin to the last end; empty when none does.
solver::Interval LiveOf(const ir::Op& op, const std::vector<Lifetime>& lifetimes);

// One element, so it lies on every device.
bool IsScalarLike(const ir::Shape& shape);

}  // namespace alpa::intra
