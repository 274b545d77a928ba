#include "alpa/process/memory_group.h"

#include <cstring>
#include <thread>

#include "alpa/process/transport.h"

namespace alpa::process {
namespace {

constexpr size_t kEager = 8192;  // bytes that are copied without waiting for the receiver, as over MPI

class MemoryTransport : public Transport {
 public:
  MemoryTransport(std::shared_ptr<std::vector<Mailbox*>> mailboxes, int rank)
      : mailboxes_(std::move(mailboxes)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(mailboxes_->size()); }

  void Send(int to, const Address& address, std::span<const std::byte> bytes,
            std::shared_ptr<TransferState> send) override {
    Mailbox& mailbox = *(*mailboxes_)[static_cast<size_t>(to)];
    if (bytes.size() <= kEager) {
      mailbox.Deliver(address,
                      {bytes.size(), std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), {}});
      Complete(*send, Ok());
      return;
    }
    const auto fetch = [bytes, send](const std::shared_ptr<TransferState>& receive) {
      if (receive != nullptr) {
        std::memcpy(receive->into.data(), bytes.data(), bytes.size());
        Complete(*receive, Ok());
      }
      Complete(*send, Ok());
    };
    mailbox.Deliver(address, {bytes.size(), "", fetch});
  }

 private:
  std::shared_ptr<std::vector<Mailbox*>> mailboxes_;
  int rank_;
};

}  // namespace

std::vector<std::unique_ptr<Group>> MakeMemoryGroups(int size) {
  const auto mailboxes = std::make_shared<std::vector<Mailbox*>>(static_cast<size_t>(size));
  std::vector<std::unique_ptr<Group>> groups;
  for (int r = 0; r < size; ++r) {
    auto transport = std::make_shared<MemoryTransport>(mailboxes, r);
    (*mailboxes)[static_cast<size_t>(r)] = &transport->mailbox();
    groups.push_back(MakeWorld(std::move(transport)));
  }
  return groups;
}

void RunInThreads(int size, const std::function<void(Group&)>& body) {
  const auto groups = MakeMemoryGroups(size);
  std::vector<std::thread> threads;
  threads.reserve(groups.size());
  for (const auto& group : groups) threads.emplace_back([&body, &group] { body(*group); });
  for (auto& thread : threads) thread.join();
}

}  // namespace alpa::process
