// Timelines as the page of alpa report wants them: lists of whole numbers, small enough for large pipelines.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <vector>

#include "alpa/report/measured.h"
#include "alpa/schedule/pipeline.h"
#include "alpa/simulate/simulate.h"

namespace alpa::report {

// Time is counted in ticks of "tick" seconds. Of each mesh: "runs" is a flat list of four numbers each: kind + 4 *
// stage, microbatch, ticks since the end of the run before (the first: since 0), ticks. Kinds: 0 forward, 1 backward,
// 2 weight gradients, 3 update. "memory": pairs of ticks since the pair before, and bytes. "transfers": kind + 3 *
// number of the edge, microbatch, ticks since the start of the transfer before, ticks; kinds: 0 activation, 1
// cotangent, 2 once per step. With more than `most_events` runs and transfers, microbatches between "left_out" are not
// written.
nlohmann::ordered_json TimelineJson(const simulate::Timeline& timeline, const schedule::Pipeline& pipeline,
                                    size_t most_events);

// The same of what was measured: per track a name and "slices", four numbers each: kind + 5 * stage (kind 4: sends,
// receives, waits), microbatch, ticks since the start of the slice before, ticks; and "names" of slices that are no
// instruction, by number.
nlohmann::ordered_json MeasuredJson(const std::vector<MeasuredTrack>& tracks);

}  // namespace alpa::report
