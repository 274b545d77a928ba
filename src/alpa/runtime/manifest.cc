#include "alpa/runtime/manifest.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "alpa/base/file.h"

namespace alpa::runtime {
namespace {

using nlohmann::json;

constexpr const char* kVersionKey = "alpa_checkpoint";
constexpr const char* kChecksumKey = "checksum";
constexpr const char* kStateFileOfVersion1 = "state.safetensors";

std::string Dump(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);  // never throws on bytes that are not UTF-8
}

std::string ChecksumOf(json value) {
  value.erase(kChecksumKey);
  return fmt::format("{:08x}", Crc32(Dump(value, -1)));
}

json LossesToJson(const std::vector<double>& losses) {
  json list = json::array();
  for (const double loss : losses) list.push_back(loss);  // dumped as null when not finite
  return list;
}

// Takes members out of an object and remembers the first that is missing or of another kind.
class Reader {
 public:
  explicit Reader(const json& object) : object_(object) {}

  template <typename T>
  T Get(const char* key) {
    const json value = Has(key) ? object_[key] : json();
    if (!Is<T>(value)) {
      if (bad_.empty()) bad_ = key;
      return T{};
    }
    return value.template get<T>();
  }
  bool Has(const char* key) const { return object_.is_object() && object_.contains(key); }
  const json& Child(const char* key) {
    static const json kNothing;
    if (Has(key)) return object_[key];
    if (bad_.empty()) bad_ = key;
    return kNothing;
  }
  void Fail(const char* key) {
    if (bad_.empty()) bad_ = key;
  }
  const std::string& bad() const { return bad_; }

 private:
  template <typename T>
  static bool Is(const json& value) {
    if constexpr (std::is_same_v<T, std::string>) return value.is_string();
    if constexpr (std::is_same_v<T, uint64_t> || std::is_same_v<T, uint32_t>) {
      return value.is_number_unsigned() && value.get<uint64_t>() <= std::numeric_limits<T>::max();
    }
    return value.is_number_integer() && value.get<int64_t>() >= 0;
  }

  const json& object_;
  std::string bad_;
};

std::optional<uint64_t> ParseHex(const std::string& digits) {
  if (digits.empty() || digits.size() > 16 || digits.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return std::nullopt;
  }
  return std::stoull(digits, nullptr, 16);
}

uint32_t ParseCrc(Reader& reader, const char* key) {
  const auto crc = ParseHex(reader.Get<std::string>(key));
  if (!crc || *crc > std::numeric_limits<uint32_t>::max()) reader.Fail(key);
  return static_cast<uint32_t>(crc.value_or(0));
}

std::vector<int64_t> ParseExtents(Reader& reader, const char* key) {
  std::vector<int64_t> out;
  for (const json& dim : reader.Child(key)) {
    if (!dim.is_number_unsigned()) reader.Fail(key);
    if (dim.is_number_unsigned()) out.push_back(dim.get<int64_t>());
  }
  return out;
}

ManifestShard ParseShard(const json& value, Reader& outer) {
  Reader reader(value);
  ManifestShard shard;
  shard.file = reader.Get<std::string>("file");
  shard.bytes = reader.Get<int64_t>("bytes");
  shard.header_crc = ParseCrc(reader, "header_crc32");
  if (!reader.bad().empty() || shard.file.find('/') != std::string::npos) outer.Fail("shards");
  return shard;
}

ManifestBlock ParseBlock(const json& value, Reader& outer) {
  Reader reader(value);
  ManifestBlock block;
  block.shard = static_cast<int32_t>(reader.Get<int64_t>("shard"));
  block.block.start = ParseExtents(reader, "start");
  block.block.extent = ParseExtents(reader, "extent");
  block.crc = ParseCrc(reader, "crc32");
  if (!reader.bad().empty()) outer.Fail("blocks");
  return block;
}

ManifestTensor ParseTensor(const json& value, int version, Reader& outer) {
  Reader reader(value);
  ManifestTensor tensor;
  tensor.name = reader.Get<std::string>("name");
  tensor.input = static_cast<int32_t>(reader.Get<int64_t>("input"));
  const auto role = reader.Get<std::string>("role");
  tensor.role = role == Name(ir::InputRole::kParameter) ? ir::InputRole::kParameter : ir::InputRole::kState;
  const auto type = ir::DTypeFromName(reader.Get<std::string>("dtype"));
  tensor.shape.dtype = type.value_or(ir::DType::kF32);
  tensor.shape.dims = ParseExtents(reader, "shape");
  if (version == 1) {
    tensor.blocks.push_back({0, WholeBlock(tensor.shape), ParseCrc(reader, "crc32")});
  } else {
    for (const json& block : reader.Child("blocks")) tensor.blocks.push_back(ParseBlock(block, reader));
  }
  if (!type || !reader.bad().empty()) outer.Fail("tensors");
  return tensor;
}

json BlocksToJson(const std::vector<ManifestBlock>& blocks) {
  json list = json::array();
  for (const ManifestBlock& b : blocks) {
    list.push_back({{"shard", b.shard},
                    {"start", b.block.start},
                    {"extent", b.block.extent},
                    {"crc32", fmt::format("{:08x}", b.crc)}});
  }
  return list;
}

}  // namespace

std::string BlockName(const ManifestTensor& tensor, const Block& block) {
  return block == WholeBlock(tensor.shape) ? tensor.name : tensor.name + ToString(block);
}

Status CheckBlocks(const Manifest& manifest) {
  for (const ManifestTensor& t : manifest.tensors) {
    std::vector<Block> blocks;
    for (const ManifestBlock& b : t.blocks) {
      blocks.push_back(b.block);
      if (b.shard >= 0 && static_cast<size_t>(b.shard) < manifest.shards.size()) continue;
      return Error{Code::kInvalidInput, fmt::format("tensor '{}': there is no shard {}", t.name, b.shard), ""};
    }
    if (const Status covers = CheckCovers(blocks, t.shape); !covers.ok()) {
      return Error{Code::kInvalidInput, fmt::format("tensor '{}': {}", t.name, covers.error().message), ""};
    }
  }
  return Ok();
}

std::string ToJson(const Manifest& manifest) {
  json out;
  out[kVersionKey] = kCheckpointVersion;
  out["alpa_version"] = manifest.info.alpa_version;
  out["model"] = manifest.model;
  out["model_fingerprint"] = fmt::format("{:016x}", manifest.model_fingerprint);
  out["step"] = manifest.info.step;
  out["data"] = {
      {"position", manifest.info.data_position}, {"description", manifest.info.data}, {"seed", manifest.info.seed}};
  if (manifest.info.batches_per_epoch > 0) out["data"]["batches_per_epoch"] = manifest.info.batches_per_epoch;
  out["losses"] = LossesToJson(manifest.info.losses);
  out["shards"] = json::array();
  for (const ManifestShard& shard : manifest.shards) {
    out["shards"].push_back(
        {{"file", shard.file}, {"bytes", shard.bytes}, {"header_crc32", fmt::format("{:08x}", shard.header_crc)}});
  }
  out["tensors"] = json::array();
  for (const ManifestTensor& t : manifest.tensors) {
    out["tensors"].push_back({{"name", t.name},
                              {"input", t.input},
                              {"role", ir::Name(t.role)},
                              {"dtype", ir::Name(t.shape.dtype)},
                              {"shape", t.shape.dims},
                              {"blocks", BlocksToJson(t.blocks)}});
  }
  out[kChecksumKey] = ChecksumOf(out);
  return Dump(out, 1) + "\n";
}

Result<Manifest> ManifestFromJson(std::string_view text, const std::string& source) {
  const auto corrupt = [&](const std::string& what) { return Error{Code::kCorrupt, source + ": " + what, ""}; };
  const json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return corrupt("not valid JSON (damaged or truncated)");
  if (!value.is_object() || !value.contains(kVersionKey) || !value[kVersionKey].is_number_integer()) {
    return Error{Code::kMismatch, source + ": not a checkpoint of alpa: key 'alpa_checkpoint' is missing", ""};
  }
  const int version = value[kVersionKey].get<int>();
  if (version < 1 || version > kCheckpointVersion) {
    return Error{Code::kUnsupported,
                 fmt::format("{}: a checkpoint of version {}, this alpa reads versions 1 to {}", source, version,
                             kCheckpointVersion),
                 "resume with the alpa that wrote it"};
  }
  Reader reader(value);
  if (reader.Get<std::string>(kChecksumKey) != ChecksumOf(value)) return corrupt("its checksum differs (damaged)");
  Manifest m;
  m.info.alpa_version = reader.Get<std::string>("alpa_version");
  m.info.step = reader.Get<int64_t>("step");
  Reader data(reader.Child("data"));
  m.info.data_position = data.Get<int64_t>("position");
  m.info.data = data.Get<std::string>("description");
  m.info.seed = data.Get<uint64_t>("seed");
  if (data.Has("batches_per_epoch")) m.info.batches_per_epoch = data.Get<int64_t>("batches_per_epoch");
  for (const json& loss : reader.Child("losses")) {
    m.info.losses.push_back(loss.is_number() ? loss.get<double>() : std::numeric_limits<double>::quiet_NaN());
  }
  m.model = reader.Get<std::string>("model");
  const auto fingerprint = ParseHex(reader.Get<std::string>("model_fingerprint"));
  if (!fingerprint) reader.Fail("model_fingerprint");
  m.model_fingerprint = fingerprint.value_or(0);
  if (version == 1) {
    m.shards.push_back({kStateFileOfVersion1, reader.Get<int64_t>("state_bytes"), ParseCrc(reader, "header_crc32")});
  } else {
    for (const json& shard : reader.Child("shards")) m.shards.push_back(ParseShard(shard, reader));
  }
  for (const json& tensor : reader.Child("tensors")) m.tensors.push_back(ParseTensor(tensor, version, reader));
  const std::string& bad = reader.bad().empty() ? data.bad() : reader.bad();
  if (!bad.empty()) return corrupt(fmt::format("key '{}' is missing or malformed", bad));
  return m;
}

}  // namespace alpa::runtime
