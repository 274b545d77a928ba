#include <fmt/format.h>

#include <chrono>

#include "alpa/process/transfer_state.h"

namespace alpa::process {

bool Transfer::done() const {
  if (state_ == nullptr) return true;
  const std::lock_guard lock(state_->mutex);
  return state_->done;
}

Status Transfer::Wait(std::optional<Seconds> timeout) {
  if (state_ == nullptr) return Ok();
  std::unique_lock lock(state_->mutex);
  const auto done = [&] { return state_->done; };
  if (!timeout.has_value()) {
    state_->changed.wait(lock, done);
  } else if (!state_->changed.wait_for(lock, std::chrono::duration<double>(timeout->value), done)) {
    return Error{Code::kEnvironment, fmt::format("{} is not done after {}", state_->what, ToString(*timeout)), ""};
  }
  return state_->status;
}

void Transfer::Cancel() {
  if (state_ == nullptr || state_->withdraw == nullptr) return;
  if (state_->withdraw()) {
    Complete(*state_, Error{Code::kEnvironment, state_->what + " was cancelled", ""});
    return;
  }
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [&] { return state_->done; });
}

std::string Transfer::TakeText() {
  ALPA_CHECK(state_ != nullptr && done());
  return std::move(state_->text);
}

void Complete(TransferState& state, Status status) {
  const std::lock_guard lock(state.mutex);
  ALPA_CHECK(!state.done);
  state.status = std::move(status);
  state.done = true;
  state.changed.notify_all();
}

bool Fit(TransferState& receive, size_t size) {
  if (receive.any_size) {
    receive.text.resize(size);
    receive.into = std::as_writable_bytes(std::span<char>(receive.text));
  }
  if (receive.into.size() == size) return true;
  Complete(receive,
           Error{Code::kMismatch,
                 fmt::format("{} has {} bytes, {} were expected", receive.what, size, receive.into.size()), ""});
  return false;
}

}  // namespace alpa::process
