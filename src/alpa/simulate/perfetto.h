// A timeline as a picture.
#pragma once

#include <cstdint>
#include <string>

#include "alpa/schedule/pipeline.h"
#include "alpa/simulate/simulate.h"

namespace alpa::simulate {

struct PerfettoOptions {
  // Only these first microbatches (and the last one) are written, so that large pipelines stay readable; 0: all. Memory
  // counters then have a point wherever they change by one of these, and at the peak.
  int32_t microbatches = 0;
};

// Chrome trace events (JSON), to be opened at ui.perfetto.dev: a track per mesh with what it computes, a track per pair
// of meshes with what passes, a counter per mesh with its memory. Needs a timeline with events.
std::string ToPerfetto(const Timeline& timeline, const schedule::Pipeline& pipeline,
                       const PerfettoOptions& options = {});

}  // namespace alpa::simulate
