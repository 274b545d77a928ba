// What alpa serve and its client say to each other over a socket.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/host_tensor.h"

namespace alpa::driver {

// A message: 8 bytes with the size of the JSON, 8 bytes with the size of the arrays (both little-endian), the JSON, the
// arrays one after the other as HostTensor has them. Which arrays those are, the JSON says.
class Wire {
 public:
  explicit Wire(int fd) : fd_(fd) {}

  // The JSON of the next message; nothing when the other side has closed. Its arrays have to be read next, all of them.
  // kInvalidInput for what is no message.
  Result<std::optional<nlohmann::json>> Receive();
  // The next array of the message. kInvalidInput when less is left than it needs.
  Result<ir::HostTensor> ReceiveTensor(const ir::Shape& shape);
  // Bytes of arrays that are not read yet.
  uint64_t left() const { return left_; }
  // Reads them, to be able to go on with the next message.
  Status SkipRest();

  Status Send(const nlohmann::json& message, std::span<const ir::HostTensor> tensors = {});

 private:
  // False when the other side has closed before the first byte.
  Result<bool> ReadAll(std::span<std::byte> into, bool may_end);
  Status WriteAll(std::span<const std::byte> bytes);

  int fd_;
  uint64_t left_ = 0;
};

}  // namespace alpa::driver
