// A range of layers as a program of its own: what one pipeline stage executes.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/frontend/analyze_step.h"
#include "alpa/frontend/layers.h"
#include "alpa/frontend/phases.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"

namespace alpa::frontend {

// What a value on the border of a segment is.
enum class BorderKind : uint8_t {
  kOwn,         // an input or output of the step itself
  kActivation,  // forward values of other layers, once per microbatch
  kCotangent,   // backward values of other layers, once per microbatch
  kShared,      // a parameter that another layer owns: comes once per step
  kSum,  // an accumulated gradient (or a part of one) or a scalar that updates of several layers share: once per step
};

std::string_view Name(BorderKind kind);  // "own", "activation", "cotangent", "shared", "sum"

struct Segment {
  ir::Module module;            // ops in the order of the step: forward, backward, update. Names are those of the step;
                                // recomputed copies are called "NAME.again", those of ops without a layer
                                // "NAME.again" and the number of the layer they are for
  ir::StepSignature signature;  // borders are batch inputs and results
  std::vector<ir::OpId> op_origin;        // by OpId: the op of the step (for border inputs: the producer)
  std::vector<ir::ValueId> value_origin;  // by ValueId: the value of the step
  std::vector<OpPhase> phases;            // by OpId; recomputed ops are backward
  std::vector<char> weight_gradient;      // by OpId, as in Layering
  std::vector<BorderKind> input_kinds;    // by input of `module`
  std::vector<BorderKind> output_kinds;   // by output of `module`
  std::vector<int> input_layers;          // by input: the layer it comes from, -1: an input of the step
  std::vector<int> step_outputs;          // by output: the output of the step that it is, -1: goes to other layers
};

// The ops of layers `first` .. `last`, and the free ops they read. Inputs: those of the step that the layers own or
// read, then what other layers give; outputs: the step's own, then what other layers read. With `recompute` only what
// enters a layer (and what the backward pass reads of it directly) is kept from forward to backward: in front of each
// layer's backward ops stand copies of the forward ops that they need.
// CHECKs that 0 <= first <= last < layering.count.
Segment ExtractSegment(const ir::Module& module, const StepAnalysis& analysis, const Layering& layering, int first,
                       int last, bool recompute);

// Whether both have the same ops with the same attributes and shapes in the same order, and the same inputs and
// outputs: then they differ in names at most.
bool SameOps(const Segment& a, const Segment& b);

// Equal for segments that cost the same: structure, phases, border kinds and batch dimensions of `segment`.
uint64_t StructuralHash(const Segment& segment, const BatchAnalysis& batch);

}  // namespace alpa::frontend
