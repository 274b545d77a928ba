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
#include "alpa/runtime/pipeline_executable.h"

namespace alpa::driver {

// What a line says of one step.
struct StepMetrics {
  int64_t step = 0;
  std::optional<double> loss;
  Seconds wall;
  double per_second = 0;  // of `unit`
  std::string unit;
  Flops flops;                                         // of the products of a step
  const runtime::StepTimeline* of_pipeline = nullptr;  // where the time of a pipeline went
};

// Steps, losses and times as JSON lines, each written out at once.
class Metrics {
 public:
  // Starts the file anew, or goes on behind step `resume_after`: lines of later steps, which a run that was ended wrote
  // after its last checkpoint, and an unfinished last line are dropped, so that each step is there once. Writes nowhere
  // when `path` is empty. kIo.
  static Result<Metrics> Open(const std::filesystem::path& path, std::optional<int64_t> resume_after);
  // One step. {"step", "loss", "seconds", "UNIT_per_second", "tflops"}, and of pipelines "bubble" and "overhead":
  // shares of the step (see runtime::StepTimeline). kIo with the reason.
  Status Write(const StepMetrics& metrics);

 private:
  std::filesystem::path path_;
  std::unique_ptr<std::ofstream> out_;
};

}  // namespace alpa::driver
