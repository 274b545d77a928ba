// What a trace of alpa run says of a step.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/schedule/program.h"

namespace alpa::report {

// A piece of a track. `instruction` is set where the name is one ("forward s2 k5").
struct MeasuredSlice {
  std::string name;
  bool compute = true;        // else it sends, receives or waits
  double start = 0, end = 0;  // seconds from the beginning of the step
  bool has_instruction = false;
  schedule::Instruction instruction;
};

struct MeasuredTrack {
  std::string name;                   // "mesh 0: stage 0"
  std::vector<MeasuredSlice> slices;  // by start
};

// The tracks of the process "measured" in Chrome trace events, as alpa run --trace writes them. kInvalidInput when the
// text is no trace or has no such process.
Result<std::vector<MeasuredTrack>> ReadMeasured(std::string_view trace);

}  // namespace alpa::report
