#include "alpa/driver/phase.h"

#include <fmt/format.h>

#include <cstdio>

#include "alpa/base/file.h"

namespace alpa::driver {

std::string_view Name(Phase phase) {
  static constexpr std::array<std::string_view, kPhases.size()> kNames = {"import", "analyze", "plan", "compile",
                                                                          "run"};
  return kNames[static_cast<size_t>(phase)];
}

std::optional<Phase> PhaseFromName(std::string_view name) {
  for (const Phase phase : kPhases) {
    if (Name(phase) == name) return phase;
  }
  return std::nullopt;
}

void Gate::Finish(Phase phase, std::chrono::steady_clock::time_point start) const {
  if (!options_.verbose) return;
  const Seconds took(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  fmt::print(stderr, "{:<8} {}\n", Name(phase), ToString(took));
}

Status Gate::Dump(Phase phase, std::string_view extension, const std::string& text) const {
  std::error_code ec;
  std::filesystem::create_directories(options_.dump_dir, ec);
  if (ec)
    return Error{Code::kIo, fmt::format("{}: cannot make the folder: {}", options_.dump_dir.string(), ec.message()),
                 ""};
  const std::string file = fmt::format("{:02}-{}.{}", static_cast<int>(phase) + 1, Name(phase), extension);
  return WriteFileAtomic(options_.dump_dir / file, text);
}

}  // namespace alpa::driver
