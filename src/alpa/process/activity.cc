#include "alpa/process/activity.h"

#include <algorithm>
#include <cstring>

namespace alpa::process {

void Activity::Set(std::string_view text, bool waiting) noexcept {
  std::array<uint64_t, kMost / 8 + 1> words{};
  const size_t length = std::min(text.size(), kMost);
  std::memcpy(words.data(), text.data(), length);
  words.back() = length * 2 + (waiting ? 1 : 0);
  const uint64_t before = sequence_.load(std::memory_order_relaxed);
  sequence_.store(before + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  for (size_t w = 0; w < words.size(); ++w) words_[w].store(words[w], std::memory_order_relaxed);
  sequence_.store(before + 2, std::memory_order_release);
}

Activity::Snapshot Activity::Read() const {
  std::array<uint64_t, kMost / 8 + 1> words{};
  for (;;) {
    const uint64_t before = sequence_.load(std::memory_order_acquire);
    for (size_t w = 0; w < words.size(); ++w) words[w] = words_[w].load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (before % 2 != 0 || sequence_.load(std::memory_order_relaxed) != before) continue;
    const auto* text = reinterpret_cast<const char*>(words.data());
    return {before / 2, words.back() % 2 != 0, std::string(text, words.back() / 2)};
  }
}

}  // namespace alpa::process
