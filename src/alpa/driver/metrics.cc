#include "alpa/driver/metrics.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>

#include "alpa/base/file.h"

namespace alpa::driver {
namespace {

// The step of a line; nothing when it is none of ours.
std::optional<int64_t> StepOf(const std::string& line) {
  const auto value = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object() || !value.contains("step") || !value["step"].is_number_integer()) return std::nullopt;
  return value["step"].get<int64_t>();
}

// Takes out of the file what belongs to steps after `step`.
Status DropLaterSteps(const std::filesystem::path& path, int64_t step) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return Ok();
  ALPA_TRY(const std::string text, ReadFile(path));
  std::string kept;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    if (end == std::string::npos) break;  // unfinished
    const std::string line = text.substr(at, end + 1 - at);
    if (StepOf(line).value_or(step) <= step) kept += line;
    at = end + 1;
  }
  return kept == text ? Ok() : WriteFileAtomic(path, kept);
}

}  // namespace

Result<Metrics> Metrics::Open(const std::filesystem::path& path, std::optional<int64_t> resume_after) {
  Metrics metrics;
  metrics.path_ = path;
  if (path.empty()) return metrics;
  if (resume_after) ALPA_RETURN_IF_ERROR(DropLaterSteps(path, *resume_after));
  metrics.out_ = std::make_unique<std::ofstream>(path, resume_after ? std::ios::app : std::ios::trunc);
  if (!*metrics.out_) return Error{Code::kIo, fmt::format("{}: cannot be written", path.string()), ""};
  return metrics;
}

Status Metrics::Write(const StepMetrics& m) {
  if (out_ == nullptr) return Ok();
  const std::string loss = m.loss.has_value() && std::isfinite(*m.loss) ? fmt::format("{}", *m.loss) : "null";
  std::string line =
      fmt::format(R"({{"step": {}, "loss": {}, "seconds": {}, "{}_per_second": {:.1f}, "tflops": {:.6g})", m.step, loss,
                  m.wall.value, m.unit, m.per_second, m.wall.value > 0 ? m.flops.value / m.wall.value / 1e12 : 0);
  if (m.of_pipeline != nullptr) {
    line +=
        fmt::format(R"(, "bubble": {:.4f}, "overhead": {:.4f})", m.of_pipeline->bubble(), m.of_pipeline->overhead());
  }
  *out_ << line << "}\n" << std::flush;
  if (!*out_) return Error{Code::kIo, fmt::format("{}: cannot write: {}", path_.string(), std::strerror(errno)), ""};
  return Ok();
}

}  // namespace alpa::driver
