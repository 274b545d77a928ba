#include "alpa/profile/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "alpa/base/result.h"

namespace alpa::profile {
namespace {

// "12.3 G": so that it can stand in front of FLOP/s and B/s.
std::string WithPrefix(double value) {
  static constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T", "P"};
  size_t p = 0;
  while (value >= 1000 && p + 1 < std::size(kPrefixes)) {
    value /= 1000;
    ++p;
  }
  return fmt::format("{:.3g} {}", value, kPrefixes[p]);
}

std::string Describe(const Rate& rate) { return WithPrefix(rate.per_second) + rate.unit; }

int64_t CeilLog2(int64_t n) {
  int64_t log = 0;
  while ((int64_t{1} << log) < n) ++log;
  return log;
}

// One line per collective: what was measured, and what the cost model makes of the fit.
std::string CollectiveLine(const CollectiveTime& c) {
  return fmt::format("{:<15} {:>2} devices {:>11}: {:>10} measured, {:>10} by the model, {:.2f} x",
                     sharding::Name(c.kind), c.devices, alpa::ToString(c.bytes), alpa::ToString(c.measured),
                     alpa::ToString(c.modelled), c.modelled.value / c.measured.value);
}

// How far the model is off in the middle, and at worst; as a factor in either direction.
std::string FitLine(const std::vector<CollectiveTime>& times) {
  std::vector<double> factors;
  for (const CollectiveTime& c : times)
    factors.push_back(std::exp(std::abs(std::log(c.modelled.value / c.measured.value))));
  return fmt::format("the model is off by a factor of {:.2f} in the middle, {:.2f} at most", Median(factors),
                     *std::max_element(factors.begin(), factors.end()));
}

std::string SharingLine(const Machine& m) {
  return fmt::format("{} devices that multiply matrices at the same time take {:.2f} x as long as one: {}", m.devices,
                     m.slowdown, m.slowdown > 1.5 ? "they share the cores" : "each has its own");
}

}  // namespace

double Median(std::vector<double> values) {
  ALPA_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  return values[(values.size() - 1) / 2];
}

LinkFit FitLink(const std::vector<CollectiveTime>& times, bool shared) {
  const auto is_reduce = [](const CollectiveTime& c) { return c.kind == sharding::CollectiveKind::kAllReduce; };
  Bytes least(INT64_MAX);
  for (const CollectiveTime& c : times) least = is_reduce(c) ? std::min(least, c.bytes) : least;
  const auto scale = [&](const CollectiveTime& c) { return shared ? static_cast<double>(c.devices) : 1.0; };
  std::vector<double> alphas, betas;
  for (const CollectiveTime& c : times) {
    if (is_reduce(c) && c.bytes == least)
      alphas.push_back(c.measured.value / (2.0 * static_cast<double>(CeilLog2(c.devices)) * scale(c)));
  }
  const double alpha = Median(alphas);
  for (const CollectiveTime& c : times) {
    if (c.bytes == least) continue;
    const double rounds = is_reduce(c) ? 2 : 1, steps = static_cast<double>(c.devices - 1);
    const double sent = rounds * steps / static_cast<double>(c.devices) * static_cast<double>(c.bytes.value);
    // Where latency alone would explain more than was measured, noise was larger than the signal: the time per byte is
    // then at least a tenth of what the whole time would give.
    const double moving = std::max(c.measured.value - rounds * steps * alpha * scale(c), 0.1 * c.measured.value);
    betas.push_back(moving / sent);
  }
  return {Seconds(alpha), Median(betas)};
}

std::string ToToml(const Machine& m) {
  std::string out = fmt::format(
      "# Measured by alpa profile on {}: {}. Other programs may have been running; times are medians of the faster "
      "half of the runs.\n# {}.\n"
      "name = \"machine\"\ndescription = \"measured: {}\"\n{}\n[device.measured]\n",
      m.date, m.name, SharingLine(m), m.name,
      m.shared ? "virtual = true  # figures of the machine; each device gets its part\n" : "");
  out += fmt::format("memory = \"{:.2f} GiB\"\n", static_cast<double>(m.memory.value) / (1 << 30));
  out += fmt::format("memory_bandwidth = \"{:.3f} GB/s\"\n", m.bandwidth / 1e9);
  out += fmt::format("matrix = {{ f32 = \"{:.3f} GFLOP/s\", bf16 = \"{:.3f} GFLOP/s\" }}\n", m.f32 / 1e9, m.bf16 / 1e9);
  out += fmt::format("vector = \"{:.3f} GFLOP/s\"\nlaunch = \"{:.3f} us\"\n", m.vector / 1e9, m.launch.value * 1e6);
  for (const Rate& rate : m.rates) out += fmt::format("#   {:<28} {}\n", rate.what, Describe(rate));
  out += fmt::format("\n[[host]]\ndevice = \"measured\"\ndevices = {}\n", m.devices);
  if (m.collectives.empty()) return out;
  const std::string link = fmt::format("{{ latency = \"{:.3f} us\", bandwidth = \"{:.4f} GB/s\" }}\n",
                                       m.link.alpha.value * 1e6, 1e-9 / m.link.beta);
  out += fmt::format("intra = {}network = {}# {}:\n", link, link, FitLine(m.collectives));
  for (const CollectiveTime& c : m.collectives) out += "#   " + CollectiveLine(c) + "\n";
  return out + fmt::format("# {}: {}\n", m.copy.what, Describe(m.copy));
}

std::string ToText(const Machine& m) {
  std::string out = fmt::format("{}\n\n", m.name);
  for (const Rate& rate : m.rates) out += fmt::format("  {:<28} {:>14}\n", rate.what, Describe(rate));
  out += fmt::format("  {:<28} {:>14}\n", "launch of a kernel", alpa::ToString(m.launch));
  if (m.collectives.empty()) return out;
  out += fmt::format("  {:<28} {:>14}\n\n", m.copy.what, Describe(m.copy));
  for (const CollectiveTime& c : m.collectives) out += "  " + CollectiveLine(c) + "\n";
  out += fmt::format("\n  link: latency {}{}, {}B/s; {}\n  {}\n", alpa::ToString(m.link.alpha),
                     m.shared ? " times devices" : "", WithPrefix(1 / m.link.beta), FitLine(m.collectives),
                     SharingLine(m));
  return out;
}

}  // namespace alpa::profile
