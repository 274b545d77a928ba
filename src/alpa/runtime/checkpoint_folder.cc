#include "alpa/runtime/checkpoint_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace alpa::runtime {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kTemporary = ".tmp";

Error IoError(const fs::path& path, std::string_view what, const std::string& reason) {
  return {Code::kIo, fmt::format("{}: cannot {}: {}", path.string(), what, reason), ""};
}

std::string FolderName(int64_t step) { return fmt::format("{}{:08}", kPrefix, step); }

std::string TemporaryName(std::string_view name) { return fmt::format(".{}{}{}", name, kTemporary, ::getpid()); }

// All of `text` as a number that is not negative.
std::optional<int64_t> ParseNumber(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

Result<std::vector<std::string>> ListNames(const fs::path& dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(dir, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error == std::errc::no_such_file_or_directory) {
    return Error{Code::kNotFound, fmt::format("{}: no such folder", dir.string()), ""};
  }
  if (error) return IoError(dir, "list", error.message());
  return names;
}

}  // namespace

Result<std::vector<CheckpointEntry>> ListCheckpoints(const fs::path& dir) {
  ALPA_TRY(const std::vector<std::string> names, ListNames(dir));
  std::vector<CheckpointEntry> entries;
  for (const std::string& name : names) {
    if (!name.starts_with(kPrefix)) continue;
    const auto step = ParseNumber(std::string_view(name).substr(kPrefix.size()));
    if (step && name == FolderName(*step)) entries.push_back({*step, dir / name});
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return entries;
}

fs::path CheckpointPath(const fs::path& dir, int64_t step) { return dir / FolderName(step); }

fs::path TemporaryCheckpointPath(const fs::path& dir, int64_t step, int writers) {
  if (writers > 1) return dir / fmt::format(".{}{}", FolderName(step), kTemporary);
  return dir / TemporaryName(FolderName(step));
}

Status MoveIntoPlace(const fs::path& temporary, const fs::path& target) {
  if (::rename(temporary.c_str(), target.c_str()) == 0) return Ok();
  if (errno != ENOTEMPTY && errno != EEXIST) return IoError(target, "create", std::strerror(errno));
  std::error_code error;
  // An exchange leaves no moment without a checkpoint; not all file systems can do it.
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
    fs::remove_all(temporary, error);
    return Ok();
  }
  const fs::path old = target.parent_path() / TemporaryName(target.filename().string() + ".old");
  if (::rename(target.c_str(), old.c_str()) != 0) return IoError(target, "replace", std::strerror(errno));
  if (::rename(temporary.c_str(), target.c_str()) != 0) {
    const int err = errno;
    static_cast<void>(::rename(old.c_str(), target.c_str()));
    return IoError(target, "replace", std::strerror(err));
  }
  fs::remove_all(old, error);
  return Ok();
}

void RemoveCheckpoint(const CheckpointEntry& entry) {
  const fs::path doomed = TemporaryCheckpointPath(entry.folder.parent_path(), entry.step);
  std::error_code error;
  fs::rename(entry.folder, doomed, error);
  if (!error) fs::remove_all(doomed, error);
}

void RemoveStale(const fs::path& dir) {
  const auto names = ListNames(dir);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const size_t at = name.rfind(kTemporary);
    if (!name.starts_with(fmt::format(".{}", kPrefix)) || at == std::string::npos) continue;
    const std::string_view number = std::string_view(name).substr(at + kTemporary.size());
    const auto pid = ParseNumber(number);
    if (!pid && !number.empty()) continue;
    const bool running = pid && *pid != ::getpid() && (::kill(static_cast<pid_t>(*pid), 0) == 0 || errno != ESRCH);
    if (running) continue;
    // What several processes write may be put into place by another one at this very moment: it is taken away first,
    // so that it comes into place as a whole or not at all.
    fs::path doomed = dir / name;
    std::error_code error;
    if (number.empty()) {
      doomed = dir / fmt::format("{}.old{}{}", name.substr(0, at), kTemporary, ::getpid());
      fs::rename(dir / name, doomed, error);
    }
    if (!error) fs::remove_all(doomed, error);
  }
}

}  // namespace alpa::runtime
