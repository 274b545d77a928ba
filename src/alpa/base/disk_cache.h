// Values that cost time to compute, kept on disk by what they were computed from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace alpa {

// A folder that may be deleted at any time. Empty: nothing is kept.
struct DiskCache {
  std::filesystem::path folder;
  int64_t max_bytes = int64_t{1} << 30;
};

// The value that was written for `key`; nothing when there is none or it is damaged (then it is removed).
std::optional<std::string> ReadCached(const DiskCache& cache, std::string_view key);

// Keeps `value` for `key`, whole or not at all, whatever other processes do; what was not read for longest goes when
// all is more than max_bytes. That it cannot be written is no error: it will be computed again.
void WriteCached(const DiskCache& cache, std::string_view key, std::string_view value);

// $XDG_CACHE_HOME/alpa/NAME, or ~/.cache/alpa/NAME; empty when neither is known.
std::filesystem::path CacheFolder(std::string_view name);

}  // namespace alpa
