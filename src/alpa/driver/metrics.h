// What `alpa run --metrics` writes: one JSON line per step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "alpa/base/result.h"
#include "alpa/base/units.h"

namespace alpa::driver {

// Steps, losses and times as JSON lines, each written out at once.
class Metrics {
 public:
  // Starts the file anew, or goes on behind step `resume_after`: lines of later steps, which a run that was ended wrote
  // after its last checkpoint, and an unfinished last line are dropped, so that each step is there once. Writes nowhere
  // when `path` is empty. kIo.
  static Result<Metrics> Open(const std::filesystem::path& path, std::optional<int64_t> resume_after);
  // One step; `unit` is what is counted `per_second`. kIo with the reason.
  Status Write(int64_t step, const std::optional<double>& loss, Seconds wall, double per_second,
               const std::string& unit);

 private:
  std::filesystem::path path_;
  std::unique_ptr<std::ofstream> out_;
};

}  // namespace alpa::driver
