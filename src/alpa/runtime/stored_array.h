// Arrays of a data set, of which parts are read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/ir/host_tensor.h"
#include "alpa/runtime/npz.h"

namespace alpa::runtime {

// An array that is in memory, or lies row-major in a file.
class StoredArray {
 public:
  // File and member, for messages.
  const std::string& where() const { return where_; }
  const ir::Shape& shape() const { return shape_; }
  // A checksum that tells its content from that of others.
  uint32_t crc() const { return crc_; }
  // Fills `out` with the bytes from `from` on, which must lie in the array. kIo, kCorrupt.
  Status Read(int64_t from, std::span<std::byte> out) const;

 private:
  friend class ArraySet;

  std::string where_;
  ir::Shape shape_;
  uint32_t crc_ = 0;
  std::optional<ir::HostTensor> tensor_;
  std::shared_ptr<const NpzFile> file_;
  int64_t offset_ = 0;  // of its elements in the file
};

// The arrays of one .npz file, or of several .npy files, by name.
class ArraySet {
 public:
  // One set per .npz file, or one set of all .npy files, each called by its file's name without extension.
  // kInvalidArgument when both kinds are given; kNotFound, kIo, kCorrupt, kUnsupported.
  static Result<std::vector<ArraySet>> Open(const std::vector<std::string>& paths);

  const std::string& path() const { return path_; }
  const std::vector<std::string>& names() const { return names_; }
  // Array number `index` of names(). Up to `max_in_memory` it is kept in memory, its checksum verified; a larger stored
  // member is left in the file. Errors as NpzFile::Read, ReadNpyFile.
  Result<StoredArray> Get(size_t index, Bytes max_in_memory = Bytes(int64_t{256} << 20)) const;

 private:
  std::string path_;
  std::vector<std::string> names_;
  std::shared_ptr<const NpzFile> npz_;  // or:
  std::vector<std::string> npy_paths_;
};

}  // namespace alpa::runtime
