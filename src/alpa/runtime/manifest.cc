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
    const json value = object_.is_object() && object_.contains(key) ? object_[key] : json();
    if (!Is<T>(value)) {
      if (bad_.empty()) bad_ = key;
      return T{};
    }
    return value.template get<T>();
  }
  const json& Child(const char* key) {
    static const json kNothing;
    if (object_.is_object() && object_.contains(key)) return object_[key];
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

ManifestTensor ParseTensor(const json& value, Reader& outer) {
  Reader reader(value);
  ManifestTensor tensor;
  tensor.name = reader.Get<std::string>("name");
  tensor.input = static_cast<int32_t>(reader.Get<int64_t>("input"));
  const auto role = reader.Get<std::string>("role");
  tensor.role = role == Name(ir::InputRole::kParameter) ? ir::InputRole::kParameter : ir::InputRole::kState;
  const auto type = ir::DTypeFromName(reader.Get<std::string>("dtype"));
  const auto crc = ParseHex(reader.Get<std::string>("crc32"));
  for (const json& dim : reader.Child("shape")) {
    if (!dim.is_number_unsigned()) reader.Fail("shape");
    if (dim.is_number_unsigned()) tensor.shape.dims.push_back(dim.get<int64_t>());
  }
  if (!type || !crc || !reader.bad().empty()) outer.Fail("tensors");
  tensor.shape.dtype = type.value_or(ir::DType::kF32);
  tensor.crc = static_cast<uint32_t>(crc.value_or(0));
  return tensor;
}

}  // namespace

std::string ToJson(const Manifest& manifest) {
  json out;
  out[kVersionKey] = manifest.version;
  out["alpa_version"] = manifest.info.alpa_version;
  out["model"] = manifest.model;
  out["model_fingerprint"] = fmt::format("{:016x}", manifest.model_fingerprint);
  out["step"] = manifest.info.step;
  out["data"] = {
      {"position", manifest.info.data_position}, {"description", manifest.info.data}, {"seed", manifest.info.seed}};
  out["losses"] = LossesToJson(manifest.info.losses);
  out["state_bytes"] = manifest.state_bytes;
  out["header_crc32"] = fmt::format("{:08x}", manifest.header_crc);
  out["tensors"] = json::array();
  for (const ManifestTensor& t : manifest.tensors) {
    out["tensors"].push_back({{"name", t.name},
                              {"input", t.input},
                              {"role", ir::Name(t.role)},
                              {"dtype", ir::Name(t.shape.dtype)},
                              {"shape", t.shape.dims},
                              {"crc32", fmt::format("{:08x}", t.crc)}});
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
  Manifest m;
  m.version = value[kVersionKey].get<int>();
  if (m.version != kCheckpointVersion) {
    return Error{Code::kUnsupported,
                 fmt::format("{}: a checkpoint of version {}, this alpa reads version {}", source, m.version,
                             kCheckpointVersion),
                 "resume with the alpa that wrote it"};
  }
  Reader reader(value);
  if (reader.Get<std::string>(kChecksumKey) != ChecksumOf(value)) return corrupt("its checksum differs (damaged)");
  m.info.alpa_version = reader.Get<std::string>("alpa_version");
  m.info.step = reader.Get<int64_t>("step");
  Reader data(reader.Child("data"));
  m.info.data_position = data.Get<int64_t>("position");
  m.info.data = data.Get<std::string>("description");
  m.info.seed = data.Get<uint64_t>("seed");
  for (const json& loss : reader.Child("losses")) {
    m.info.losses.push_back(loss.is_number() ? loss.get<double>() : std::numeric_limits<double>::quiet_NaN());
  }
  m.model = reader.Get<std::string>("model");
  const auto fingerprint = ParseHex(reader.Get<std::string>("model_fingerprint"));
  const auto header_crc = ParseHex(reader.Get<std::string>("header_crc32"));
  m.state_bytes = reader.Get<int64_t>("state_bytes");
  for (const json& tensor : reader.Child("tensors")) m.tensors.push_back(ParseTensor(tensor, reader));
  if (!fingerprint) reader.Fail("model_fingerprint");
  if (!header_crc) reader.Fail("header_crc32");
  const std::string& bad = reader.bad().empty() ? data.bad() : reader.bad();
  if (!bad.empty()) return corrupt(fmt::format("key '{}' is missing or malformed", bad));
  m.model_fingerprint = *fingerprint;
  m.header_crc = static_cast<uint32_t>(*header_crc);
  return m;
}

}  // namespace alpa::runtime
