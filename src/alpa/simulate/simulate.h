// How long a step takes and what memory it needs: discrete events over the instruction lists that the runtime executes.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/cluster/cluster.h"
#include "alpa/schedule/pipeline.h"
#include "alpa/schedule/program.h"

namespace alpa::simulate {

// What a stage costs on its mesh. Seconds and bytes per device of the mesh (of the slowest, the fullest).
struct StageCost {
  double forward = 0;          // seconds per microbatch
  double backward_input = 0;   // seconds per microbatch, recomputation included
  double backward_weight = 0;  // likewise; a backward that is not split takes the sum of both
  double update = 0;           // seconds per step, spent in the last round of the update
  int64_t state = 0;           // bytes: parameters, optimizer state, accumulated gradients; always there
  int64_t activation = 0;      // bytes kept for each microbatch from forward to backward
  int64_t weight_input = 0;    // bytes of them (or in their place) kept on from backward-input to backward-weight
  int64_t workspace = 0;       // bytes needed while a microbatch runs, beyond those
  bool operator==(const StageCost&) const = default;
};

// What is known of an edge beyond its bytes.
struct EdgeCost {
  double forward_gather = 0;    // seconds after an activation has arrived: local all-gather on the receiving mesh
  double backward_gather = 0;   // seconds after a cotangent has arrived
  int64_t forward_buffer = 0;   // bytes per device that an activation occupies at either end, while it is on its way or
                                // waits to be read
  int64_t backward_buffer = 0;  // the same of a cotangent
  bool operator==(const EdgeCost&) const = default;
};

// `devices` devices of a mesh on hosts[host].
struct HostShare {
  int32_t host = 0;
  int32_t devices = 1;
  bool operator==(const HostShare&) const = default;
};

// Where things lie and what they cost; vectors are parallel to those of the pipeline.
struct Costs {
  std::vector<StageCost> stages;
  std::vector<EdgeCost> edges;                 // empty: all 0
  std::vector<std::vector<HostShare>> meshes;  // by mesh, the hosts on which it has devices
  std::vector<cluster::Host> hosts;            // their links
  bool operator==(const Costs&) const = default;
};

// Costs where transfers take no time: each mesh is one device of one host without latency whose links have no limit.
Costs WithoutTransfers(const schedule::Pipeline& pipeline, std::vector<StageCost> stages);

struct Options {
  bool events = false;  // record Timeline::runs, transfers and MeshUse::memory; for pictures
};

// A time from which a mesh uses so much memory.
struct MemoryPoint {
  double time = 0;
  int64_t bytes = 0;  // per device
  bool operator==(const MemoryPoint&) const = default;
};

// How a mesh spends the step: busy + waiting + bubble = makespan.
struct MeshUse {
  double busy = 0;                  // seconds computing
  double waiting = 0;               // seconds in a receive whose value is on its way
  double bubble = 0;                // the rest: nothing to compute yet, or no more
  int64_t peak = 0;                 // bytes per device
  std::vector<MemoryPoint> memory;  // if recorded; ascending
  bool operator==(const MeshUse&) const = default;
};

enum class LinkKind : uint8_t { kWithin, kOut, kIn };  // devices of a host; its network cards, outwards and inwards

struct LinkUse {
  LinkKind kind = LinkKind::kWithin;
  int32_t host = 0;
  double busy = 0;   // seconds in which at least one transfer moves bytes over it
  double bytes = 0;  // per step
  bool operator==(const LinkUse&) const = default;
};

// A computing instruction with its time.
struct Run {
  schedule::Instruction instruction;
  int32_t mesh = 0;
  double start = 0, end = 0;
  bool operator==(const Run&) const = default;
};

// The way of a value from `from` to `to` mesh. `instruction` is its send.
struct Transfer {
  schedule::Instruction instruction;
  int32_t from = 0, to = 0;
  double start = 0, end = 0;  // when it is sent, when it can be read
  bool operator==(const Transfer&) const = default;
};

struct Timeline {
  double makespan = 0;  // seconds of the step, until the last mesh and the last transfer are done
  std::vector<MeshUse> meshes;
  std::vector<LinkUse> links;       // three per host, in the order of LinkKind
  std::vector<Run> runs;            // if recorded, in the order of their starts
  std::vector<Transfer> transfers;  // if recorded, in the order of their starts
  bool operator==(const Timeline&) const = default;
};

// Executes the program in simulated time; README.md says how transfers share links. Deterministic; O(log) per
// instruction and transfer. The program should pass schedule::Check; one that deadlocks is kInvalidInput, costs that do
// not fit the pipeline (sizes, negative or infinite numbers, hosts that are not there) are kInvalidArgument.
Result<Timeline> Simulate(const schedule::Program& program, const schedule::Pipeline& pipeline, const Costs& costs,
                          const Options& options = {});

}  // namespace alpa::simulate
