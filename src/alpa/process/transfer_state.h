// What a Transfer stands for, for those who carry messages.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>

#include "alpa/process/group.h"

namespace alpa::process {

struct TransferState {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  Status status;
  std::string text;                // what SendText sends or ReceiveText received
  std::span<std::byte> into;       // where a receive writes to; text's bytes for ReceiveText
  bool any_size = false;           // ReceiveText
  std::string what;                // for messages: "a message from process 1"
  std::function<bool()> withdraw;  // takes an unmatched receive out of its mailbox; false: it is matched
};

// Ends a transfer and wakes who waits for it. Once per transfer.
void Complete(TransferState& state, Status status);

// Makes a receive ready for a message of `size` bytes: false, and the transfer has ended with kMismatch, when its
// buffer has another size.
bool Fit(TransferState& receive, size_t size);

}  // namespace alpa::process
