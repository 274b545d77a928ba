// The dynamic program: least latency of the stages of a step when none of them takes longer than a given time.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "alpa/inter/graph.h"
#include "alpa/inter/problem.h"
#include "alpa/inter/relaxed.h"
#include "alpa/inter/search.h"
#include "alpa/inter/stage_table.h"
#include "alpa/inter/submeshes.h"

namespace alpa::inter {

// What stages may look like: the graph, the submeshes, and where they lie in one order of the hosts.
struct StageSpace {
  const SearchProblem& problem;
  FlatGraph graph;
  std::vector<Submesh> submeshes;
  std::vector<Places> orders;  // one for each of HostOrders
};
StageSpace MakeStageSpace(const SearchProblem& problem);

// One part of the space: a number of microbatches (that of `tables`), a schedule, an order of hosts, a range of stages.
struct Cell {
  Schedule schedule = Schedule::k1F1B;  // not kInterleaved
  int order = 0;                        // into StageSpace::orders
  int least_stages = 1;
  int most_stages = std::numeric_limits<int>::max();
};

// All cells of the schedules that are wanted, without interleaved, for each number of microbatches; `stages` as in
// SearchOptions. Plans of a single stage are the same by any schedule and are looked for once, under `name`.
struct NamedCell {
  Cell cell;
  Schedule name = Schedule::k1F1B;
};
std::vector<NamedCell> ListCells(const StageSpace& space, int stages);

// The numbers for one number of microbatches and one schedule.
struct CellCosts {
  const StageTables& tables;
  const StageTable& table;  // tables.plain or tables.delayed
  RelaxedTable relaxed;
  TransferTable* transfers;
};
CellCosts MakeCellCosts(const StageSpace& space, const StageTables& tables, Schedule schedule,
                        TransferTable* transfers);

struct LatencyQuery {
  double most = 0;   // e + c of each stage is at most this
  double below = 0;  // latency (longest sum of e + c) has to be below this
};

// The bounds that the search prunes with: LeastDevices and LeastLatency for query.most.
struct LatencyBounds {
  std::vector<std::vector<int>> devices;
  std::vector<std::vector<std::vector<double>>> latency;
};

struct FoundLatency {
  FoundPlan plan;
  double latency = 0;     // longest sum of e + c
  double bottleneck = 0;  // largest e + c
};

// The plan of the cell with the least latency; nothing when there is none as asked for, or when cancelled. Adds the
// labels it kept to `states`. Complete: goes through all partitions, submeshes, places and variants that bounds and
// dominance do not exclude.
std::optional<FoundLatency> FindLeastLatency(const StageSpace& space, const Cell& cell, const CellCosts& costs,
                                             const LatencyBounds& bounds, const LatencyQuery& query,
                                             const std::function<bool()>& stopped, int64_t* states);

}  // namespace alpa::inter
