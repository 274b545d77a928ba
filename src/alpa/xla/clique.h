// The part of one process in the collectives of one set of devices.
//
// The devices of this process meet; the last one to arrive does the work for all: what is within the process with
// copies and reductions in memory, the rest with messages. So a process sends each byte once, however many devices it
// has. Sums are those of each process's devices in order, then of the processes in order: the same in every run.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "alpa/process/group.h"
#include "xla/core/collectives/reduction_kind.h"
#include "xla/xla_data.pb.h"

namespace alpa::xla {

// What one device of this process brings to a collective. Ranks are positions in the clique's list of devices.
struct Post {
  int rank = 0;
  std::vector<const std::byte*> in;
  std::vector<std::byte*> out;
  std::optional<int> source;  // of a permutation
  std::vector<int> targets;   // of a permutation
};

class Clique {
 public:
  // One device of a clique: of which process, and which of its devices.
  struct Member {
    int process = 0;
    int local = 0;
  };
  using Work = std::function<absl::Status(Clique&, std::vector<Post>&)>;

  // `name` tells cliques of a group apart, alike in all processes.
  Clique(process::Group& group, std::vector<Member> members, std::string_view name);

  size_t size() const { return members_.size(); }
  // Waits until all devices of this process have posted and `work` is done for them, by one of them.
  absl::Status Join(Post post, const Work& work);

  // For Work; posts come ordered by rank. Counts are of elements, sizes of bytes, of what one device gets
  // (ReduceScatter) or gives (the others; AllToAll: to each).
  absl::Status AllReduce(std::vector<Post>& posts, ::xla::PrimitiveType type, size_t count, ::xla::ReductionKind kind);
  absl::Status ReduceScatter(std::vector<Post>& posts, ::xla::PrimitiveType type, size_t count,
                             ::xla::ReductionKind kind);
  absl::Status AllGather(std::vector<Post>& posts, size_t size);
  absl::Status AllToAll(std::vector<Post>& posts, size_t size);
  absl::Status Permute(std::vector<Post>& posts, size_t size);

 private:
  class Messages;
  struct Meeting {
    std::vector<Post> posts;
    bool done = false;
    size_t left = 0;  // posts whose Join has not returned
    absl::Status status;
  };
  bool Mine(int process) const { return process == group_.rank(); }
  // The first rank of a process, which stands for all of it.
  int Head(int process) const { return by_process_.at(process).front(); }

  process::Group& group_;
  const std::vector<Member> members_;
  std::map<int, std::vector<int>> by_process_;  // ranks of each process
  size_t local_ = 0;                            // number of members of this process
  uint64_t number_ = 0;                         // upper bits of its channels

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int64_t> posted_;  // by rank: collectives so far
  int64_t turn_ = 0;             // the collective that may work now
  std::map<int64_t, Meeting> meetings_;
};

}  // namespace alpa::xla
