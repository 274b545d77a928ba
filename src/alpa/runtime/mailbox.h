// Where values wait for the stage that reads them.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>

#include "alpa/base/result.h"
#include "alpa/xla/engine.h"

namespace alpa::runtime {

// Values between the threads of a step. The first error ends all waiting.
class Mailbox {
 public:
  // Stage, input of it, microbatch (-1: once per step).
  using Key = std::tuple<int, int, int64_t>;

  void Put(const Key& key, std::shared_ptr<xla::Array> value) {
    const std::lock_guard lock(mutex_);
    values_[key] = std::move(value);
    changed_.notify_all();
  }

  // Waits for the value; null after an error anywhere.
  std::shared_ptr<xla::Array> Take(const Key& key) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return error_ || values_.count(key) > 0; });
    if (error_) return nullptr;
    auto at = values_.find(key);
    std::shared_ptr<xla::Array> value = std::move(at->second);
    values_.erase(at);
    return value;
  }

  // The value if it is there, else null.
  std::shared_ptr<xla::Array> TryTake(const Key& key) {
    const std::lock_guard lock(mutex_);
    const auto at = values_.find(key);
    if (at == values_.end()) return nullptr;
    std::shared_ptr<xla::Array> value = std::move(at->second);
    values_.erase(at);
    return value;
  }

  void Fail(Error error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    changed_.notify_all();
  }
  std::optional<Error> error() const {
    const std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Key, std::shared_ptr<xla::Array>> values_;
  std::optional<Error> error_;
};

}  // namespace alpa::runtime
