// Whole files in and out. Writes never leave a half-written file under the final name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "alpa/base/result.h"

namespace alpa {

// The bytes of a file. kNotFound when it does not exist, kIo when it cannot be read (a folder, permission).
Result<std::string> ReadFile(const std::filesystem::path& path);

// Writes `bytes` to a temporary name in the same folder, flushes it to disk and renames it to `path`. On any error (kIo
// with the reason) the old content of `path`, if there was one, is untouched. A symbolic link stays one: what it points
// at is replaced. Devices and pipes (/dev/stdout) are written in place. Safe to call from several threads.
Status WriteFileAtomic(const std::filesystem::path& path, std::string_view bytes);

// Whether `path` could be written (its folder exists and is writable, it is not a folder itself); creates nothing. kIo
// with the reason otherwise. To be asked before long work whose result goes there.
Status CheckWritable(const std::filesystem::path& path);

// True when `bytes` begins like a gzip stream.
bool IsGzip(std::string_view bytes);

// Inflates a gzip stream (also of several members). kCorrupt when it is truncated, damaged, or larger than
// `max_bytes` when inflated.
Result<std::string> Gunzip(std::string_view bytes, int64_t max_bytes = int64_t{8} << 30);

// CRC-32 (the one of zip and gzip) of `bytes`, continuing from `seed`.
uint32_t Crc32(std::string_view bytes, uint32_t seed = 0);

// 64-bit FNV-1a hash, for fingerprints (not for adversaries).
uint64_t Fnv1a(std::string_view bytes, uint64_t seed = 0xcbf29ce484222325ULL);

// `error` about what is in the file `path`: its name stands in front of the message.
Error InFile(const std::filesystem::path& path, const Error& error);

}  // namespace alpa
