// NumPy's format of several named arrays (.npz): a zip file whose members are .npy arrays.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/host_tensor.h"
#include "alpa/runtime/npy.h"
#include "alpa/runtime/zip.h"

namespace alpa::runtime {

// An array and what it is called in a file.
struct NamedTensor {
  std::string name;
  ir::HostTensor tensor;

  bool operator==(const NamedTensor&) const = default;
};

// An open .npz file; each array is read, and its checksum verified, when asked for. Safe to use from several threads.
class NpzFile {
 public:
  // kNotFound, kIo, kCorrupt, kUnsupported: as ZipFile::Open.
  static Result<NpzFile> Open(const std::filesystem::path& path);

  const std::string& path() const { return zip_.path(); }
  // Names of the arrays, without ".npy", in the order of the file.
  const std::vector<std::string>& names() const { return names_; }
  bool Has(std::string_view name) const;
  // Type and order of an array; reads its header alone. Errors as Read.
  Result<NpyHeader> Header(std::string_view name) const;
  // kNotFound when there is no such member, kCorrupt when it is damaged (both name file and member), kUnsupported for
  // its element type.
  Result<ir::HostTensor> Read(std::string_view name) const;
  // Where in the file the elements of a stored row-major array begin, so that parts of it can be read; nothing when the
  // array is deflated or column-major. Errors as Read.
  Result<std::optional<int64_t>> ElementsOffset(std::string_view name) const;
  // Checksum of a member's bytes (header and elements) as the file states it. kNotFound.
  Result<uint32_t> Crc(std::string_view name) const;
  const InputFile& file() const { return zip_.file(); }

 private:
  Result<const ZipMember*> Member(std::string_view name) const;

  ZipFile zip_;
  std::vector<std::string> names_;
};

// Writes arrays as stored members, in this order. kIo; kUnsupported for element types that NumPy has not.
Status WriteNpz(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors);

}  // namespace alpa::runtime
