#include "alpa/runtime/golden.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

namespace alpa::runtime {
namespace {

constexpr std::string_view kStats = ".stats";

// "out5/0012" -> (5, 12).
std::optional<std::pair<int64_t, int32_t>> ParseOutputName(std::string_view name) {
  if (!name.starts_with("out")) return std::nullopt;
  int64_t step = 0;
  int32_t output = 0;
  const char* const end = name.data() + name.size();
  const auto [slash, step_error] = std::from_chars(name.data() + 3, end, step);
  if (step_error != std::errc() || slash == end || *slash != '/') return std::nullopt;
  const auto [stop, output_error] = std::from_chars(slash + 1, end, output);
  if (output_error != std::errc() || stop != end) return std::nullopt;
  return std::pair(step, output);
}

std::string OutputName(int64_t step, int32_t output) { return fmt::format("out{}/{:04}", step, output); }

}  // namespace

Result<GoldenFile> GoldenFile::Open(const std::filesystem::path& path) {
  GoldenFile golden;
  ALPA_TRY(golden.npz_, NpzFile::Open(path));
  for (const std::string& name : golden.npz_->names()) {
    golden.sampled_ |= name.ends_with(kStats);
    if (const auto parsed = ParseOutputName(name)) ++golden.outputs_[parsed->first];
  }
  for (const auto& [step, count] : golden.outputs_) {
    for (int32_t o = 0; o < count; ++o) {
      if (golden.npz_->Has(OutputName(step, o))) continue;
      return Error{Code::kInvalidInput, fmt::format("{}: member '{}' is missing", path.string(), OutputName(step, o)),
                   ""};
    }
  }
  if (golden.npz_->Has("losses")) {
    ALPA_TRY(const ir::HostTensor losses, golden.npz_->Read("losses"));
    golden.losses_ = ir::ToDoubles(losses);
  }
  if (golden.outputs_.empty() && golden.losses_.empty()) {
    return Error{Code::kInvalidInput,
                 fmt::format("{}: not a golden file: no out<step>/0000 and no losses", path.string()),
                 "examples/models/export.py writes such files"};
  }
  return golden;
}

GoldenFile GoldenFile::FromRun(std::string name, std::map<int64_t, std::vector<ir::HostTensor>> outputs,
                               std::vector<double> losses) {
  GoldenFile golden;
  golden.name_ = std::move(name);
  for (const auto& [step, tensors] : outputs) golden.outputs_[step] = static_cast<int32_t>(tensors.size());
  golden.computed_ = std::move(outputs);
  golden.losses_ = std::move(losses);
  return golden;
}

Result<ExpectedTensor> GoldenFile::Output(int64_t step, int32_t output) const {
  const std::string name = OutputName(step, output);
  ExpectedTensor expected;
  if (!npz_) {
    const auto at = computed_.find(step);
    if (at == computed_.end() || static_cast<size_t>(output) >= at->second.size()) {
      return Error{Code::kNotFound, fmt::format("{}: no output {} after step {}", path(), output, step), ""};
    }
    expected.values = at->second[static_cast<size_t>(output)];
    return expected;
  }
  ALPA_TRY(expected.values, npz_->Read(name));
  const std::string stats_name = name + std::string(kStats);
  if (!npz_->Has(stats_name)) return expected;
  ALPA_TRY(const ir::HostTensor stats, npz_->Read(stats_name));
  if (stats.shape() != ir::Shape{ir::DType::kF64, {3}}) {
    return Error{Code::kInvalidInput,
                 fmt::format("{}: member '{}' is {}, not f64[3]", path(), stats_name, ir::ToString(stats.shape())), ""};
  }
  expected.sampled = true;
  expected.sum = stats.as<double>()[0];
  expected.sum_of_squares = stats.as<double>()[1];
  expected.largest = stats.as<double>()[2];
  return expected;
}

}  // namespace alpa::runtime
