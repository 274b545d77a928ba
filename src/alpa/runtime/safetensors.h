// The safetensors format: named arrays in one plain file that Python reads and that can be mapped into memory
// (https://huggingface.co/docs/safetensors): 8 bytes length of the header, a JSON header, the arrays without gaps.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/host_tensor.h"
#include "alpa/runtime/binary_file.h"

namespace alpa::runtime {

// "F32", "BF16", "BOOL", ...: F64 F32 F16 BF16, I8 to I64, U8 to U64, BOOL, F8_E4M3 (f8e4m3fn), F8_E5M2, F8_E8M0, and
// C64 (since safetensors 0.7). Nothing for the types that the format has not.
std::optional<std::string_view> SafetensorsName(ir::DType type);
std::optional<ir::DType> DTypeFromSafetensors(std::string_view name);

// Name and shape of an array that is to be written.
struct TensorInfo {
  std::string name;
  ir::Shape shape;

  bool operator==(const TensorInfo&) const = default;
};

// Gives array number `index` of a list when it is needed.
using TensorProvider = std::function<Result<ir::HostTensor>(size_t index)>;

// Checksums of a file that was written.
struct SafetensorsSummary {
  int64_t file_bytes = 0;
  uint32_t header_crc = 0;            // CRC-32 of the length field and the JSON
  std::vector<uint32_t> tensor_crcs;  // CRC-32 of each array's bytes, in the order of the list given
};

// Writes `tensors`, taking one after the other from `provider`, so that only one is in memory. In the file they lie by
// element size, largest first, and else in the order given, which aligns each to its element size. Deterministic.
// kInvalidInput when a name occurs twice, is not UTF-8 or is reserved ("__metadata__"); kUnsupported for a type the
// format has not; kIo; the provider's errors. Without success nothing is left at `path` that was not there before.
Result<SafetensorsSummary> WriteSafetensors(const std::filesystem::path& path, const std::vector<TensorInfo>& tensors,
                                            const std::map<std::string, std::string>& metadata,
                                            const TensorProvider& provider);

// A safetensors file whose header has been read and checked; arrays are read when asked for.
class SafetensorsFile {
 public:
  // An array in the file: its bytes are [begin, end) of the file.
  struct Entry {
    std::string name;
    ir::Shape shape;
    int64_t begin = 0, end = 0;
  };

  // kNotFound, kIo; kCorrupt (naming file and tensor) when the header is no safetensors header, is longer than the
  // file, or its arrays leave gaps, overlap, do not fit their shapes or the file; kUnsupported for an unknown element
  // type.
  static Result<SafetensorsFile> Open(const std::filesystem::path& path);

  const std::string& path() const { return file_.path(); }
  int64_t file_bytes() const { return file_.size(); }
  uint32_t header_crc() const { return header_crc_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // In the order in which they lie in the file.
  const std::vector<Entry>& entries() const { return entries_; }
  // nullptr when there is none.
  const Entry* Find(std::string_view name) const;
  // kIo, kCorrupt when the file has shrunk.
  Result<ir::HostTensor> Read(const Entry& entry) const;
  // The slices `first` .. `first` + `count` - 1 along its first dimension, which must be there. Errors as Read.
  Result<ir::HostTensor> ReadRows(const Entry& entry, int64_t first, int64_t count) const;

 private:
  explicit SafetensorsFile(InputFile file) : file_(std::move(file)) {}
  Status ParseHeader(std::string_view text);
  Status CheckLayout(int64_t data_begin) const;

  InputFile file_;
  uint32_t header_crc_ = 0;
  std::map<std::string, std::string> metadata_;
  std::vector<Entry> entries_;
  std::map<std::string, size_t, std::less<>> by_name_;
};

}  // namespace alpa::runtime
