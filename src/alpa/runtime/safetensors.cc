#include "alpa/runtime/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

#include "alpa/base/file.h"

namespace alpa::runtime {
namespace {

using nlohmann::json;

constexpr int64_t kLengthBytes = 8;
constexpr int64_t kMaxHeaderBytes = 100'000'000;  // the limit of the reference implementation
constexpr const char* kMetadataKey = "__metadata__";

constexpr auto kTypes = std::to_array<std::pair<std::string_view, ir::DType>>({
    {"F64", ir::DType::kF64},
    {"F32", ir::DType::kF32},
    {"F16", ir::DType::kF16},
    {"BF16", ir::DType::kBF16},
    {"I64", ir::DType::kS64},
    {"I32", ir::DType::kS32},
    {"I16", ir::DType::kS16},
    {"I8", ir::DType::kS8},
    {"U64", ir::DType::kU64},
    {"U32", ir::DType::kU32},
    {"U16", ir::DType::kU16},
    {"U8", ir::DType::kU8},
    {"BOOL", ir::DType::kPred},
    {"C64", ir::DType::kC64},
    {"F8_E4M3", ir::DType::kF8E4M3FN},
    {"F8_E5M2", ir::DType::kF8E5M2},
    {"F8_E8M0", ir::DType::kF8E8M0FNU},
});

// A list of integers that fit int64 and are not negative.
std::optional<std::vector<int64_t>> Extents(const json& list) {
  if (!list.is_array()) return std::nullopt;
  std::vector<int64_t> out;
  for (const json& item : list) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > std::numeric_limits<int64_t>::max()) return std::nullopt;
    out.push_back(item.get<int64_t>());
  }
  return out;
}

// The order of the arrays in the file.
std::vector<size_t> FileOrder(const std::vector<TensorInfo>& tensors) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return ir::Bits(tensors[a].shape.dtype) > ir::Bits(tensors[b].shape.dtype);
  });
  return order;
}

// Length field and JSON, padded so that the arrays begin at a multiple of eight.
Result<std::string> MakeHeader(const std::filesystem::path& path, const std::vector<TensorInfo>& tensors,
                               const std::vector<size_t>& order, const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  std::set<std::string_view> names;
  int64_t at = 0;
  for (const size_t index : order) {
    const auto& [name, shape] = tensors[index];
    if (name == kMetadataKey || !names.insert(name).second) {
      return Error{Code::kInvalidInput,
                   fmt::format("{}: the tensor name '{}' is {}", path.string(), name,
                               name == kMetadataKey ? "reserved" : "used twice"),
                   ""};
    }
    const auto type = SafetensorsName(shape.dtype);
    if (!type) {
      return Error{Code::kUnsupported,
                   fmt::format("{}: tensor '{}': safetensors has no element type for {}", path.string(), name,
                               ir::ToString(shape)),
                   ""};
    }
    const int64_t end = at + shape.bytes().value;
    header[name] = {{"dtype", *type}, {"shape", shape.dims}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text(kLengthBytes, '\0');
  try {
    text += header.dump();
  } catch (const json::exception&) {
    return Error{Code::kInvalidInput, fmt::format("{}: a tensor name or metadata is not UTF-8", path.string()), ""};
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size() - kLengthBytes;
  std::memcpy(text.data(), &length, sizeof(length));
  return text;
}

// The JSON value of a header, or nothing when it is not JSON or has a key twice on its first level.
std::optional<json> ParseJson(std::string_view text) {
  std::set<std::string> keys;
  bool twice = false;
  const auto watch = [&](int depth, json::parse_event_t event, const json& parsed) {
    if (event == json::parse_event_t::key && depth == 1) twice |= !keys.insert(parsed.get<std::string>()).second;
    return true;
  };
  json value = json::parse(text, watch, /*allow_exceptions=*/false);
  if (value.is_discarded() || !value.is_object() || twice) return std::nullopt;
  return value;
}

// An array with room for its elements, or nothing when the shape passes 2^63 bytes.
std::optional<int64_t> BytesOf(const ir::Shape& shape) {
  int64_t bytes = ir::Bits(shape.dtype) / 8;
  for (const int64_t dim : shape.dims) {
    if (__builtin_mul_overflow(bytes, dim, &bytes)) return std::nullopt;
  }
  return bytes;
}

Error Corrupt(const InputFile& file, const std::string& what) {
  return {Code::kCorrupt, fmt::format("{}: {}", file.path(), what), ""};
}

// One entry of the header; offsets still count from the end of the header.
Result<SafetensorsFile::Entry> ParseEntry(const InputFile& file, const std::string& name, const json& value) {
  const auto bad = [&](std::string_view what) { return Corrupt(file, fmt::format("tensor '{}': {}", name, what)); };
  if (!value.is_object() || !value.contains("dtype") || !value.contains("shape") || !value.contains("data_offsets")) {
    return bad("the header gives no dtype, shape and data_offsets");
  }
  const auto dims = Extents(value["shape"]);
  const auto offsets = Extents(value["data_offsets"]);
  if (!value["dtype"].is_string() || !dims || !offsets || offsets->size() != 2) {
    return bad("dtype, shape or data_offsets are malformed");
  }
  const auto type_name = value["dtype"].get<std::string>();
  const auto type = DTypeFromSafetensors(type_name);
  if (!type) {
    return Error{Code::kUnsupported,
                 fmt::format("{}: tensor '{}': unknown element type '{}'", file.path(), name, type_name), ""};
  }
  SafetensorsFile::Entry entry{name, ir::Shape{*type, *dims}, (*offsets)[0], (*offsets)[1]};
  const auto bytes = BytesOf(entry.shape);
  if (entry.end < entry.begin || !bytes || *bytes != entry.end - entry.begin) {
    return bad(fmt::format("bytes {} to {} do not hold {}", entry.begin, entry.end, ir::ToString(entry.shape)));
  }
  return entry;
}

}  // namespace

std::optional<std::string_view> SafetensorsName(ir::DType type) {
  for (const auto& [name, known] : kTypes) {
    if (known == type) return name;
  }
  return std::nullopt;
}

std::optional<ir::DType> DTypeFromSafetensors(std::string_view name) {
  for (const auto& [known, type] : kTypes) {
    if (known == name) return type;
  }
  return std::nullopt;
}

Result<SafetensorsSummary> WriteSafetensors(const std::filesystem::path& path, const std::vector<TensorInfo>& tensors,
                                            const std::map<std::string, std::string>& metadata,
                                            const TensorProvider& provider) {
  const std::vector<size_t> order = FileOrder(tensors);
  ALPA_TRY(const std::string header, MakeHeader(path, tensors, order, metadata));
  ALPA_TRY(OutputFile file, OutputFile::Create(path));
  ALPA_RETURN_IF_ERROR(file.Write(header));
  SafetensorsSummary summary;
  summary.header_crc = Crc32(header);
  summary.tensor_crcs.resize(tensors.size());
  for (const size_t index : order) {
    ALPA_TRY(const ir::HostTensor tensor, provider(index));
    ALPA_CHECK(tensor.shape() == tensors[index].shape, tensors[index].name);
    summary.tensor_crcs[index] = Crc32(tensor.view());
    ALPA_RETURN_IF_ERROR(file.Write(tensor.view()));
  }
  summary.file_bytes = file.size();
  ALPA_RETURN_IF_ERROR(file.Close());
  return summary;
}

Result<SafetensorsFile> SafetensorsFile::Open(const std::filesystem::path& path) {
  ALPA_TRY(InputFile input, InputFile::Open(path));
  SafetensorsFile file(std::move(input));
  if (file.file_bytes() < kLengthBytes) return Corrupt(file.file_, "too short for a safetensors file (truncated)");
  ALPA_TRY(const std::string prefix, file.file_.ReadString(0, kLengthBytes));
  uint64_t length = 0;
  std::memcpy(&length, prefix.data(), sizeof(length));
  if (length > kMaxHeaderBytes) return Corrupt(file.file_, "not a safetensors file: its header would be too long");
  const int64_t data_begin = kLengthBytes + static_cast<int64_t>(length);
  if (data_begin > file.file_bytes()) return Corrupt(file.file_, "the header is longer than the file (truncated)");
  ALPA_TRY(const std::string text, file.file_.ReadString(kLengthBytes, data_begin - kLengthBytes));
  file.header_crc_ = Crc32(text, Crc32(prefix));
  ALPA_RETURN_IF_ERROR(file.ParseHeader(text));
  for (Entry& entry : file.entries_) {
    if (entry.end > file.file_bytes() - data_begin) {
      return Corrupt(file.file_, fmt::format("tensor '{}' reaches beyond the end of the file (truncated)", entry.name));
    }
    entry.begin += data_begin;
    entry.end += data_begin;
  }
  ALPA_RETURN_IF_ERROR(file.CheckLayout(data_begin));
  for (size_t i = 0; i < file.entries_.size(); ++i) file.by_name_[file.entries_[i].name] = i;
  return file;
}

// Fills metadata_ and entries_, these by their place in the file.
Status SafetensorsFile::ParseHeader(std::string_view text) {
  const auto header = ParseJson(text);
  if (!header) return Corrupt(file_, "the header is not a JSON object with distinct names");
  for (const auto& [name, value] : header->items()) {
    if (name != kMetadataKey) {
      ALPA_TRY(Entry entry, ParseEntry(file_, name, value));
      entries_.push_back(std::move(entry));
      continue;
    }
    if (!value.is_object()) return Corrupt(file_, "__metadata__ is not an object");
    for (const auto& [key, text_value] : value.items()) {
      if (!text_value.is_string()) return Corrupt(file_, fmt::format("__metadata__ '{}' is not a string", key));
      metadata_[key] = text_value.get<std::string>();
    }
  }
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  return Ok();
}

// That the arrays follow each other without gap or overlap up to the end of the file.
Status SafetensorsFile::CheckLayout(int64_t data_begin) const {
  int64_t at = data_begin;
  for (const Entry& entry : entries_) {
    if (entry.begin != at) {
      return Corrupt(file_, fmt::format("tensor '{}' {} what lies before it", entry.name,
                                        entry.begin < at ? "overlaps" : "leaves a gap to"));
    }
    at = entry.end;
  }
  if (at == file_bytes()) return Ok();
  return Corrupt(file_, fmt::format("{} bytes follow the last tensor", file_bytes() - at));
}

const SafetensorsFile::Entry* SafetensorsFile::Find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &entries_[it->second];
}

Result<ir::HostTensor> SafetensorsFile::Read(const Entry& entry) const {
  ir::HostTensor tensor(entry.shape);
  ALPA_RETURN_IF_ERROR(file_.ReadAt(entry.begin, tensor.bytes()));
  return tensor;
}

Result<ir::HostTensor> SafetensorsFile::ReadRows(const Entry& entry, int64_t first, int64_t count) const {
  ir::Shape shape = entry.shape;
  ALPA_CHECK(!shape.dims.empty() && first >= 0 && count >= 0 && first + count <= shape.dims[0], entry.name);
  const int64_t row_bytes = shape.dims[0] == 0 ? 0 : shape.bytes().value / shape.dims[0];
  shape.dims[0] = count;
  ir::HostTensor tensor(shape);
  ALPA_RETURN_IF_ERROR(file_.ReadAt(entry.begin + first * row_bytes, tensor.bytes()));
  return tensor;
}

}  // namespace alpa::runtime
