#include "alpa/driver/doctor.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include "alpa/base/disk_cache.h"
#include "alpa/base/file.h"
#include "alpa/base/library.h"
#include "alpa/base/units.h"
#include "alpa/driver/time_probe.h"
#include "alpa/process/open_world.h"
#include "alpa/profile/probes.h"
#include "alpa/report/findings.h"
#include "alpa/xla/engine.h"

namespace alpa::driver {
namespace {

using report::Finding;
using report::Verdict;

constexpr Bytes kLittleMemory(int64_t{2} << 30);
constexpr Bytes kLittleDisk(int64_t{1} << 30);
constexpr rlim_t kFewFiles = 512;

// What a file holds; empty when it cannot be read.
std::string Content(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// The rest of the line in which `key` and a colon stand.
std::string LineOf(const std::string& text, const std::string& key) {
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key) || line.find(':') == std::string::npos) continue;
    const size_t begin = line.find_first_not_of(" \t", line.find(':') + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

Finding Processor() {
  cpu_set_t set;
  const int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  const std::string info = Content("/proc/cpuinfo");
  std::string found = fmt::format("{} core{}", cores, cores == 1 ? "" : "s");
  if (const std::string name = LineOf(info, "model name"); !name.empty()) found += ", " + name;
  if (const std::string flags = LineOf(info, "flags");
      !flags.empty() && (" " + flags + " ").find(" avx ") == std::string::npos)
    return {Verdict::kWrong, "processor", found + ", without AVX", "XLA's wheel needs a processor with AVX"};
  return {Verdict::kOk, "processor", found, ""};
}

// The limit of this process's control group; 0: none.
Bytes GroupLimit() {
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    const std::string text = Content(path);
    if (text.empty() || text.starts_with("max")) continue;
    return Bytes(std::strtoll(text.c_str(), nullptr, 10));
  }
  return Bytes(0);
}

Finding Memory() {
  const std::string info = Content("/proc/meminfo");
  const auto kib = [&](const char* key) { return Bytes(std::strtoll(LineOf(info, key).c_str(), nullptr, 10) * 1024); };
  const Bytes all = kib("MemTotal"), free = kib("MemAvailable"), group = GroupLimit();
  std::string found = fmt::format("{}, {} of it free", ToString(all), ToString(free));
  const bool limited = group.value > 0 && group < all;
  if (limited) found += fmt::format("; this process may use {}", ToString(group));
  rlimit space{};
  if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
    return {Verdict::kNote, "memory",
            found + fmt::format("; address space limited to {}", ToString(Bytes(static_cast<int64_t>(space.rlim_cur)))),
            "XLA reserves more than it uses: ulimit -v unlimited"};
  if (std::min(free, limited ? group : free) < kLittleMemory)
    return {Verdict::kNote, "memory", found,
            "little for training: end other programs, or take fewer devices or microbatches"};
  return {Verdict::kOk, "memory", found, ""};
}

Finding Files() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  const std::string found = fmt::format("{} at once", files.rlim_cur);
  if (files.rlim_cur < kFewFiles)
    return {Verdict::kNote, "open files", found, "many devices need more: ulimit -n 4096"};
  return {Verdict::kOk, "open files", found, ""};
}

// A text without line breaks, as messages of the loader have them.
std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

Finding WrongFrom(const char* what, const Error& error) {
  return {Verdict::kWrong, what, OneLine(error.message), OneLine(error.hint)};
}

// Computes on all devices of `client` and sums up over them.
Finding Devices(xla::Engine& engine, xla::Client& client, const char* what, const std::string& name) {
  const int64_t devices = client.device_count();
  const Result<ProbeTime> product = TimeProbe(engine, client, profile::Products(64, 1, "f32"), devices);
  if (!product.ok()) return WrongFrom(what, product.error());
  if (devices > 1) {
    using sharding::CollectiveKind::kAllReduce;
    const Result<ProbeTime> sum = TimeProbe(engine, client, profile::Collectives(kAllReduce, devices, 1024, 1), devices,
                                            profile::LayoutOf(kAllReduce), kAllReduce);
    if (!sum.ok()) return WrongFrom(what, sum.error());
  }
  return {Verdict::kOk, what,
          fmt::format("{} {} compute{}", devices, name, devices > 1 ? ", and sum up over each other" : ""), ""};
}

std::vector<Finding> Xla(const DoctorOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const Result<xla::Engine*> engine = xla::LoadEngine();
  if (!engine.ok()) return {WrongFrom("XLA", engine.error())};
  const Seconds took(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  std::vector<Finding> out = {{Verdict::kOk, "XLA", fmt::format("loads in {}", ToString(took)), ""}};
  const Result<std::unique_ptr<xla::Client>> cpu = (*engine)->CreateCpuClient(options.devices);
  out.push_back(cpu.ok() ? Devices(**engine, **cpu, "devices", "virtual CPU devices")
                         : WrongFrom("devices", cpu.error()));
  if (options.backend.empty()) return out;
  const Result<std::unique_ptr<xla::Client>> plugin = (*engine)->CreatePluginClient(options.backend);
  out.push_back(plugin.ok() ? Devices(**engine, **plugin, "plugin", "devices of " + (*plugin)->platform())
                            : WrongFrom("plugin", plugin.error()));
  return out;
}

// Whether there is a GPU, when no plugin is asked for.
Finding Gpu() {
  const std::string driver = LineOf(Content("/proc/driver/nvidia/version"), "NVRM version");
  if (driver.empty()) return {Verdict::kOk, "plugin", "none asked for; no NVIDIA GPU here", ""};
  return {Verdict::kNote, "plugin", "none asked for, but here is an NVIDIA GPU (" + driver + ")",
          "./dev gpu installs XLA's plugin; try it with: alpa doctor --backend PLUGIN.so"};
}

// The output of a command of the shell and its exit status.
std::pair<std::string, int> Shell(const std::string& command) {
  std::string out;
  std::FILE* pipe = ::popen((command + " 2>&1 </dev/null").c_str(), "r");
  if (pipe == nullptr) return {"", -1};
  char buffer[512];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, n);
  const int status = ::pclose(pipe);
  return {out, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

Finding Mpi() {
  constexpr const char* kInstall =
      "only for several processes: install openmpi-bin and libopenmpi-dev, and ./dev build again";
  const std::filesystem::path library = FindLibrary("libalpa_mpi.so", "ALPA_MPI_LIBRARY");
  std::error_code ec;
  if (!std::filesystem::exists(library, ec)) return {Verdict::kNote, "MPI", library.string() + " is missing", kInstall};
  if (::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr)
    return {Verdict::kNote, "MPI", OneLine(fmt::format("does not load: {}", ::dlerror())), kInstall};
  if (process::StartedAsGroup()) return {Verdict::kOk, "MPI", "started as one of several processes", ""};
  const auto [version, found] = Shell("mpirun --version");
  if (found != 0) return {Verdict::kNote, "MPI", "there is no mpirun", kInstall};
  const std::string name = version.substr(0, version.find('\n'));
  const auto [words, status] = Shell("timeout 20 mpirun -n 2 --oversubscribe true");
  if (status == 0) return {Verdict::kOk, "MPI", name + " starts 2 processes", ""};
  if (words.find("as root") != std::string::npos)
    return {Verdict::kNote, "MPI", name + " does not run as root",
            "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"};
  return {Verdict::kNote, "MPI", fmt::format("{} does not start 2 processes here (exit status {})", name, status),
          "see what this says: mpirun -n 2 true"};
}

Finding Cache() {
  const std::filesystem::path folder = CacheFolder("compiled");
  if (folder.empty())
    return {Verdict::kNote, "cache", "no place for it: neither HOME nor XDG_CACHE_HOME is set",
            "compiled programs are not kept; set HOME"};
  std::filesystem::path there = folder;
  std::error_code ec;
  while (!std::filesystem::exists(there, ec) && there.has_parent_path() && there != there.parent_path())
    there = there.parent_path();
  if (::access(there.c_str(), W_OK) != 0)
    return {Verdict::kNote, "cache", there.string() + " cannot be written",
            "compiled programs are not kept; set XDG_CACHE_HOME"};
  const std::filesystem::space_info space = std::filesystem::space(there, ec);
  const Bytes free(ec ? 0 : static_cast<int64_t>(space.available));
  const std::string found = fmt::format("{}, {} free", folder.string(), ToString(free));
  if (!ec && free < kLittleDisk) return {Verdict::kNote, "cache", found, "little room for compiled programs"};
  return {Verdict::kOk, "cache", found, ""};
}

}  // namespace

Status Doctor(const DoctorOptions& options) {
  std::vector<Finding> findings = {Processor(), Memory(), Files()};
  for (Finding& finding : Xla(options)) findings.push_back(std::move(finding));
  if (options.backend.empty()) findings.push_back(Gpu());
  findings.push_back(Mpi());
  findings.push_back(Cache());
  std::fputs((options.json ? report::FindingsJson(findings) : report::FindingsText(findings)).c_str(), stdout);
  for (const Finding& finding : findings) {
    if (finding.verdict == Verdict::kWrong)
      return Error{Code::kEnvironment, fmt::format("{}: {}", finding.what, finding.found), finding.todo};
  }
  return Ok();
}

}  // namespace alpa::driver
