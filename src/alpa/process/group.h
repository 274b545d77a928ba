// The processes of one run, one per host, and messages between them.
//
// A message goes from one process to another on a channel, a 64-bit number of the callers' choice. Messages of one
// sender on one channel arrive in the order in which they were sent; channels do not wait for each other. All functions
// may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"

namespace alpa::process {

struct TransferState;

// A message under way. Copies stand for the same transfer.
class Transfer {
 public:
  Transfer() = default;  // nothing under way: done
  explicit Transfer(std::shared_ptr<TransferState> state) : state_(std::move(state)) {}

  bool done() const;
  // Waits until the buffer is free again (send) or filled (receive). kMismatch when the message had another size than
  // the buffer; kEnvironment when it was cancelled, or is not done after `timeout`, in which case it stays under way.
  Status Wait(std::optional<Seconds> timeout = std::nullopt);
  // Of a receive: gives the buffer back; returns when nothing writes to it any more. Of a send: has no effect.
  void Cancel();
  // The message of a done ReceiveText.
  std::string TakeText();

 private:
  std::shared_ptr<TransferState> state_;
};

// Channels from here on are for agree.h.
inline constexpr uint64_t kReservedChannels = uint64_t{1} << 63;

class Group {
 public:
  virtual ~Group() = default;
  virtual int rank() const = 0;  // of this process, 0 .. size()-1
  virtual int size() const = 0;
  // Sends without waiting, whether or not anybody receives yet. `bytes` must stay as they are until the transfer is
  // done; a large message is done only when it is received. To oneself is allowed.
  virtual Transfer Send(int to, uint64_t channel, std::span<const std::byte> bytes) = 0;
  virtual Transfer SendText(int to, uint64_t channel, std::string text) = 0;  // keeps the text itself
  // Receives the next message that no earlier call receives. `into` must be of the message's size and stay valid until
  // the transfer is done or cancelled; posted before the message arrives, it spares a copy.
  virtual Transfer Receive(int from, uint64_t channel, std::span<std::byte> into) = 0;
  virtual Transfer ReceiveText(int from, uint64_t channel) = 0;  // of any size
  // A group of some of the processes, in the order of `ranks` (this one among them), whose messages never meet those of
  // another group. Every member calls it with the same ranks and name; no member waits. A name must not be used twice
  // by one group for the same ranks. The result keeps what it needs alive.
  virtual std::unique_ptr<Group> Split(const std::vector<int>& ranks, std::string_view name) = 0;
};

// The same processes, for messages of their own.
std::unique_ptr<Group> Duplicate(Group& group, std::string_view name);

}  // namespace alpa::process
