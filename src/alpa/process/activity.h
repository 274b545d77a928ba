// What a worker thread is doing, for others to read at any time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace alpa::process {

// A short text that one thread sets, without locks or memory, and any thread reads.
class Activity {
 public:
  static constexpr size_t kMost = 120;  // bytes; longer texts are cut

  // "step 12, mesh 1, forward s2 k5". `waiting`: the worker waits for others and is not to blame if nothing moves.
  void Set(std::string_view text, bool waiting = false) noexcept;

  struct Snapshot {
    uint64_t changes = 0;  // how often it was set
    bool waiting = false;
    std::string text;
  };
  Snapshot Read() const;

 private:
  // A sequence lock: odd while the writer is at it. The text is kept in atomics, as readers may see it half written
  // (and then read again).
  std::atomic<uint64_t> sequence_ = 0;
  std::array<std::atomic<uint64_t>, kMost / 8 + 1> words_{};  // the last one: length, and `waiting` in the lowest bit
};

}  // namespace alpa::process
