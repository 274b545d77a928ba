// The search without layouts, transfers and places: what it needs at least. Bounds for the exact search.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/inter/graph.h"
#include "alpa/inter/problem.h"
#include "alpa/inter/stage_table.h"

namespace alpa::inter {

// A way to execute a range of items; seconds and latency as in StageChoice.
struct RelaxedChoice {
  int devices = 0;
  double seconds = 0, latency = 0;
};

// By chain, end and begin (FlatChain::positions): what nothing else beats, ascending in devices.
struct RelaxedTable {
  std::vector<std::vector<std::vector<std::vector<RelaxedChoice>>>> choices;
};

// Choices that fit with the fewest microbatches that their stage can ever have in flight.
RelaxedTable Relax(const FlatGraph& graph, const std::vector<Submesh>& submeshes, const StageTables& tables,
                   const StageTable& table, Schedule schedule);

// Fewest devices for what lies in front of each position of a chain (of a crossing: the items in front of the block,
// its other branches, and the begin of the last one) when no stage takes longer than `most` seconds; a number above all
// devices when there is no way. By chain and position.
std::vector<std::vector<int>> LeastDevices(const FlatGraph& graph, const RelaxedTable& table, double most);

// The largest `most` for which LeastDevices is known to be above `devices`, to a relative 1e-4; infinity when it always
// is.
double LeastBottleneck(const FlatGraph& graph, const RelaxedTable& table, int devices);

// Least latency of the items in front of each position when no stage takes longer than `most`, by chain, position and
// number of devices (0 .. devices).
std::vector<std::vector<std::vector<double>>> LeastLatency(const FlatGraph& graph, const RelaxedTable& table,
                                                           const std::vector<std::vector<int>>& least_devices,
                                                           double most, int devices);

inline constexpr int kNoWay = 1 << 28;

}  // namespace alpa::inter
