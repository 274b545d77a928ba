#include "alpa/process/transport.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace alpa::process {
namespace {

// FNV-1a. Two groups of a run with one number would mix their messages; at 64 bits that does not happen by chance.
uint64_t Hash(uint64_t hash, std::string_view text) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

class TransportGroup : public Group {
 public:
  TransportGroup(std::shared_ptr<Transport> transport, std::vector<int> members, uint64_t number)
      : transport_(std::move(transport)), members_(std::move(members)), number_(number) {
    const auto me = std::find(members_.begin(), members_.end(), transport_->rank());
    ALPA_CHECK(me != members_.end(), "a process is not member of its group");
    rank_ = static_cast<int>(me - members_.begin());
  }

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(members_.size()); }

  Transfer Send(int to, uint64_t channel, std::span<const std::byte> bytes) override {
    return Start(to, channel, bytes, std::make_shared<TransferState>());
  }
  Transfer SendText(int to, uint64_t channel, std::string text) override {
    const auto state = std::make_shared<TransferState>();
    state->text = std::move(text);
    return Start(to, channel, std::as_bytes(std::span<const char>(state->text)), state);
  }
  Transfer Receive(int from, uint64_t channel, std::span<std::byte> into) override {
    const auto state = std::make_shared<TransferState>();
    state->into = into;
    return Post(from, channel, state);
  }
  Transfer ReceiveText(int from, uint64_t channel) override {
    const auto state = std::make_shared<TransferState>();
    state->any_size = true;
    return Post(from, channel, state);
  }

  std::unique_ptr<Group> Split(const std::vector<int>& ranks, std::string_view name) override {
    std::vector<int> members;
    members.reserve(ranks.size());
    for (const int r : ranks) members.push_back(World(r));
    const uint64_t number = Hash(number_, fmt::format("/{}:{}", fmt::join(members, ","), name));
    return std::make_unique<TransportGroup>(transport_, std::move(members), number);
  }

 private:
  int World(int rank) const {
    ALPA_CHECK(rank >= 0 && rank < size(), fmt::format("process {} of {}", rank, size()));
    return members_[static_cast<size_t>(rank)];
  }

  Transfer Start(int to, uint64_t channel, std::span<const std::byte> bytes,
                 const std::shared_ptr<TransferState>& state) {
    state->what = fmt::format("a message to process {}", to);
    const Address address{transport_->rank(), number_, channel};
    if (World(to) == transport_->rank()) {
      const auto* data = reinterpret_cast<const char*>(bytes.data());
      transport_->mailbox().Deliver(address, {bytes.size(), std::string(data, bytes.size()), nullptr});
      Complete(*state, Ok());
    } else {
      transport_->Send(World(to), address, bytes, state);
    }
    return Transfer(state);
  }

  Transfer Post(int from, uint64_t channel, const std::shared_ptr<TransferState>& state) {
    state->what = fmt::format("a message from process {}", from);
    transport_->mailbox().Post({World(from), number_, channel}, state);
    return Transfer(state);
  }

  std::shared_ptr<Transport> transport_;
  std::vector<int> members_;  // numbers among all processes
  uint64_t number_;           // tells the messages of groups apart
  int rank_ = 0;
};

std::vector<int> FirstNumbers(int n) {
  std::vector<int> out(static_cast<size_t>(n));
  std::iota(out.begin(), out.end(), 0);
  return out;
}

}  // namespace

std::unique_ptr<Group> MakeWorld(std::shared_ptr<Transport> transport) {
  std::vector<int> all = FirstNumbers(transport->size());
  return std::make_unique<TransportGroup>(std::move(transport), std::move(all), 0xcbf29ce484222325);
}

std::unique_ptr<Group> Duplicate(Group& group, std::string_view name) {
  return group.Split(FirstNumbers(group.size()), name);
}

}  // namespace alpa::process
