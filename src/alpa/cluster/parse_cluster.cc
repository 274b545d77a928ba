#include "alpa/cluster/parse_cluster.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "alpa/cluster/quantity.h"
#include "alpa/cluster/toml_section.h"

namespace alpa::cluster {
namespace {

constexpr int64_t kMostDevicesPerHost = 1024;

template <typename T>
std::vector<std::string_view> KeysOf(const std::map<std::string, T>& map) {
  std::vector<std::string_view> keys;
  keys.reserve(map.size());
  for (const auto& [key, value] : map) keys.push_back(key);
  return keys;
}

Result<std::map<std::string, double>> ReadMatrix(const TomlSection& device) {
  ALPA_TRY(const TomlSection matrix, device.Table("matrix", R"({ f32 = "15.7 TFLOP/s", f16 = "125 TFLOP/s" })"));
  std::map<std::string, double> flops;
  ALPA_RETURN_IF_ERROR(matrix.OnlyKeys({"f64", "f32", "bf16", "f16", "f8", "s8"}));
  for (const std::string_view dtype : kMatrixTypes) {
    if (dtype != "f32" && !matrix.Has(dtype)) continue;
    ALPA_TRY(flops[std::string(dtype)],
             matrix.Quantity(dtype, Dimension::kFlopsPerSecond, Zero::kRefused, R"("15.7 TFLOP/s")"));
  }
  return flops;
}

Result<DeviceType> ReadDevice(const TomlSection& device, std::string name) {
  ALPA_RETURN_IF_ERROR(device.OnlyKeys(
      {"memory", "memory_bandwidth", "matrix", "vector", "matrix_efficiency", "bandwidth_efficiency", "launch"}));
  DeviceType type;
  type.name = std::move(name);
  ALPA_TRY(const double memory, device.Quantity("memory", Dimension::kBytes, Zero::kRefused, R"("16 GiB")"));
  if (memory < 1 || memory > 0x1p62) return device.At("memory", "is out of range");
  type.memory = Bytes(static_cast<int64_t>(memory));
  ALPA_TRY(type.memory_bandwidth,
           device.Quantity("memory_bandwidth", Dimension::kBytesPerSecond, Zero::kRefused, R"("900 GB/s")"));
  ALPA_TRY(type.matrix_flops, ReadMatrix(device));
  ALPA_TRY(type.vector_flops,
           device.Quantity("vector", Dimension::kFlopsPerSecond, Zero::kRefused, R"("15.7 TFLOP/s")"));
  ALPA_TRY(type.matrix_efficiency, device.Share("matrix_efficiency", 1));
  ALPA_TRY(type.bandwidth_efficiency, device.Share("bandwidth_efficiency", 1));
  ALPA_TRY(const double launch, device.Quantity("launch", Dimension::kSeconds, Zero::kAllowed, R"("5 us")"));
  type.launch = Seconds(launch);
  return type;
}

constexpr std::string_view kLinkExample = R"({ latency = "5 us", bandwidth = "25 Gbit/s" })";

Result<Link> ReadLink(const TomlSection& link) {
  Link out;
  ALPA_TRY(const double latency, link.Quantity("latency", Dimension::kSeconds, Zero::kAllowed, R"("5 us")"));
  ALPA_TRY(const double bandwidth,
           link.Quantity("bandwidth", Dimension::kBytesPerSecond, Zero::kRefused, R"("25 Gbit/s")"));
  out.alpha = Seconds(latency);
  out.beta = 1 / bandwidth;
  return out;
}

// The device type of a host, from the file itself or from what ships with alpa; it is put into the cluster.
Status UseDeviceType(const TomlSection& section, const std::string& name, const KnownParts& known, Cluster* cluster) {
  if (cluster->device_types.contains(name)) return Ok();
  if (const auto it = known.device_types.find(name); it != known.device_types.end()) {
    cluster->device_types.insert(*it);
    return Ok();
  }
  std::vector<std::string_view> names = KeysOf(cluster->device_types);
  for (const std::string_view key : KeysOf(known.device_types)) names.push_back(key);
  return section.At("device", fmt::format("unknown device type \"{}\"", name), SuggestKnown(name, names));
}

Status ReadIntra(const TomlSection& section, Host* host) {
  if (!section.Has("intra")) {
    if (host->devices == 1 || host->intra.beta > 0) return Ok();  // not needed, or that of `like`
    return section.Here(fmt::format("lacks intra, the way between its {} devices", host->devices),
                        fmt::format("add intra = {}", kLinkExample));
  }
  ALPA_TRY(const TomlSection intra, section.Table("intra", kLinkExample));
  ALPA_RETURN_IF_ERROR(intra.OnlyKeys({"latency", "bandwidth"}));
  ALPA_TRY(host->intra, ReadLink(intra));
  return Ok();
}

Status ReadNetwork(const TomlSection& section, Host* host) {
  if (!section.Has("network")) return Ok();  // whether it is needed shows when all hosts are known
  ALPA_TRY(const TomlSection network, section.Table("network", kLinkExample));
  ALPA_RETURN_IF_ERROR(network.OnlyKeys({"latency", "bandwidth", "bandwidth_per_device"}));
  ALPA_TRY(host->network, ReadLink(network));
  host->device_network_beta = 0;
  if (network.Has("bandwidth_per_device")) {
    ALPA_TRY(const double rate,
             network.Quantity("bandwidth_per_device", Dimension::kBytesPerSecond, Zero::kRefused, ""));
    host->device_network_beta = 1 / rate;
  }
  return Ok();
}

// One [[host]] of the file, `number` counting from 0; `count` hosts of the cluster.
Status ReadHost(const TomlSection& section, const KnownParts& known, size_t number, Cluster* cluster) {
  ALPA_RETURN_IF_ERROR(section.OnlyKeys({"name", "count", "like", "device", "devices", "intra", "network"}));
  Host host;
  ALPA_TRY(const std::string like, section.Text("like", ""));
  if (!like.empty()) {
    const auto it = known.hosts.find(like);
    if (it == known.hosts.end()) {
      return section.At("like", fmt::format("no cluster \"{}\" ships with alpa", like),
                        SuggestKnown(like, KeysOf(known.hosts)));
    }
    host = it->second;
  } else if (!section.Has("device")) {
    return section.At("device", "is missing", R"(add device = "NAME", or like = "p3.16xlarge")");
  }
  ALPA_TRY(host.device_type, section.Text("device", host.device_type));
  ALPA_RETURN_IF_ERROR(UseDeviceType(section, host.device_type, known, cluster));
  ALPA_TRY(host.devices, section.Count("devices", host.devices, kMostDevicesPerHost));
  ALPA_RETURN_IF_ERROR(ReadIntra(section, &host));
  ALPA_RETURN_IF_ERROR(ReadNetwork(section, &host));
  ALPA_TRY(const int64_t count, section.Count("count", 1, kMaxClusterDevices));
  ALPA_TRY(const std::string name, section.Text("name", fmt::format("host{}", number)));
  if (count * host.devices > kMaxClusterDevices - cluster->device_count()) {
    return section.Here(fmt::format("the cluster has more than {} devices", kMaxClusterDevices));
  }
  for (int64_t i = 0; i < count; ++i) {
    host.name = count == 1 ? name : fmt::format("{}-{}", name, i);
    cluster->hosts.push_back(host);
  }
  return Ok();
}

Status ReadDevices(const TomlSection& root, Cluster* cluster) {
  if (!root.Has("device")) return Ok();
  ALPA_TRY(const TomlSection devices, root.Table("device", ""));
  for (const auto& [key, node] : devices.table()) {
    const std::string name(key.str());
    ALPA_TRY(const TomlSection device, devices.Table(name, R"({ memory = "16 GiB" })"));
    ALPA_TRY(cluster->device_types[name], ReadDevice(device, name));
  }
  return Ok();
}

Status ReadHosts(const TomlSection& root, const KnownParts& known, Cluster* cluster) {
  constexpr std::string_view kExample = "add a table [[host]] for each kind of host";
  const toml::node* const hosts = root.table().get("host");
  if (hosts == nullptr) return root.Here("the cluster has no host", std::string(kExample));
  const toml::array* const array = hosts->as_array();
  if (array == nullptr) return root.At("host", "must be an array of tables", std::string(kExample));
  std::vector<TomlSection> sections;
  for (const toml::node& node : *array) {
    if (!node.is_table()) return root.At("host", "must be an array of tables", std::string(kExample));
    sections.emplace_back(*node.as_table(), root.file(), "host");
  }
  if (sections.empty()) return root.At("host", "is empty", std::string(kExample));
  for (const TomlSection& section : sections) {
    ALPA_RETURN_IF_ERROR(ReadHost(section, known, cluster->hosts.size(), cluster));
  }
  if (cluster->hosts.size() == 1) return Ok();
  size_t first = 0;  // host of the cluster that a section begins with
  for (const TomlSection& section : sections) {
    if (cluster->hosts[first].network.beta <= 0) {
      return section.Here("lacks network, the way to the other hosts", fmt::format("add network = {}", kLinkExample));
    }
    ALPA_TRY(const int64_t count, section.Count("count", 1, kMaxClusterDevices));
    first += static_cast<size_t>(count);
  }
  return Ok();
}

Result<ClusterFile> ReadFileTable(const TomlSection& root, const KnownParts& known) {
  ClusterFile file;
  ALPA_RETURN_IF_ERROR(root.OnlyKeys({"name", "description", "virtual", "device", "host"}));
  ALPA_TRY(file.cluster.name, root.Text("name", root.file()));
  ALPA_TRY(file.description, root.Text("description", ""));
  ALPA_TRY(file.is_virtual, root.Flag("virtual", false));
  ALPA_RETURN_IF_ERROR(ReadDevices(root, &file.cluster));
  ALPA_RETURN_IF_ERROR(ReadHosts(root, known, &file.cluster));
  ALPA_RETURN_IF_ERROR(Verify(file.cluster));
  return file;
}

}  // namespace

void ShareMachine(Cluster* cluster) {
  const auto n = static_cast<double>(cluster->device_count());
  for (auto& [name, type] : cluster->device_types) {
    type.memory = Bytes(std::max<int64_t>(1, type.memory.value / cluster->device_count()));
    type.memory_bandwidth /= n;
    for (auto& [dtype, flops] : type.matrix_flops) flops /= n;
    type.vector_flops /= n;
    type.launch = type.launch * n;
  }
  for (Host& host : cluster->hosts) {
    host.intra.alpha = host.intra.alpha * n;
    host.network.alpha = host.network.alpha * n;
    host.network.beta /= static_cast<double>(host.devices);  // of the host as a whole
  }
}

Result<ClusterFile> ParseCluster(std::string_view text, std::string_view source, const KnownParts& known) {
  toml::table table;
  try {
    table = toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    return Error{Code::kInvalidInput, fmt::format("{}:{}: {}", source, error.source().begin.line, error.description()),
                 ""};
  }
  return ReadFileTable(TomlSection(table, source, ""), known);
}

}  // namespace alpa::cluster
