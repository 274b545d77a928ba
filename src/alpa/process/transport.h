// What carries messages from process to process, and groups on top of it.
#pragma once

#include <memory>

#include "alpa/process/mailbox.h"

namespace alpa::process {

class Transport {
 public:
  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Brings `bytes` into the mailbox of process `to`, under address.from == rank(), and completes `send` when they are
  // no longer needed. Does not wait. Never called with to == rank().
  virtual void Send(int to, const Address& address, std::span<const std::byte> bytes,
                    std::shared_ptr<TransferState> send) = 0;

  Mailbox& mailbox() { return mailbox_; }

 private:
  Mailbox mailbox_;
};

// All processes of `transport` as a group.
std::unique_ptr<Group> MakeWorld(std::shared_ptr<Transport> transport);

}  // namespace alpa::process
