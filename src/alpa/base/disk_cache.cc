#include "alpa/base/disk_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>
#include <vector>

#include "alpa/base/file.h"

namespace alpa {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".cached";
constexpr uint64_t kOtherSeed = 0x9e3779b97f4a7c15ULL;

// Two hashes of 64 bits: that two programs of one user share both does not happen by chance.
fs::path FileOf(const DiskCache& cache, std::string_view key) {
  return cache.folder / fmt::format("{:016x}{:016x}{}", Fnv1a(key), Fnv1a(key, kOtherSeed), kSuffix);
}

std::string Header(std::string_view key, std::string_view value) {
  return fmt::format("alpa cache 1, key of {} bytes {:08x}, value of {} bytes {:08x}\n", key.size(), Crc32(key),
                     value.size(), Crc32(value));
}

void RemoveOldest(const DiskCache& cache) {
  struct Entry {
    fs::file_time_type read;
    int64_t bytes;
    fs::path path;
  };
  std::vector<Entry> entries;
  int64_t all = 0;
  std::error_code error;
  for (fs::directory_iterator it(cache.folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() != kSuffix) continue;
    std::error_code gone;  // another process removed it
    const auto bytes = static_cast<int64_t>(it->file_size(gone));
    const fs::file_time_type read = it->last_write_time(gone);
    if (gone) continue;
    entries.push_back({read, bytes, it->path()});
    all += bytes;
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.read < b.read; });
  for (const Entry& entry : entries) {
    if (all <= cache.max_bytes) return;
    fs::remove(entry.path, error);
    all -= entry.bytes;
  }
}

}  // namespace

std::optional<std::string> ReadCached(const DiskCache& cache, std::string_view key) {
  if (cache.folder.empty()) return std::nullopt;
  const fs::path path = FileOf(cache, key);
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  auto text = ReadFile(path);
  if (!text.ok()) return std::nullopt;
  const size_t end = text->find('\n');
  if (end != std::string::npos) {
    std::string value = text->substr(end + 1);
    if (std::string_view(*text).substr(0, end + 1) == Header(key, value)) {
      fs::last_write_time(path, fs::file_time_type::clock::now(), error);
      return value;
    }
  }
  fs::remove(path, error);
  return std::nullopt;
}

void WriteCached(const DiskCache& cache, std::string_view key, std::string_view value) {
  if (cache.folder.empty() || static_cast<int64_t>(value.size()) > cache.max_bytes) return;
  std::error_code error;
  fs::create_directories(cache.folder, error);
  if (error) return;
  if (!WriteFileAtomic(FileOf(cache, key), Header(key, value) + std::string(value)).ok()) return;
  RemoveOldest(cache);
}

fs::path CacheFolder(std::string_view name) {
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg == '/')
    return fs::path(xdg) / "alpa" / name;
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return fs::path(home) / ".cache" / "alpa" / name;
  }
  return {};
}

}  // namespace alpa
