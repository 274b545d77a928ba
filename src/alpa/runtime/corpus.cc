#include "alpa/runtime/corpus.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "alpa/base/file.h"

namespace alpa::runtime {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxBytes = size_t{4} << 30;

bool IsBuildFolder(const std::string& name) {
  constexpr std::array<std::string_view, 4> kNames = {"build", "node_modules", "target", "__pycache__"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end() || name.starts_with("build-") ||
         name.starts_with("cmake-build-");
}

// The files below `folder` that may be text, sorted by path.
Result<std::vector<fs::path>> ListFolder(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, error);
  while (!error && it != fs::recursive_directory_iterator()) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    const bool link = it->is_symlink(ignored);
    const bool directory = !link && it->is_directory(ignored);
    if (directory && (name.starts_with('.') || IsBuildFolder(name))) it.disable_recursion_pending();
    if (!link && !name.starts_with('.') && it->is_regular_file(ignored)) files.push_back(it->path());
    it.increment(error);
  }
  if (error) return Error{Code::kIo, fmt::format("{}: cannot list: {}", folder.string(), error.message()), ""};
  std::sort(files.begin(), files.end());
  return files;
}

// Appends a file unless it is empty or binary; says whether it is binary.
Result<bool> AppendFile(const fs::path& path, Corpus& corpus) {
  ALPA_TRY(const std::string text, ReadFile(path));
  if (text.find('\0') != std::string::npos) return true;
  if (text.empty()) return false;
  if (corpus.bytes.size() + text.size() > kMaxBytes) {
    return Error{Code::kUnsupported, fmt::format("{}: with this file the text passes 4 GiB", path.string()), ""};
  }
  if (corpus.files++ > 0) corpus.bytes += '\0';
  corpus.bytes += text;
  return false;
}

}  // namespace

Result<Corpus> ReadCorpus(const std::vector<std::string>& paths) {
  Corpus corpus;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      ALPA_TRY(const bool binary, AppendFile(path, corpus));
      if (!binary) continue;
      return Error{Code::kInvalidInput, fmt::format("{}: is not text: it contains zero bytes", path),
                   "give text files or folders, or arrays as .npz or .npy"};
    }
    ALPA_TRY(const std::vector<fs::path> files, ListFolder(path));
    for (const fs::path& file : files) {
      ALPA_TRY(const bool binary, AppendFile(file, corpus));
      static_cast<void>(binary);  // skipped
    }
  }
  if (!corpus.bytes.empty()) return corpus;
  return Error{Code::kInvalidInput, fmt::format("{}: holds no text", fmt::join(paths, ", ")), ""};
}

}  // namespace alpa::runtime
