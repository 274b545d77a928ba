// The passes of alpa in order, and the gate that each of them goes through.
#pragma once

#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "alpa/base/result.h"
#include "alpa/base/units.h"

namespace alpa::driver {

enum class Phase { kImport, kAnalyze, kPlan, kCompile, kRun };
inline constexpr std::array kPhases = {Phase::kImport, Phase::kAnalyze, Phase::kPlan, Phase::kCompile, Phase::kRun};

std::string_view Name(Phase phase);  // "import", "analyze", ...
std::optional<Phase> PhaseFromName(std::string_view name);

struct GateOptions {
  std::filesystem::path dump_dir;   // empty: no dumps
  std::optional<Phase> stop_after;  // the last phase to run
  bool verbose = false;             // a line with the time of each phase on stderr
};

// Times each phase, verifies its result, dumps it, and says when to stop. One per command.
class Gate {
 public:
  explicit Gate(GateOptions options) : options_(std::move(options)) {}

  // Runs `pass`; then `verify` on its value, and `dump` (file extension and text) when dumps are wanted.
  template <typename T>
  Result<T> Run(Phase phase, const std::function<Result<T>()>& pass, const std::function<Status(const T&)>& verify,
                std::string_view extension, const std::function<Result<std::string>(const T&)>& dump) const {
    const auto start = std::chrono::steady_clock::now();
    Result<T> result = pass();
    if (!result.ok()) return result;
    ALPA_RETURN_IF_ERROR(verify(*result));
    Finish(phase, start);
    if (!options_.dump_dir.empty()) {
      ALPA_TRY(const std::string text, dump(*result));
      ALPA_RETURN_IF_ERROR(Dump(phase, extension, text));
    }
    return result;
  }

  // True when `phase` was the last one to run.
  bool Stops(Phase phase) const { return options_.stop_after == phase; }

 private:
  void Finish(Phase phase, std::chrono::steady_clock::time_point start) const;
  Status Dump(Phase phase, std::string_view extension, const std::string& text) const;

  GateOptions options_;
};

}  // namespace alpa::driver
