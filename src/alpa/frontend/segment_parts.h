// What of a step belongs to a segment, and what crosses its borders.
#pragma once

#include <compare>
#include <map>
#include <vector>

#include "alpa/frontend/analyze_step.h"
#include "alpa/frontend/layers.h"
#include "alpa/frontend/segment.h"
#include "alpa/ir/module.h"

namespace alpa::frontend {

// A value of the step on its way between layers. One that is needed both with each microbatch and as a sum goes twice.
struct Border {
  ir::ValueId value = -1;
  BorderKind kind = BorderKind::kActivation;
  auto operator<=>(const Border&) const = default;  // NOLINT(modernize-use-nullptr): a bug of the check
};

inline constexpr int kNotInSegment = 3;  // behind all phases

struct SegmentParts {
  // By OpId of the step: the phase (as a number) in which the segment executes the op, or kNotInSegment. Ops without a
  // layer are there once, in the first phase that needs them.
  std::vector<int> phases;
  // With recomputation, by layer: ops that stand again in front of its backward ops.
  std::map<int, std::vector<ir::OpId>> again;
  std::vector<int> step_inputs;        // inputs of the step that the segment has, ascending
  std::vector<Border> border_inputs;   // what other layers compute
  std::vector<Border> border_outputs;  // what other layers read of these
};

SegmentParts ChooseSegmentParts(const ir::Module& module, const StepAnalysis& analysis, const Layering& layering,
                                int first, int last, bool recompute);

// The layer that gives an output of the step: that of the state it updates, else its producer's, else the last.
int LayerOfOutput(const ir::Module& module, const StepAnalysis& analysis, const Layering& layering, size_t output);

}  // namespace alpa::frontend
