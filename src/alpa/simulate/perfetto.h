// A timeline as a picture.
#pragma once

#include <cstdint>
#include <string>

#include "alpa/schedule/pipeline.h"
#include "alpa/simulate/simulate.h"

namespace alpa::simulate {

struct PerfettoOptions {
  // Only these first microbatches and the last one are written, so that large pipelines stay usable; 0: all. Memory is
  // then written while these run, and at its peak.
  int32_t microbatches = 0;
};

// Chrome trace events (JSON), to be opened at ui.perfetto.dev: a track per mesh with what it computes ("F 3", "B 3", "W
// 3", "U"), a track per pair of meshes with what passes (more than one while transfers overlap), a counter per mesh
// with its memory. Needs a timeline with events.
std::string ToPerfetto(const Timeline& timeline, const schedule::Pipeline& pipeline,
                       const PerfettoOptions& options = {});

}  // namespace alpa::simulate
