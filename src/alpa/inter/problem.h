// What the stage search is asked: layers, devices, and what stages made of them cost. Pure numbers, so that the search
// can be tested with made-up tables.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/cluster/cluster.h"

namespace alpa::inter {

// A chain of layers and blocks of parallel branches; layers are numbered so that every chain is a range (as
// frontend::LayerChain).
struct Chain {
  struct Item {
    int layer = -1;               // a layer, or
    std::vector<Chain> branches;  // ... two or more chains
    bool operator==(const Item&) const = default;
  };
  std::vector<Item> items;
  bool operator==(const Chain&) const = default;
};

// Devices a stage may get: `devices` of each of `hosts` hosts of one type. hosts > 1 takes whole hosts, unless it is a
// rectangle.
struct Submesh {
  int hosts = 1;
  int devices = 1;         // per host
  int type = 0;            // number of the device type in the cluster's map of types
  bool rectangle = false;  // of several hosts, not all devices of all of them
  int64_t size() const { return int64_t{hosts} * devices; }
  bool operator==(const Submesh&) const = default;
};

// One way to execute a stage on a submesh: logical mesh shape, layouts, recomputation. Numbers are for one number of
// microbatches. Bytes are per device (of the fullest one).
struct StageVariant {
  double forward = 0;     // seconds per microbatch
  double backward = 0;    // seconds per microbatch, recomputation and weight gradients included
  double weight = 0;      // the part of `backward` that zero-bubble schedules may delay
  double per_step = 0;    // seconds per step: gradient synchronization and update
  double state = 0;       // bytes: parameters, optimizer state, accumulated gradients
  double activation = 0;  // bytes kept for each microbatch in flight
  double workspace = 0;   // bytes needed while a microbatch runs, beyond those
  int layout = 0;         // how values on its borders lie, as StageCosts::Transfer knows it
  int id = 0;             // for the caller, to find out what this was

  bool operator==(const StageVariant&) const = default;
  double time() const { return forward + backward; }
  // Bytes per device with `in_flight` microbatches.
  double memory(int64_t in_flight) const { return state + static_cast<double>(in_flight) * activation + workspace; }
};

// One end of a transfer between stages.
struct TransferEnd {
  Submesh submesh;
  int layout = 0;
};

// Where the numbers come from.
class StageCosts {
 public:
  virtual ~StageCosts() = default;
  // The ways to execute layers first .. last as one stage with `microbatches` of them in a step, none dominated by
  // another in all its numbers. Empty: it cannot be done there. The same whenever it is asked. Thread-safe.
  virtual std::vector<StageVariant> Variants(int first, int last, const Submesh& submesh,
                                             int64_t microbatches) const = 0;
  // Seconds for the activations (forward) and cotangents (backward) of one microbatch between a stage that ends with
  // layer `last` and one that begins with layer `next_first`: everything that crosses this cut, whatever the other ends
  // of the two stages are. `same_host`: both lie on one host, or side by side on the same hosts. Thread-safe.
  struct Transfer {
    double forward = 0, backward = 0;
  };
  virtual Transfer TransferTime(int last, int next_first, const TransferEnd& from, const TransferEnd& to,
                                bool same_host, int64_t microbatches) const = 0;
};

enum class Schedule : uint8_t { kGpipe, k1F1B, kInterleaved, kZbH1 };
inline constexpr int kScheduleCount = 4;
std::string_view Name(Schedule schedule);  // "gpipe", "1f1b", "interleaved", "zb-h1"

// Devices in groups of equal ones.
struct Hosts {
  int type = 0;
  std::vector<int> devices;  // of each host
};

struct SearchProblem {
  int layers = 0;
  Chain graph;
  std::vector<Hosts> hosts;           // one entry per run of hosts of one type, in the order of the cluster
  bool rectangles = false;            // stages may also have some devices of each of several hosts
  std::vector<double> memory;         // bytes per device, by type
  std::vector<int64_t> microbatches;  // numbers to choose from, ascending
  std::vector<Schedule> schedules;    // to choose from
  const StageCosts* costs = nullptr;
};

}  // namespace alpa::inter
