#include "alpa/xla/process_collectives.h"

#include "alpa/xla/clique.h"
#include "xla/backends/cpu/collectives/cpu_clique_key.h"
#include "xla/core/collectives/communicator.h"
#include "xla/pjrt/plugin/xla_cpu/cpu_topology.h"

namespace alpa::xla {
namespace {

using ::xla::PrimitiveType;
using ::xla::RankId;
using Address = stream_executor::DeviceAddressBase;
using Executor = ::xla::Communicator::Executor;
using Posts = std::vector<Post>;

const std::byte* Read(const Address& a) { return static_cast<const std::byte*>(a.opaque()); }
std::byte* Write(const Address& a) { return static_cast<std::byte*>(const_cast<void*>(a.opaque())); }
size_t Size(PrimitiveType type, size_t count) { return count * ::xla::primitive_util::ByteWidth(type); }

// One device's view of a clique.
class DeviceCommunicator : public ::xla::Communicator {
 public:
  DeviceCommunicator(std::shared_ptr<Clique> clique, int rank) : clique_(std::move(clique)), rank_(rank) {}

  ::xla::Future<> AllReduce(Address send, Address receive, PrimitiveType type, size_t count, ::xla::ReductionKind kind,
                            const Executor& /*executor*/) override {
    return Join(MakePost(send, receive),
                [=](Clique& c, Posts& posts) { return c.AllReduce(posts, type, count, kind); });
  }
  ::xla::Future<> ReduceScatter(Address send, Address receive, PrimitiveType type, size_t count,
                                ::xla::ReductionKind kind, const Executor& /*executor*/) override {
    return Join(MakePost(send, receive),
                [=](Clique& c, Posts& posts) { return c.ReduceScatter(posts, type, count, kind); });
  }
  ::xla::Future<> AllGather(Address send, Address receive, PrimitiveType type, size_t count,
                            const Executor& /*executor*/) override {
    return Join(MakePost(send, receive),
                [=](Clique& c, Posts& posts) { return c.AllGather(posts, Size(type, count)); });
  }
  ::xla::Future<> CollectivePermute(Address send, Address receive, PrimitiveType type, size_t count,
                                    std::optional<RankId> source, absl::Span<const RankId> targets,
                                    const Executor& /*executor*/) override {
    Post post = MakePost(send, receive);
    if (source.has_value()) post.source = static_cast<int>(source->value());
    for (const RankId target : targets) post.targets.push_back(static_cast<int>(target.value()));
    return Join(std::move(post), [=](Clique& c, Posts& posts) { return c.Permute(posts, Size(type, count)); });
  }
  ::xla::Future<> AllToAll(absl::InlinedVector<Address, 4> send, absl::InlinedVector<Address, 4> receive,
                           PrimitiveType type, size_t count, const Executor& /*executor*/) override {
    Post post;
    post.rank = rank_;
    for (const Address& a : send) post.in.push_back(Read(a));
    for (const Address& a : receive) post.out.push_back(Write(a));
    return Join(std::move(post), [=](Clique& c, Posts& posts) { return c.AllToAll(posts, Size(type, count)); });
  }
  ::xla::Future<> Broadcast(Address, Address, PrimitiveType, size_t, RankId, const Executor&) override {
    return absl::UnimplementedError("broadcast across processes");
  }
  ::xla::Future<> Send(Address, PrimitiveType, size_t, RankId, const Executor&) override {
    return absl::UnimplementedError("send across processes");
  }
  ::xla::Future<> Recv(Address, PrimitiveType, size_t, RankId, const Executor&) override {
    return absl::UnimplementedError("receive across processes");
  }
  absl::StatusOr<size_t> NumRanks() const override { return clique_->size(); }
  absl::StatusOr<size_t> CurrentRank() override { return static_cast<size_t>(rank_); }
  std::string ToString() const override { return "alpa"; }

 private:
  Post MakePost(const Address& send, const Address& receive) const {
    Post post;
    post.rank = rank_;
    post.in = {Read(send)};
    post.out = {Write(receive)};
    return post;
  }
  // Waits, as XLA's own collectives do: a future fulfilled later would go on with the program of this device in the
  // thread that fulfils it, one device of the process after the other.
  ::xla::Future<> Join(Post post, const Clique::Work& work) { return clique_->Join(std::move(post), work); }

  std::shared_ptr<Clique> clique_;
  int rank_;
};

class ProcessCollectives : public ::xla::cpu::CpuCollectives {
 public:
  explicit ProcessCollectives(std::shared_ptr<process::Group> group) : group_(std::move(group)) {}

  // XLA asks once for each key and each device of this process.
  absl::StatusOr<std::vector<std::unique_ptr<::xla::Communicator>>> CreateCommunicators(
      const ::xla::CliqueKey& key, const std::optional<::xla::CliqueIds>& /*ids*/, absl::Span<const DeviceRank> ranks,
      const Config& /*config*/) override {
    const std::lock_guard lock(mutex_);
    auto& clique = cliques_[key.ToString()];
    if (clique == nullptr) clique = std::make_shared<Clique>(*group_, Members(key), key.ToString());
    std::vector<std::unique_ptr<::xla::Communicator>> out;
    for (const DeviceRank& rank : ranks) {
      out.push_back(std::make_unique<DeviceCommunicator>(clique, static_cast<int>(rank.rank.value())));
    }
    return out;
  }

 private:
  static std::vector<Clique::Member> Members(const ::xla::CliqueKey& key) {
    std::vector<Clique::Member> out;
    for (const auto device : key.devices()) {
      const auto id = static_cast<int>(device.value());
      out.push_back({id / ::xla::kMaxCpuDevicesPerProcess, id % ::xla::kMaxCpuDevicesPerProcess});
    }
    return out;
  }

  std::shared_ptr<process::Group> group_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Clique>> cliques_;
};

}  // namespace

std::shared_ptr<::xla::cpu::CpuCollectives> MakeProcessCollectives(std::shared_ptr<process::Group> group) {
  return std::make_shared<ProcessCollectives>(std::move(group));
}

}  // namespace alpa::xla
