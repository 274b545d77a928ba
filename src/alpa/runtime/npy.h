// NumPy's format of one array (.npy, versions 1 to 3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "alpa/base/result.h"
#include "alpa/ir/host_tensor.h"
#include "alpa/ir/shape.h"

namespace alpa::runtime {

// What stands in front of the elements.
struct NpyHeader {
  ir::Shape shape;
  bool fortran_order = false;  // the elements lie column-major
  int64_t bytes = 0;           // of the header, i.e. where the elements begin

  bool operator==(const NpyHeader&) const = default;
};

// The next bytes of a file or member, from front to back.
using ByteSource = std::function<Status(std::span<std::byte> out)>;

// Reads a header from `source`, which holds `bytes` bytes altogether; `where` begins the messages. Element types: b1,
// i1 to i8, u1 to u8, f2, f4, f8, c8, c16, and V2 or "bfloat16", which is how ml_dtypes writes bf16. kUnsupported for
// others and for big-endian ones, kCorrupt when this is no .npy header or the elements do not fill the rest exactly.
Result<NpyHeader> ReadNpyHeader(const ByteSource& source, int64_t bytes, const std::string& where);

// Reads header and elements. Column-major arrays are transposed. Errors as above.
Result<ir::HostTensor> ReadNpy(const ByteSource& source, int64_t bytes, const std::string& where);

// Reads a file. kNotFound, kIo, and the errors above.
Result<ir::HostTensor> ReadNpyFile(const std::filesystem::path& path);

// The header (version 1) of a row-major array. kUnsupported for element types that NumPy cannot name (8-bit floats).
Result<std::string> MakeNpyHeader(const ir::Shape& shape);

}  // namespace alpa::runtime
