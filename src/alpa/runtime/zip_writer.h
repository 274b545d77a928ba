// Writes the zip container.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/runtime/binary_file.h"

namespace alpa::runtime {

// Writes a zip file of stored members, deterministically (all dates are 1980-01-01).
class ZipWriter {
 public:
  // `force_zip64` writes the large form of each record even where the small one would do.
  static Result<ZipWriter> Create(const std::filesystem::path& path, bool force_zip64 = false);

  // Appends a member that consists of `parts` one after the other. kIo.
  Status Add(std::string_view name, std::span<const std::string_view> parts);
  // Writes the directory and gives the file its name. kIo.
  Status Close();

 private:
  ZipWriter(OutputFile file, bool force_zip64) : file_(std::move(file)), force_zip64_(force_zip64) {}

  OutputFile file_;
  bool force_zip64_;
  int64_t count_ = 0;
  std::string directory_;
};

}  // namespace alpa::runtime
