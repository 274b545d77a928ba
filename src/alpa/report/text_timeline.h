// Timelines in plain letters, for the terminal.
#pragma once

#include <string>
#include <vector>

#include "alpa/plan/notes.h"
#include "alpa/schedule/pipeline.h"
#include "alpa/simulate/simulate.h"

namespace alpa::report {

struct TextBar {
  char letter = '.';
  double start = 0, end = 0;
};

// `width` letters for the time from 0 to `span`, each what most of its time is spent on; with more bars than letters
// they take turns, so that each is as frequent as it should be. Bars ascend and do not overlap. '.': nothing.
std::string TextRow(const std::vector<TextBar>& bars, double span, int width);

// A line per mesh (with more than `most` of them the first and last ones) between a ruler and what the letters mean:
// forward F, backward B, weight gradients W, update U. Empty when the timeline has no events.
std::string PipelineTimelineText(const simulate::Timeline& timeline, const schedule::Pipeline& pipeline, int width = 96,
                                 size_t most = 16);

// The same of a step on one mesh, one line: also c for collectives.
std::string OpsTimelineText(const std::vector<plan::OpNote>& ops, int width = 96);

}  // namespace alpa::report
