#include "alpa/xla/key_value_store.h"

#include <fmt/format.h>

#include <atomic>
#include <charconv>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "xla/pjrt/distributed/in_memory_key_value_store.h"

namespace alpa::xla {
namespace {

constexpr uint64_t kChannel = 1;
constexpr Seconds kPoll{0.2};  // how soon a store that closes stops listening

// "LENGTH:KEYVALUE", LENGTH that of the key.
std::string Pack(absl::string_view key, absl::string_view value) {
  return fmt::format("{}:{}{}", key.size(), std::string_view(key), std::string_view(value));
}

// Each process keeps all pairs; what is set is sent to all others.
class ProcessKeyValueStore final : public ::xla::KeyValueStoreInterface {
 public:
  explicit ProcessKeyValueStore(std::shared_ptr<process::Group> group) : group_(std::move(group)) {
    for (int rank = 0; rank < group_->size(); ++rank) {
      if (rank != group_->rank()) listeners_.emplace_back([this, rank] { Listen(rank); });
    }
  }
  ProcessKeyValueStore(const ProcessKeyValueStore&) = delete;
  ~ProcessKeyValueStore() override {
    closing_ = true;
    for (std::thread& listener : listeners_) listener.join();
  }

  absl::StatusOr<std::string> Get(absl::string_view key, absl::Duration timeout) override {
    return known_.Get(key, timeout);
  }
  absl::StatusOr<std::string> TryGet(absl::string_view key) override { return known_.TryGet(key); }
  std::shared_ptr<tsl::CallOptions> AsyncGet(absl::string_view key,
                                             tsl::CoordinationServiceAgent::StatusOrValueCallback done) override {
    return known_.AsyncGet(key, std::move(done));
  }
  absl::Status Set(absl::string_view key, absl::string_view value) override {
    {
      const std::lock_guard lock(sent_mutex_);
      std::erase_if(sent_, [](const process::Transfer& transfer) { return transfer.done(); });
      for (int rank = 0; rank < group_->size(); ++rank) {
        if (rank != group_->rank()) sent_.push_back(group_->SendText(rank, kChannel, Pack(key, value)));
      }
    }
    return known_.Set(key, value);
  }

 private:
  void Listen(int rank) {
    while (!closing_) {
      process::Transfer transfer = group_->ReceiveText(rank, kChannel);
      Status status = transfer.Wait(kPoll);
      while (!transfer.done() && !closing_) status = transfer.Wait(kPoll);
      if (!transfer.done()) {
        transfer.Cancel();
        return;
      }
      if (!status.ok()) return;  // the group is gone, and with it the run
      const std::string text = transfer.TakeText();
      size_t length = 0;
      const char* const end = text.data() + text.size();
      const auto [colon, error] = std::from_chars(text.data(), end, length);
      const bool whole =
          error == std::errc() && colon != end && *colon == ':' && length <= static_cast<size_t>(end - colon - 1);
      ALPA_CHECK(whole, "pairs are sent as they are packed");
      const std::string_view pair(colon + 1, static_cast<size_t>(end - colon - 1));
      (void)known_.Set(pair.substr(0, length), pair.substr(length));
    }
  }

  std::shared_ptr<process::Group> group_;
  ::xla::InMemoryKeyValueStore known_;
  std::mutex sent_mutex_;
  std::vector<process::Transfer> sent_;
  std::atomic<bool> closing_ = false;
  std::vector<std::thread> listeners_;
};

}  // namespace

std::shared_ptr<::xla::KeyValueStoreInterface> MakeKeyValueStore(std::shared_ptr<process::Group> group) {
  return std::make_shared<ProcessKeyValueStore>(std::move(group));
}

}  // namespace alpa::xla
