// Runs a step as a pipeline: each mesh executes its list of instructions in a thread of its own (Alpa §6).
#pragma once

#include <memory>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/process/group.h"
#include "alpa/process/watch.h"
#include "alpa/runtime/pipeline.h"
#include "alpa/xla/engine.h"

namespace alpa::runtime {

// One executed instruction, in seconds since the step began.
struct TimedInstruction {
  schedule::Instruction instruction;
  double start = 0, end = 0;
};

// Where the time of a mesh went in a step, in seconds.
struct MeshTimes {
  double computing = 0;  // in XLA's programs
  double waiting = 0;    // for values of other meshes
  bool here = false;     // in this process
};

struct StepTimeline {
  std::vector<std::vector<TimedInstruction>> meshes;
  std::vector<MeshTimes> times;  // by mesh
  double wall = 0;

  // The largest part of the step that a mesh spent neither computing nor waiting.
  double overhead() const;
  // The part of the step in which the meshes of this process computed nothing, on average.
  double bubble() const;
};

struct PipelineOptions {
  StepTimeline* timeline = nullptr;  // set by every run
  // One process for each host of the plan, which all make the same calls in the same order; null: this one alone.
  process::Group* group = nullptr;
  process::Watch* watch = nullptr;  // is told what each mesh does
};

// Compiles the programs of all stages, each for its mesh: clients[m] has the devices of mesh m (null: they are all in
// other processes), and outlives the result. Its arguments and results are those of the step: arguments made by
// HostArray or results of earlier runs; state that is given is used up.
Result<std::unique_ptr<xla::Executable>> MakePipelineExecutable(const std::vector<xla::Client*>& clients,
                                                                const PipelineSetup& setup,
                                                                const PipelineOptions& options);

// An array in host memory, as an argument.
std::unique_ptr<xla::Array> HostArray(ir::HostTensor tensor);

}  // namespace alpa::runtime
