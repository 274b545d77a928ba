// Reads the zip container: members that are stored or deflated, also beyond 4 GiB (zip64). Nothing is ever extracted to
// disk, so names are only names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/runtime/binary_file.h"

namespace alpa::runtime {

// One entry of the directory at the end of a zip file.
struct ZipMember {
  std::string name;
  bool deflated = false;    // else stored as it is
  uint32_t crc = 0;         // CRC-32 of the unpacked bytes
  int64_t packed_size = 0;  // bytes in the file
  int64_t size = 0;         // bytes unpacked
  int64_t data_offset = 0;  // where the packed bytes begin in the file
};

class ZipReader;

// A zip file whose directory has been read and checked; members are read when asked for.
class ZipFile {
 public:
  // kNotFound, kIo; kCorrupt when it is truncated, no zip file, or its directory contradicts its size; kUnsupported for
  // encrypted members, other methods than store and deflate, and archives of several volumes; kInvalidInput when two
  // members have one name.
  static Result<ZipFile> Open(const std::filesystem::path& path);

  const std::string& path() const { return file_->path(); }
  const InputFile& file() const { return *file_; }
  // In the order of the directory.
  const std::vector<ZipMember>& members() const { return members_; }
  // nullptr when there is none.
  const ZipMember* Find(std::string_view name) const;
  // Reads `member` from front to back. The reader may outlive this object.
  ZipReader Read(const ZipMember& member) const;

 private:
  std::shared_ptr<const InputFile> file_;
  std::vector<ZipMember> members_;
};

// The unpacked bytes of one member, from front to back.
class ZipReader {
 public:
  ZipReader(std::shared_ptr<const InputFile> file, ZipMember member);
  ZipReader(ZipReader&&) noexcept;
  ~ZipReader();

  // Bytes not yet read.
  int64_t remaining() const { return member_.size - done_; }
  // The next bytes; `out` must not be larger than remaining(). kCorrupt when the packed data is damaged.
  Status Read(std::span<std::byte> out);
  // To be called at the end: kCorrupt when the checksum differs or packed data is left over.
  Status Finish();

 private:
  struct Inflater;

  Status ReadPacked(std::span<std::byte> out);
  Status Inflate(std::span<std::byte> out);
  Status Refill();
  Error Damaged(std::string_view what) const;

  std::shared_ptr<const InputFile> file_;
  ZipMember member_;
  int64_t done_ = 0;         // unpacked bytes handed out
  int64_t packed_done_ = 0;  // packed bytes read
  uint32_t crc_ = 0;
  std::unique_ptr<Inflater> inflater_;
};

}  // namespace alpa::runtime
