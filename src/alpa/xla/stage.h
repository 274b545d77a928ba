// One stage of a pipeline as the programs that its devices run: what is asked for, and what comes back. No XLA header.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/ir/module.h"
#include "alpa/ir/shape.h"
#include "alpa/xla/imported_step.h"

namespace alpa::xla {

// When an op of a stage runs: once per microbatch (kWeight: the part of the backward pass that no other stage waits
// for), or once per step.
enum class StagePass : uint8_t { kForward, kBackward, kWeight, kUpdate };

// When an output leaves: with each microbatch (as an activation, a cotangent, or a result with entries for its
// examples), or once per step.
enum class StageOutput : uint8_t { kOnce, kActivation, kCotangent, kExamples };

// A stage to be cut out of a step.
struct StageCut {
  // The stage's ops, whole batch. Each is made of the instruction of the same name in the step (or of what stands in
  // front of a '[' in its name, with the attributes given here).
  ir::Module module;
  MicrobatchSplit split;          // of `module`
  std::vector<StagePass> passes;  // by OpId
  // Whether the backward pass computes forward values again, all but those that `keep` (by ValueId) allows. Otherwise
  // it keeps what it reads.
  bool recompute = false;
  std::vector<char> keep;
  // By input: comes anew with each microbatch (else once per step); is one microbatch's part of a sum over all; depends
  // on weights.
  std::vector<char> each, part, uses_state;
  // By output: when it leaves; whether it is this microbatch's part of a sum.
  std::vector<StageOutput> output;
  std::vector<char> output_part;
  // By output that leaves once: -1: right behind the last microbatch; else the round of the
  // update that computes it.
  std::vector<int> round;
  int update_rounds = 1;
  bool split_backward = false;  // kWeight ops have a program of their own
  bool half_sums = false;       // sums of 16-bit floats over microbatches have 16 bits as well, else 32
};

// A value that goes into or out of a program of a stage.
struct StageValue {
  enum class Kind : uint8_t {
    kInput,        // input `index` of the stage; where it belongs to examples, the block of one microbatch
    kNumber,       // the number of the microbatch, u32
    kKept,         // forward value number `index`, kept for the backward programs
    kGiven,        // backward value number `index`, kept for the weight program
    kAccumulator,  // accumulator `index`
    kOutput,       // output `index` of the stage; where it belongs to examples or is a part, of one microbatch
  };
  Kind kind = Kind::kInput;
  int index = 0;
  auto operator<=>(const StageValue&) const = default;  // NOLINT(modernize-use-nullptr): a bug of the check
};

// A program: its module's inputs and outputs, and what they are. Ops are named as in StageCut::module; copies of
// forward ops in a backward program end in ".again".
struct StageProgram {
  ImportedStep step;
  std::vector<StageValue> inputs, outputs;
  bool empty() const { return outputs.empty(); }
};

struct StagePrograms {
  StageProgram begin;     // at the start of a step: all accumulators, as zeros
  StageProgram prologue;  // for each microbatch in front of the step's first forward: sums that examples need
  StageProgram forward, backward, weight;
  // [0]: behind the last microbatch; [1 + r]: round r of the update.
  std::vector<StageProgram> once;
  // By accumulator: the op (in StageCut::module) whose result it sums up, -1 when unknown.
  std::vector<ir::OpId> accumulated;
  // By kept and given value: the result that it is, -1 when it has no name.
  std::vector<ir::ValueId> kept, given;
};

}  // namespace alpa::xla
