#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <utility>

#include "alpa/base/file.h"
#include "alpa/cluster/cluster.h"
#include "alpa/cluster/parse_cluster.h"
#include "alpa/cluster/shipped.h"
#include "alpa/cluster/toml_section.h"

namespace alpa::cluster {
namespace {

const ShippedFile* FindShipped(std::string_view name) {
  const std::span<const ShippedFile> files = ShippedFiles();
  const auto it = std::find_if(files.begin(), files.end(), [&](const ShippedFile& f) { return f.name == name; });
  return it == files.end() ? nullptr : &*it;
}

// Of a file that ships with alpa; a test reads them all, so an error here is a bug.
ClusterFile ParseShipped(const ShippedFile& file) {
  Result<ClusterFile> parsed = ParseCluster(file.text, std::string(file.name) + ".toml");
  ALPA_CHECK(parsed.ok(), parsed.ok() ? "" : parsed.error().message);
  return std::move(parsed).value();
}

KnownParts ShippedParts() {
  KnownParts known;
  for (const ShippedFile& shipped : ShippedFiles()) {
    const ClusterFile file = ParseShipped(shipped);
    if (file.is_virtual) continue;  // its figures mean a whole machine
    known.device_types.insert(file.cluster.device_types.begin(), file.cluster.device_types.end());
    known.hosts.emplace(shipped.name, file.cluster.hosts[0]);
  }
  return known;
}

Result<Cluster> LoadFile(std::string_view path) {
  ALPA_TRY(const std::string text, ReadFile(path));
  ALPA_TRY(ClusterFile file, ParseCluster(text, path, ShippedParts()));
  if (file.is_virtual) ShareMachine(&file.cluster);
  return std::move(file.cluster);
}

// What follows the colon: "8" or "2x4".
struct Size {
  int64_t hosts = 1;
  std::optional<int64_t> devices;  // of each host
};

std::optional<int64_t> ParseCount(std::string_view digits) {
  int64_t n = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
  if (error != std::errc() || end != digits.data() + digits.size() || n < 1 || n > kMaxClusterDevices) {
    return std::nullopt;
  }
  return n;
}

std::optional<Size> ParseSize(std::string_view text) {
  const size_t x = text.find('x');
  const std::optional<int64_t> hosts = ParseCount(text.substr(0, x));
  if (!hosts) return std::nullopt;
  if (x == std::string_view::npos) return Size{*hosts, std::nullopt};
  const std::optional<int64_t> devices = ParseCount(text.substr(x + 1));
  if (!devices) return std::nullopt;
  return Size{*hosts, devices};
}

// `size` hosts like the one of the file.
Result<Cluster> Repeat(ClusterFile file, const Size& size, std::string_view text) {
  auto refuse = [&](const std::string& what, std::string hint) {
    return Error{Code::kInvalidInput, fmt::format("cluster {}: {}", text, what), std::move(hint)};
  };
  Cluster cluster = std::move(file.cluster);
  Host host = cluster.hosts[0];
  const int64_t devices = size.devices.value_or(host.devices);
  if (!file.is_virtual && devices > host.devices) {
    return refuse(fmt::format("each host has {} devices, not {}", host.devices, devices), "");
  }
  if (devices > kMaxClusterDevices / size.hosts) {
    return refuse(fmt::format("more than {} devices", kMaxClusterDevices), "");
  }
  host.devices = devices;
  cluster.name = text;
  cluster.hosts.clear();
  for (int64_t i = 0; i < size.hosts; ++i) {
    host.name = fmt::format("host{}", i);
    cluster.hosts.push_back(host);
  }
  if (file.is_virtual) ShareMachine(&cluster);
  ALPA_RETURN_IF_ERROR(Verify(cluster));
  return cluster;
}

// A file of one host, followed by a size: so many hosts of that kind. The devices of a machine that is shared are cut
// anew, however many the file has.
Result<Cluster> LoadSizedFile(std::string_view path, std::string_view size_text, std::string_view text) {
  ALPA_TRY(const std::string content, ReadFile(path));
  ALPA_TRY(ClusterFile file, ParseCluster(content, path, ShippedParts()));
  const std::optional<Size> size = ParseSize(size_text);
  if (!size || !size->devices) {
    return Error{Code::kInvalidInput, fmt::format("cluster {}: \"{}\" is no size", text, size_text),
                 fmt::format("write {} or {}:2x4 (2 hosts of 4 devices)", path, path)};
  }
  if (file.cluster.hosts.size() != 1) {
    return Error{
        Code::kInvalidInput,
        fmt::format("cluster {}: the file has {} hosts; a size needs a file of one", text, file.cluster.hosts.size()),
        fmt::format("write {}", path)};
  }
  return Repeat(std::move(file), *size, text);
}

Result<Cluster> LoadKnown(const ShippedFile& shipped, std::string_view text, int64_t default_devices) {
  ClusterFile file = ParseShipped(shipped);
  const std::string_view name = shipped.name;
  const std::string form =
      file.is_virtual
          ? fmt::format("write {} or {}:2x4 (2 hosts of 4 devices)", name, name)
          : fmt::format("write {}, {}:8 (8 hosts) or {}:2x4 (2 hosts, 4 devices of each)", name, name, name);
  if (text.size() == name.size()) {
    Size one;
    if (file.is_virtual) one.devices = default_devices;
    return Repeat(std::move(file), one, text);
  }
  const std::optional<Size> size = ParseSize(text.substr(name.size() + 1));
  if (!size || (file.is_virtual && !size->devices)) {
    return Error{Code::kInvalidInput, fmt::format("cluster {}: \"{}\" is no size", text, text.substr(name.size() + 1)),
                 form};
  }
  return Repeat(std::move(file), *size, text);
}

std::vector<std::string_view> KnownNames() {
  std::vector<std::string_view> names;
  for (const ShippedFile& file : ShippedFiles()) names.push_back(file.name);
  return names;
}

Error UnknownName(std::string_view name) {
  return {Code::kInvalidInput, fmt::format("there is no cluster \"{}\", and no such file", name),
          SuggestKnown(name, KnownNames())};
}

}  // namespace

Result<Cluster> LoadCluster(std::string_view text, int64_t default_devices) {
  if (text.ends_with(".toml")) return LoadFile(text);
  if (const size_t colon = text.rfind(".toml:"); colon != std::string_view::npos) {
    return LoadSizedFile(text.substr(0, colon + 5), text.substr(colon + 6), text);
  }
  const std::string_view name = text.substr(0, text.find(':'));
  if (const ShippedFile* const shipped = FindShipped(name)) return LoadKnown(*shipped, text, default_devices);
  std::error_code ignored;
  if (std::filesystem::is_regular_file(text, ignored)) return LoadFile(text);
  return UnknownName(name);
}

std::vector<std::pair<std::string, std::string>> KnownClusters() {
  std::vector<std::pair<std::string, std::string>> known;
  for (const ShippedFile& file : ShippedFiles()) known.emplace_back(file.name, ParseShipped(file).description);
  return known;
}

Result<std::string> KnownClusterFile(std::string_view name) {
  const ShippedFile* const shipped = FindShipped(name);
  if (shipped == nullptr) return UnknownName(name);
  return std::string(shipped->text);
}

}  // namespace alpa::cluster
