// What a plan communicates: as its planner expects it, and as XLA inserted it.
#pragma once

#include <string>
#include <vector>

#include "alpa/plan/plan.h"

namespace alpa::report {

// How far `actual` is from `predicted`: the bytes by which they differ, kind by kind and axes by axes, as a fraction of
// the predicted bytes. 0 when both are empty, 1 when nothing was predicted but something is there.
double ByteDifference(const std::vector<plan::CollectiveTotal>& predicted,
                      const std::vector<plan::CollectiveTotal>& actual);

// A table with one line for each kind and axes: numbers and bytes per step and device, and the difference at the end.
// Without a prediction only what is there.
//
//   collectives per step and device      predicted              inserted
//     all-reduce over x               12    1.50 MiB         12    1.50 MiB
//     all-gather over y                2   64.00 KiB          3   96.00 KiB  +50.0 %
//   inserted bytes differ from the prediction by 2.0 %
std::string CollectivesTable(const plan::Plan& plan, const std::vector<plan::CollectiveTotal>& actual);

// The same of a stage in one line, "4 collectives of 1.50 MiB per step and device (planned: 1.50 MiB)"; empty when
// there are none and none were predicted.
std::string CollectivesLine(const plan::Plan& plan, const std::vector<plan::CollectiveTotal>& actual);

}  // namespace alpa::report
