// How values go from stage to stage: copied in memory, or in messages between processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/process/group.h"
#include "alpa/reshard/block_copy.h"
#include "alpa/reshard/transfer.h"
#include "alpa/runtime/pipeline.h"
#include "alpa/xla/engine.h"

namespace alpa::runtime {

// A block of a shard on its way in a message.
struct PackedBlock {
  int device = 0;      // among the mesh's devices of this process
  int64_t offset = 0;  // in the message
  reshard::BlockCopy copy;
};

// What goes to or comes from one process in one message.
struct PeerMessage {
  int rank = 0;
  int64_t bytes = 0;
  std::vector<PackedBlock> blocks;
};

// A copy within the receiving mesh, afterwards; devices among those of this process.
struct LocalCopy {
  int from_rank = 0, to_rank = 0;
  int from = 0, to = 0;
  int64_t bytes = 0;
  reshard::BlockCopy copy;  // between shards; where one of the ranks is another process: to or from a message
};

// One value that passes from stage to stage, made ready.
struct Route {
  int from_stage = 0, output = 0, to_stage = 0, input = 0;
  ir::Shape shape;
  sharding::Spec spec;   // in which it arrives
  bool same = false;     // nothing to do: same mesh, same layout
  uint64_t channel = 0;  // and the one behind it
  reshard::Transfer transfer;
  reshard::PreparedTransfer prepared;  // in one process
  std::vector<PeerMessage> sends, receives;
  std::vector<LocalCopy> local;
  ir::Shape part;      // of the target, per device
  int part_count = 0;  // devices of the target in this process
};

class Exchange {
 public:
  // `group`: one process for each host of the plan; null: all hosts are in this process.
  Exchange(const PipelineSetup& setup, process::Group* group) : setup_(setup), group_(group) {}

  // The route of a value of this shape, from an output that lies as `from` says to an input that lies as `to` says.
  // Every process makes the same routes in the same order.
  Route MakeRoute(int from_stage, int to_stage, const PassedValue& value, const ir::Shape& shape,
                  const sharding::Spec& from, const sharding::Spec& to);

  // Whether this process has devices of the mesh.
  bool IsHere(int mesh) const;
  // The process that answers for the mesh.
  int RootOf(int mesh) const { return setup_.places[static_cast<size_t>(mesh)].first_host; }
  process::Group* group() const { return group_; }

  // In one process: the value as the target has it.
  Result<std::unique_ptr<xla::Array>> Copy(const Route& route, const xla::Array& value, xla::Client& target) const;
  // Between processes: sends what this process has of the value; and gets together what its devices of the target want.
  // Values of one route are collected in the order in which they were sent. `stopped` ends the waiting.
  Status Send(const Route& route, const xla::Array& value);
  Result<std::unique_ptr<xla::Array>> Collect(const Route& route, xla::Client& target,
                                              const std::function<bool()>& stopped);
  // Waits until all that was sent is gone.
  Status Flush(const std::function<bool()>& stopped);

 private:
  using Buffer = std::vector<std::byte>;
  struct Outgoing {
    std::shared_ptr<Buffer> buffer;
    process::Transfer transfer;
  };

  reshard::Place PlaceOf(int stage) const;
  int RankOf(int mesh, int device) const;
  int IndexHere(int mesh, int device) const;  // of a device of this process among those of the mesh here
  void Post(int rank, uint64_t channel, std::shared_ptr<Buffer> buffer);
  Result<Buffer> Await(int rank, uint64_t channel, int64_t bytes, const std::function<bool()>& stopped);
  void PrepareMessages(Route* route) const;

  const PipelineSetup& setup_;
  process::Group* group_;
  uint64_t next_channel_ = 0;
  std::mutex mutex_;
  std::deque<Outgoing> outgoing_;
};

}  // namespace alpa::runtime
