#include "alpa/runtime/npy.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "alpa/runtime/binary_file.h"

namespace alpa::runtime {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr int64_t kPrefixBytes = 12;  // magic, version and the longer of the two length fields
constexpr int64_t kMaxHeaderBytes = 1 << 20;
constexpr size_t kAlignment = 64;

constexpr auto kDescriptions = std::to_array<std::pair<std::string_view, ir::DType>>({
    {"b1", ir::DType::kPred},
    {"i1", ir::DType::kS8},
    {"i2", ir::DType::kS16},
    {"i4", ir::DType::kS32},
    {"i8", ir::DType::kS64},
    {"u1", ir::DType::kU8},
    {"u2", ir::DType::kU16},
    {"u4", ir::DType::kU32},
    {"u8", ir::DType::kU64},
    {"f2", ir::DType::kF16},
    {"f4", ir::DType::kF32},
    {"f8", ir::DType::kF64},
    {"c8", ir::DType::kC64},
    {"c16", ir::DType::kC128},
    {"V2", ir::DType::kBF16},
});

Error Corrupt(const std::string& where, std::string_view what) {
  return {Code::kCorrupt, fmt::format("{}: {}", where, what), ""};
}

// Reads the Python literal of a header: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
class LiteralParser {
 public:
  explicit LiteralParser(std::string_view text) : rest_(text) {}

  struct Fields {
    std::optional<std::string_view> descr;
    std::optional<bool> fortran_order;
    std::optional<std::vector<int64_t>> dims;
  };

  // Empty when the text is not such a literal.
  std::optional<Fields> Parse() {
    Fields fields;
    if (!Take('{')) return std::nullopt;
    while (!Take('}')) {
      const auto key = String();
      if (!key || !Take(':')) return std::nullopt;
      if (*key == "descr") {
        fields.descr = String();
      } else if (*key == "fortran_order") {
        fields.fortran_order = Bool();
      } else if (*key == "shape") {
        fields.dims = Tuple();
      } else {
        return std::nullopt;
      }
      if (!Take(',') && !Peek('}')) return std::nullopt;
    }
    SkipSpace();
    const bool complete = rest_.empty() && fields.descr && fields.fortran_order && fields.dims;
    return complete ? std::optional(fields) : std::nullopt;
  }

 private:
  void SkipSpace() {
    while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_.front())) != 0) rest_.remove_prefix(1);
  }
  bool Peek(char c) {
    SkipSpace();
    return !rest_.empty() && rest_.front() == c;
  }
  bool Take(char c) {
    if (!Peek(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool TakeWord(std::string_view word) {
    SkipSpace();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  std::optional<std::string_view> String() {
    SkipSpace();
    if (rest_.empty() || (rest_.front() != '\'' && rest_.front() != '"')) return std::nullopt;
    const size_t end = rest_.find(rest_.front(), 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }
  std::optional<bool> Bool() {
    if (TakeWord("True")) return true;
    if (TakeWord("False")) return false;
    return std::nullopt;
  }
  std::optional<std::vector<int64_t>> Tuple() {
    if (!Take('(')) return std::nullopt;
    std::vector<int64_t> values;
    while (!Take(')')) {
      SkipSpace();
      int64_t value = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
      if (error != std::errc() || value < 0) return std::nullopt;
      rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
      TakeWord("L");  // Python 2
      values.push_back(value);
      if (!Take(',') && !Peek(')')) return std::nullopt;
    }
    return values;
  }

  std::string_view rest_;
};

Result<ir::DType> ParseDescription(std::string_view descr, const std::string& where) {
  const auto unsupported = [&](std::string_view why) {
    return Error{Code::kUnsupported, fmt::format("{}: element type '{}' {}", where, descr, why),
                 "store it as bool, an integer, float16, float32, float64 or ml_dtypes.bfloat16, little endian"};
  };
  if (descr == "bfloat16") return ir::DType::kBF16;
  if (descr.starts_with('>')) return unsupported("is big endian");
  std::string_view name = descr;
  if (!name.empty() && std::string_view("<|=").find(name.front()) != std::string_view::npos) name.remove_prefix(1);
  for (const auto& [known, type] : kDescriptions) {
    if (known == name) return type;
  }
  return unsupported("is not one that alpa reads");
}

// Bytes of an array with these dims, or -1 when they pass 2^63.
int64_t CheckedBytes(const ir::Shape& shape) {
  int64_t bytes = ir::Bits(shape.dtype) / 8;
  for (const int64_t dim : shape.dims) {
    if (__builtin_mul_overflow(bytes, dim, &bytes)) return -1;
  }
  return bytes;
}

// The row-major form of an array whose elements lie column-major in `tensor`.
ir::HostTensor Transposed(const ir::HostTensor& tensor) {
  const ir::Shape& shape = tensor.shape();
  ir::HostTensor out(shape);
  const auto width = static_cast<size_t>(ir::Bits(shape.dtype) / 8);
  std::vector<int64_t> index(shape.dims.size(), 0);
  for (int64_t to = 0; to < shape.elements(); ++to) {
    int64_t from = 0;
    for (size_t d = index.size(); d-- > 0;) from = from * shape.dims[d] + index[d];
    std::memcpy(out.bytes().data() + static_cast<size_t>(to) * width,
                tensor.bytes().data() + static_cast<size_t>(from) * width, width);
    for (size_t d = index.size(); d-- > 0;) {
      if (++index[d] < shape.dims[d]) break;
      index[d] = 0;
    }
  }
  return out;
}

}  // namespace

Result<NpyHeader> ReadNpyHeader(const ByteSource& source, int64_t bytes, const std::string& where) {
  if (bytes < kPrefixBytes) return Corrupt(where, fmt::format("{} bytes are too few for an .npy array", bytes));
  std::string text(kPrefixBytes, '\0');
  ALPA_RETURN_IF_ERROR(source(std::as_writable_bytes(std::span(text.data(), text.size()))));
  if (!text.starts_with(kMagic)) return Corrupt(where, "not an .npy array: it does not begin with \\x93NUMPY");
  const int version = static_cast<unsigned char>(text[6]);
  if (version < 1 || version > 3) {
    return Error{Code::kUnsupported, fmt::format("{}: .npy version {}; alpa reads 1 to 3", where, version), ""};
  }
  uint32_t length = 0;
  std::memcpy(&length, text.data() + 8, version == 1 ? 2 : 4);
  const int64_t literal_start = version == 1 ? 10 : 12;
  const int64_t total = literal_start + length;
  if (total < kPrefixBytes || total > bytes || total > kMaxHeaderBytes)
    return Corrupt(where, "the .npy header is damaged");
  text.resize(static_cast<size_t>(total));
  ALPA_RETURN_IF_ERROR(source(std::as_writable_bytes(std::span(text).subspan(kPrefixBytes))));
  const auto fields = LiteralParser(std::string_view(text).substr(static_cast<size_t>(literal_start))).Parse();
  if (!fields) {
    return Corrupt(where, "the .npy header is damaged, or describes a structured array, which alpa does not read");
  }
  NpyHeader header;
  ALPA_TRY(header.shape.dtype, ParseDescription(*fields->descr, where));
  header.shape.dims = *fields->dims;
  header.fortran_order = *fields->fortran_order;
  header.bytes = total;
  const int64_t expected = CheckedBytes(header.shape);
  if (expected != bytes - total) {
    return Corrupt(where, fmt::format("holds {} bytes of elements; {} needs {} (truncated?)", bytes - total,
                                      ir::ToString(header.shape), expected));
  }
  return header;
}

Result<ir::HostTensor> ReadNpy(const ByteSource& source, int64_t bytes, const std::string& where) {
  ALPA_TRY(const NpyHeader header, ReadNpyHeader(source, bytes, where));
  ir::HostTensor tensor(header.shape);
  ALPA_RETURN_IF_ERROR(source(tensor.bytes()));
  if (header.fortran_order && header.shape.rank() > 1) return Transposed(tensor);
  return tensor;
}

Result<ir::HostTensor> ReadNpyFile(const std::filesystem::path& path) {
  ALPA_TRY(const InputFile file, InputFile::Open(path));
  int64_t at = 0;
  const ByteSource source = [&](std::span<std::byte> out) {
    const int64_t from = std::exchange(at, at + static_cast<int64_t>(out.size()));
    return file.ReadAt(from, out);
  };
  return ReadNpy(source, file.size(), path.string());
}

Result<std::string> MakeNpyHeader(const ir::Shape& shape) {
  for (const auto& [name, type] : kDescriptions) {
    if (type != shape.dtype) continue;
    const bool one_byte = ir::Bits(type) == 8;
    std::string literal =
        fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': (", one_byte ? '|' : '<', name);
    for (const int64_t dim : shape.dims) literal += fmt::format("{}, ", dim);
    if (shape.rank() > 1) literal.resize(literal.size() - 2);
    if (shape.rank() == 1) literal.pop_back();
    literal += "), }";
    const size_t prefix = kMagic.size() + 4;
    const size_t padded = (prefix + literal.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
    literal.resize(padded - prefix - 1, ' ');
    literal += '\n';
    std::string header(kMagic);
    header += '\x01';
    header += '\x00';
    header += static_cast<char>(literal.size() & 0xff);
    header += static_cast<char>(literal.size() >> 8);
    return header + literal;
  }
  return Error{Code::kUnsupported, fmt::format("NumPy has no element type for {}", ir::ToString(shape)),
               "write it as .safetensors"};
}

}  // namespace alpa::runtime
