// Memory of a mesh over time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "alpa/simulate/simulate.h"

namespace alpa::simulate {

// Bytes in use, told in the order of time. What happens at one instant counts as happening at once: the peak is the
// most that is held for any length of time, so that it does not hang on the order of simultaneous events.
class MemoryMeter {
 public:
  MemoryMeter(int64_t bytes, bool record) : bytes_(bytes), record_(record) {
    if (record_) points_.push_back({0, bytes});
  }

  void Add(double now, int64_t bytes) {
    if (bytes == 0) return;
    if (now > time_) {
      peak_ = std::max(peak_, bytes_);
      time_ = now;
      if (record_) points_.push_back({now, 0});
    }
    bytes_ += bytes;
    if (record_) points_.back().bytes = bytes_;
  }

  int64_t bytes() const { return bytes_; }
  int64_t peak() const { return std::max(peak_, bytes_); }
  std::vector<MemoryPoint> TakePoints() { return std::move(points_); }

 private:
  int64_t bytes_ = 0, peak_ = 0;
  double time_ = 0;
  bool record_ = false;
  std::vector<MemoryPoint> points_;
};

}  // namespace alpa::simulate
