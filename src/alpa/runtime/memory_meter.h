// How much memory the devices of a mesh hold: what the arrays on them and the programs that run say they take. (PJRT's
// CPU client counts nothing.)
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "alpa/base/units.h"
#include "alpa/runtime/stage_arrays.h"

namespace alpa::runtime {

// Bytes per device. Safe to use from any thread; outlives nothing: arrays keep it alive.
class MemoryMeter : public std::enable_shared_from_this<MemoryMeter> {
 public:
  static std::shared_ptr<MemoryMeter> Make() { return std::shared_ptr<MemoryMeter>(new MemoryMeter()); }

  // Takes over an array that lies on the devices and takes `bytes` of each, until the last pointer to it is gone.
  ArrayPtr Own(std::unique_ptr<xla::Array> array, Bytes bytes);
  // The array's memory went over to another one.
  void Release(const xla::Array* array);
  // A program runs that takes so much beside what is there.
  void Run(Bytes more);

  Bytes live() const;
  // The most since the meter was made, or since the last call.
  Bytes TakePeak();

 private:
  MemoryMeter() = default;

  mutable std::mutex mutex_;
  std::map<const xla::Array*, int64_t> arrays_;
  int64_t live_ = 0, peak_ = 0;
};

}  // namespace alpa::runtime
