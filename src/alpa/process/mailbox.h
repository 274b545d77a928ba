// Where messages that arrive at a process and receives that wait for them meet.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "alpa/process/transfer_state.h"

namespace alpa::process {

// What a message and its receive agree in: the sender (its number among all processes), the group and the channel.
struct Address {
  int from = 0;
  uint64_t group = 0;
  uint64_t channel = 0;

  auto operator<=>(const Address&) const = default;  // NOLINT(modernize-use-nullptr): a bug of the check
};

// A message that has arrived, or has been announced.
struct Arrival {
  size_t size = 0;
  std::string bytes;  // the message, unless `fetch` is set
  // Brings the message into the buffer of a receive that Fit()s and completes it, now or later; a null receive: throws
  // the message away.
  std::function<void(std::shared_ptr<TransferState>)> fetch;
};

class Mailbox {
 public:
  // Both match the oldest counterpart at the same address, if there is one.
  void Deliver(const Address& address, Arrival arrival);
  void Post(const Address& address, const std::shared_ptr<TransferState>& receive);

 private:
  struct Queue {
    std::deque<Arrival> arrivals;  // of the two, one is empty
    std::deque<std::shared_ptr<TransferState>> receives;
  };
  bool Withdraw(const Address& address, const TransferState* receive);

  std::mutex mutex_;
  std::map<Address, Queue> queues_;  // those with content only
};

}  // namespace alpa::process
