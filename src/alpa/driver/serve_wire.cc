#include "alpa/driver/serve_wire.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace alpa::driver {
namespace {

constexpr uint64_t kLargestJson = uint64_t{1} << 28;

Error NoMessage(const std::string& why) { return {Code::kInvalidInput, "not a message of alpa's client: " + why, ""}; }

}  // namespace

Result<bool> Wire::ReadAll(std::span<std::byte> into, bool may_end) {
  size_t done = 0;
  while (done < into.size()) {
    const ssize_t n = ::recv(fd_, into.data() + done, into.size() - done, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{Code::kIo, fmt::format("reading from the client: {}", std::strerror(errno)), ""};
    if (n == 0 && done == 0 && may_end) return false;
    if (n == 0) return NoMessage("it ends in the middle");
    done += static_cast<size_t>(n);
  }
  return true;
}

Status Wire::WriteAll(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{Code::kIo, fmt::format("writing to the client: {}", std::strerror(errno)), ""};
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return Ok();
}

Result<std::optional<nlohmann::json>> Wire::Receive() {
  ALPA_CHECK(left_ == 0);
  std::array<uint64_t, 2> sizes{};
  ALPA_TRY(const bool more, ReadAll(std::as_writable_bytes(std::span(sizes)), /*may_end=*/true));
  if (!more) return std::optional<nlohmann::json>();
  if (sizes[0] > kLargestJson) return NoMessage(fmt::format("{} bytes of JSON", sizes[0]));
  std::string text(sizes[0], '\0');
  ALPA_RETURN_IF_ERROR(ReadAll(std::as_writable_bytes(std::span(text)), /*may_end=*/false));
  nlohmann::json message = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!message.is_object()) return NoMessage("its head is no JSON object");
  left_ = sizes[1];
  return std::optional(std::move(message));
}

Result<ir::HostTensor> Wire::ReceiveTensor(const ir::Shape& shape) {
  const auto bytes = static_cast<uint64_t>(shape.bytes().value);
  if (bytes > left_) return NoMessage(fmt::format("{} bytes are left for an array {}", left_, ir::ToString(shape)));
  ir::HostTensor tensor(shape);
  ALPA_RETURN_IF_ERROR(ReadAll(tensor.bytes(), /*may_end=*/false));
  left_ -= bytes;
  return tensor;
}

Status Wire::SkipRest() {
  std::vector<std::byte> scratch(std::min<uint64_t>(left_, uint64_t{1} << 20));
  while (left_ > 0) {
    const auto part = std::span(scratch).first(std::min<uint64_t>(left_, scratch.size()));
    ALPA_RETURN_IF_ERROR(ReadAll(part, /*may_end=*/false));
    left_ -= part.size();
  }
  return Ok();
}

Status Wire::Send(const nlohmann::json& message, std::span<const ir::HostTensor> tensors) {
  // Text of the user's (names, paths) may be no UTF-8.
  const std::string text = message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::array<uint64_t, 2> sizes{text.size(), 0};
  for (const ir::HostTensor& t : tensors) sizes[1] += t.bytes().size();
  ALPA_RETURN_IF_ERROR(WriteAll(std::as_bytes(std::span(sizes))));
  ALPA_RETURN_IF_ERROR(WriteAll(std::as_bytes(std::span(text))));
  for (const ir::HostTensor& t : tensors) ALPA_RETURN_IF_ERROR(WriteAll(t.bytes()));
  return Ok();
}

}  // namespace alpa::driver
