// What a step did and when.
#pragma once

#include <vector>

#include "alpa/base/units.h"
#include "alpa/schedule/program.h"

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
  Bytes memory = {};     // peak per device
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

}  // namespace alpa::runtime
