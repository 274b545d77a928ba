#include "alpa/runtime/memory_meter.h"

#include <algorithm>

namespace alpa::runtime {

ArrayPtr MemoryMeter::Own(std::unique_ptr<xla::Array> array, Bytes bytes) {
  const std::lock_guard lock(mutex_);
  arrays_[array.get()] = bytes.value;
  live_ += bytes.value;
  peak_ = std::max(peak_, live_);
  return {array.release(), [meter = shared_from_this()](xla::Array* gone) {
            meter->Release(gone);
            delete gone;
          }};
}

void MemoryMeter::Release(const xla::Array* array) {
  const std::lock_guard lock(mutex_);
  const auto at = arrays_.find(array);
  if (at == arrays_.end()) return;
  live_ -= at->second;
  arrays_.erase(at);
}

void MemoryMeter::Run(Bytes more) {
  const std::lock_guard lock(mutex_);
  peak_ = std::max(peak_, live_ + more.value);
}

Bytes MemoryMeter::live() const {
  const std::lock_guard lock(mutex_);
  return Bytes(live_);
}

Bytes MemoryMeter::TakePeak() {
  const std::lock_guard lock(mutex_);
  const Bytes peak(peak_);
  peak_ = live_;
  return peak;
}

}  // namespace alpa::runtime
