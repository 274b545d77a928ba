// How an array goes from the devices of one mesh to those of another: a value, made once and executed for each
// microbatch (Alpa §6; "On Optimizing the Communication of Model Parallelism", MLSys 2023).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "alpa/base/units.h"
#include "alpa/cluster/mesh.h"
#include "alpa/ir/shape.h"
#include "alpa/sharding/spec.h"

namespace alpa::reshard {

// Where the devices of a mesh are, in the order of the mesh.
struct Place {
  cluster::Mesh mesh;
  std::vector<int> hosts;         // of each device: number of its host in the cluster
  std::vector<int> devices = {};  // of each device: its number in the cluster; empty: in no other place
  bool operator==(const Place&) const = default;
};

// A block of the whole array that one device gives to another; devices by their numbers within their meshes.
struct Copy {
  int from = 0, to = 0;
  std::vector<int64_t> start, extent;  // in elements of the whole array, one entry per dimension
  bool operator==(const Copy&) const = default;
};

// Copies of one list have no order among themselves in `across` (their sources are complete before the transfer, and no
// two write the same element of a device). `local` comes afterwards, in this order: its sources have what they send by
// then.
struct Transfer {
  ir::Shape shape;  // of the whole array
  sharding::Spec from, to;
  Place source, target;
  std::vector<Copy> across;  // from devices of `source` to devices of `target`
  std::vector<Copy> local;   // within `target`: the "local all-gather" of Alpa §6, spelled out
  bool operator==(const Transfer&) const = default;
};

struct Options {
  // Devices of the target that hold the same are sent it once together, and spread it among themselves. Without,
  // each is sent all that it wants (the baseline of Alpa, fig. 11).
  bool local_gather = true;
};

// The transfer of an array that lies on `source` as `from` says to `target` as `to` says. Afterwards each device of
// `target` has its shard, each element written exactly once.
//
// With local_gather, for each slice (what a shard of the source and one of the target have in common):
//   * a device in both places that has the slice keeps it (copied from itself);
//   * where source and target share a host that has and wants it, it does not leave the host;
//   * all other hosts that want it get it once in all from the source, cut into equal parts for their devices; then
//   each
//     part goes once from host to host, and is spread within each host.
// So the bytes between hosts are the least possible: each byte enters each host that wants and has not got it once. And
// no byte leaves the hosts of the source twice, unless a host that gives it is the target's as well.
// Each part has one sender: among the devices that have it, the one whose host, then which itself, has sent least.
//
// Both specs fit shape and meshes, and each device has a host (ALPA_CHECK). Time and number of copies: slices times
// replicas, and parts times replicas (hundreds of replicas: their square); microseconds to a few milliseconds.
Transfer PlanTransfer(const ir::Shape& shape, const sharding::Spec& from, const Place& source, const sharding::Spec& to,
                      const Place& target, const Options& options = {});

// Bytes of one execution by the way they take.
struct LinkBytes {
  std::map<int, Bytes> out, in;  // by host: to and from other hosts, in both lists of copies
  Bytes across;                  // from source to target, between hosts
  Bytes within;                  // from source to target, within a host
  Bytes kept;                    // from a device to itself: in both places, moves within its memory
  Bytes spread_across;           // within the target, between hosts
  Bytes spread_within;           // within the target, within a host

  Bytes between_hosts() const { return across + spread_across; }
  bool operator==(const LinkBytes&) const = default;
};
LinkBytes BytesPerLink(const Transfer& transfer);

// Bytes of the block.
Bytes BytesOf(const Copy& copy, const ir::Shape& shape);
// Whether device `from` of the source and device `to` of the target are one.
bool SameDevice(const Place& source, int from, const Place& target, int to);

// "f32[8,4] [x,] on 2 to [,x] on 2", then a line per copy: "0 -> 1 [0:4,2:4]", those of `local` after "local".
std::string ToString(const Transfer& transfer);

}  // namespace alpa::reshard
