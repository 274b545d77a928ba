#include "alpa/driver/profile.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "alpa/base/file.h"
#include "alpa/cluster/parse_cluster.h"
#include "alpa/cluster/quantity.h"
#include "alpa/cost/model.h"
#include "alpa/driver/time_probe.h"
#include "alpa/profile/machine.h"
#include "alpa/profile/probes.h"
#include "alpa/report/progress.h"

namespace alpa::driver {
namespace {

using sharding::CollectiveKind;

constexpr int64_t kDefaultDevices = 8;
constexpr Bytes kForOthers(
    int64_t{7} << 29);                // of a shared machine's memory: 3.5 GiB, as data/clusters/local.toml has it
constexpr int64_t kCopied = 1 << 22;  // f32 numbers in a copy between meshes

std::string ProcessorName() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name") && line.find(": ") != std::string::npos)
      return fmt::format("{} x {}", std::thread::hardware_concurrency(), line.substr(line.find(": ") + 2));
  }
  return "this machine";
}

std::string Today() {
  const std::time_t now = std::time(nullptr);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
  return text;
}

// Work per second between a short and a long program. Where other load made the longer one the faster one there is no
// slope; then the long one by itself bounds the rate from below.
double Slope(double less, double more, double less_seconds, double more_seconds) {
  return more_seconds > 1.05 * less_seconds ? (more - less) / (more_seconds - less_seconds) : more / more_seconds;
}

class Profiler {
 public:
  Profiler(xla::Engine& engine, const ProfileOptions& options)
      : engine_(engine), options_(options), line_(report::StderrScreen()) {}

  Result<profile::Machine> Measure() {
    ALPA_RETURN_IF_ERROR(Open());
    ALPA_RETURN_IF_ERROR(Products());
    ALPA_RETURN_IF_ERROR(MemoryAndLaunches());
    if (m_.devices < 2) return std::move(m_);
    ALPA_RETURN_IF_ERROR(AllAtOnce());
    for (int64_t n = 2; n <= m_.devices; n *= 2) ALPA_RETURN_IF_ERROR(CollectivesOver(n));
    ALPA_RETURN_IF_ERROR(Copies());
    m_.link = profile::FitLink(m_.collectives, m_.shared);
    ALPA_RETURN_IF_ERROR(Model());
    return std::move(m_);
  }

 private:
  void Show(const std::string& what) {
    if (!options_.quiet) line_.Show("measuring " + what);
  }

  Status Open() {
    m_.date = Today();
    m_.shared = options_.backend.empty();
    if (m_.shared) {
      m_.devices = options_.devices == 0 ? kDefaultDevices : options_.devices;
      ALPA_TRY(client_, engine_.CreateCpuClient(m_.devices));
      m_.name = ProcessorName();
      m_.memory = Bytes(int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGE_SIZE));
      m_.memory = std::max(m_.memory - kForOthers, Bytes(m_.memory.value / 2));
    } else {
      ALPA_TRY(client_, engine_.CreatePluginClient(options_.backend));
      m_.devices = options_.devices == 0 ? client_->device_count() : options_.devices;
      m_.name = client_->platform();
    }
    if (m_.devices > client_->device_count()) {
      return Error{Code::kInvalidArgument,
                   fmt::format("--devices {}: {} has {}", m_.devices, m_.name, client_->device_count()), ""};
    }
    if (options_.memory.empty()) return Ok();
    ALPA_TRY(const double memory, cluster::ParseQuantity(options_.memory, cluster::Dimension::kBytes));
    m_.memory = Bytes(static_cast<int64_t>(memory));
    return Ok();
  }

  Result<double> Time(const std::string& text) {
    ALPA_TRY(const ProbeTime time, TimeProbe(engine_, *client_, text, 1));
    return time.seconds;
  }

  // The rate of the larger of two sizes counts: it is what large products reach.
  Status Products() {
    for (const char* type : {"f32", "bf16"}) {
      for (const int64_t n : {256, 1024}) {
        Show(fmt::format("{} products of {} squared", type, n));
        const double flops = 2.0 * static_cast<double>(n * n * n);
        ALPA_TRY(const double one, Time(profile::Products(n, 1, type)));
        ALPA_TRY(const double four, Time(profile::Products(n, 4, type)));
        const double rate = Slope(flops, 4 * flops, one, four);
        m_.rates.push_back({fmt::format("{} product {}", type, n), rate, "FLOP/s"});
        (std::string_view(type) == "f32" ? m_.f32 : m_.bf16) = rate;
      }
    }
    return Ok();
  }

  Status MemoryAndLaunches() {
    const auto rate = [&](const std::string& what, const std::function<std::string(int64_t)>& program, int64_t less,
                          int64_t more, double work, const char* unit) -> Result<double> {
      Show(what);
      ALPA_TRY(const double a, Time(program(less)));
      ALPA_TRY(const double b, Time(program(more)));
      const double found = Slope(work * static_cast<double>(less), work * static_cast<double>(more), a, b);
      if (*unit != '\0') m_.rates.push_back({what, found, unit});
      return found;
    };
    ALPA_TRY(m_.bandwidth, rate("addition of 16 to 64 M f32", profile::Addition, 1 << 24, 1 << 26, 12, "B/s"));
    ALPA_RETURN_IF_ERROR(rate("sum of 16 to 64 M f32", profile::Sum, 1 << 24, 1 << 26, 4, "B/s"));
    const auto chain = [](int64_t count) { return profile::Arithmetic(65536, count); };
    ALPA_TRY(m_.vector, rate("chain of arithmetic", chain, 64, 512, 65536, "FLOP/s"));
    const auto kernels = [](int64_t count) { return profile::Kernels(1024, count); };
    ALPA_TRY(const double launches, rate("launches", kernels, 32, 256, 2, ""));
    // Measured on one device; several of a shared machine launch on as many cores at once.
    const double at_once = m_.shared ? std::max(1U, std::thread::hardware_concurrency()) : 1;
    m_.launch = Seconds(1 / launches / at_once);
    return Ok();
  }

  // The same product on one device, and on all of them each for itself.
  Status AllAtOnce() {
    Show(fmt::format("{} devices computing at once", m_.devices));
    const std::string product = profile::Products(512, 8, "f32");
    ALPA_TRY(const double one, Time(product));
    ALPA_TRY(const ProbeTime all, TimeProbe(engine_, *client_, product, m_.devices));
    m_.slowdown = all.seconds / one;
    return Ok();
  }

  // Seconds of one link of a chain of collectives; two lengths.
  Result<double> LinkTime(CollectiveKind kind, int64_t devices, int64_t n, int64_t count) {
    const profile::ProbeLayout layout = profile::LayoutOf(kind);
    ALPA_TRY(const ProbeTime less,
             TimeProbe(engine_, *client_, profile::Collectives(kind, devices, n, 1), devices, layout, kind));
    ALPA_TRY(const ProbeTime more,
             TimeProbe(engine_, *client_, profile::Collectives(kind, devices, n, count), devices, layout, kind));
    if (more.inside <= less.inside) {
      return Error{Code::kUnsupported, fmt::format("the back end made no {} of a probe", sharding::Name(kind)), ""};
    }
    return 1 / Slope(static_cast<double>(less.inside), static_cast<double>(more.inside), less.seconds, more.seconds);
  }

  Status CollectivesOver(int64_t devices) {
    for (const int64_t n : {1 << 10, 1 << 18, 1 << 21}) {
      double gather = 0;
      for (const auto kind : {CollectiveKind::kAllReduce, CollectiveKind::kAllGather, CollectiveKind::kReduceScatter,
                              CollectiveKind::kAllToAll}) {
        Show(fmt::format("{} of {} over {} devices", sharding::Name(kind), alpa::ToString(Bytes(4 * n)), devices));
        // All-to-all counts the operand of one device: the array is as many times as large.
        const int64_t whole = kind == CollectiveKind::kAllToAll ? n * devices : n;
        const auto link = LinkTime(kind, devices, whole, n <= 1024 ? 9 : 4);
        if (!link.ok() && link.error().code == Code::kUnsupported) continue;
        if (!link.ok()) return link.error();
        double seconds = *link - Between(kind, devices, n);
        if (kind == CollectiveKind::kAllGather) gather = seconds;
        if (kind == CollectiveKind::kReduceScatter) seconds -= gather;
        if (seconds < 0.2 * *link) seconds = 0.2 * *link;  // noise ate it
        m_.collectives.push_back({kind, devices, Bytes(4 * n), Seconds(seconds), Seconds(0)});
      }
    }
    return Ok();
  }

  // What moves in memory between two collectives of a chain, on all devices of a shared machine.
  double Between(CollectiveKind kind, int64_t devices, int64_t n) const {
    const double arrays = kind == CollectiveKind::kAllToAll ? 2.5 : 3;  // read twice and written; two links share 5
    const double copies = m_.shared ? static_cast<double>(devices) : 1;
    return arrays * 4 * static_cast<double>(n) * copies / m_.bandwidth;
  }

  // As values go from one mesh to the other: to the host and to the device again.
  Status Copies() {
    Show("copies from mesh to mesh");
    const ir::HostTensor zeros(ir::Shape{ir::DType::kF32, {kCopied}});
    const cluster::Mesh one = cluster::MakeMesh({1});
    ALPA_TRY(const auto from, client_->Put(zeros, {}, one));
    std::vector<double> seconds;
    for (int i = 0; i < 7; ++i) {
      const auto start = std::chrono::steady_clock::now();
      ALPA_TRY(const ir::HostTensor host, from->ToHost());
      ALPA_TRY(const auto to, client_->Put(host, {}, one));
      ALPA_RETURN_IF_ERROR(to->Wait());
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    m_.copy = {"copy of 16 MiB between meshes", 4.0 * kCopied / profile::Median(seconds), "B/s"};
    return Ok();
  }

  // What the cost model makes of the fit, for each collective.
  Status Model() {
    for (profile::CollectiveTime& c : m_.collectives) {
      profile::Machine part = m_;
      part.devices = c.devices;
      part.collectives.resize(1);
      part.collectives[0].modelled = part.collectives[0].measured;
      ALPA_TRY(cluster::ClusterFile file, cluster::ParseCluster(profile::ToToml(part), "profile"));
      if (m_.shared) cluster::ShareMachine(&file.cluster);
      ALPA_TRY(const cost::Model model, cost::MakeModel(file.cluster, cluster::MakeMesh({c.devices})));
      c.modelled = cost::CollectiveTime(model, c.kind, 1, c.bytes);
    }
    return Ok();
  }

  xla::Engine& engine_;
  const ProfileOptions& options_;
  report::StatusLine line_;
  std::unique_ptr<xla::Client> client_;
  profile::Machine m_;
};

}  // namespace

Status Profile(const ProfileOptions& options) {
  if (!options.backend.empty() && options.memory.empty()) {
    return Error{Code::kInvalidArgument, "--backend needs --memory: a back end does not say what its devices have",
                 "e.g. --memory 16GiB"};
  }
  if (!options.memory.empty()) {
    const auto memory = cluster::ParseQuantity(options.memory, cluster::Dimension::kBytes);
    if (!memory.ok() || *memory < 1)
      return Error{Code::kInvalidArgument, "--memory: " + (memory.ok() ? "must be above 0" : memory.error().message),
                   "e.g. --memory 16GiB"};
  }
  if (!options.out.empty()) ALPA_RETURN_IF_ERROR(CheckWritable(options.out));
  ALPA_TRY(xla::Engine* const engine, xla::LoadEngine());
  ALPA_TRY(const profile::Machine machine, Profiler(*engine, options).Measure());
  std::fputs(profile::ToText(machine).c_str(), stdout);
  if (options.out.empty()) return Ok();
  ALPA_RETURN_IF_ERROR(WriteFileAtomic(options.out, profile::ToToml(machine)));
  fmt::print("\nwritten to {}; plan with it: alpa plan MODEL --cluster {}\n", options.out.string(),
             options.out.string());
  return Ok();
}

}  // namespace alpa::driver
