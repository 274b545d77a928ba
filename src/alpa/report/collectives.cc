#include "alpa/report/collectives.h"

#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <utility>

namespace alpa::report {
namespace {

using Key = std::pair<sharding::CollectiveKind, std::vector<int>>;

struct Pair {
  plan::CollectiveTotal predicted, actual;
};

std::map<Key, Pair> Join(const std::vector<plan::CollectiveTotal>& predicted,
                         const std::vector<plan::CollectiveTotal>& actual) {
  std::map<Key, Pair> out;
  auto add = [](plan::CollectiveTotal& to, const plan::CollectiveTotal& total) {
    to.count += total.count;
    to.bytes += total.bytes;
  };
  for (const auto& total : predicted) add(out[{total.kind, total.axes}].predicted, total);
  for (const auto& total : actual) add(out[{total.kind, total.axes}].actual, total);
  return out;
}

Bytes Sum(const std::vector<plan::CollectiveTotal>& totals) {
  Bytes sum;
  for (const auto& total : totals) sum += total.bytes;
  return sum;
}

std::string Label(const Key& key, const cluster::Mesh& mesh) {
  const std::string axes = cluster::AxisNames(mesh, key.second);
  return fmt::format("{} {}", sharding::Name(key.first), axes.empty() ? "among other groups" : "over " + axes);
}

std::string Cell(const plan::CollectiveTotal& total) {
  return fmt::format("{:>6} {:>11}", total.count, total.count == 0 ? "-" : ToString(total.bytes));
}

std::string Change(const Pair& pair) {
  if (pair.predicted.bytes == pair.actual.bytes && pair.predicted.count == pair.actual.count) return "";
  if (pair.predicted.bytes == Bytes(0)) return "  not predicted";
  return fmt::format("  {:+.1f} %", 100 * (pair.actual.bytes / pair.predicted.bytes - 1));
}

}  // namespace

double ByteDifference(const std::vector<plan::CollectiveTotal>& predicted,
                      const std::vector<plan::CollectiveTotal>& actual) {
  int64_t off = 0;
  for (const auto& [key, pair] : Join(predicted, actual))
    off += std::abs((pair.actual.bytes - pair.predicted.bytes).value);
  if (off == 0) return 0;
  const Bytes sum = Sum(predicted);
  return sum == Bytes(0) ? 1 : static_cast<double>(off) / static_cast<double>(sum.value);
}

std::string CollectivesLine(const plan::Plan& plan, const std::vector<plan::CollectiveTotal>& actual) {
  int64_t count = 0;
  for (const auto& total : actual) count += total.count;
  const bool predicted = plan.prediction.has_value();
  const Bytes planned = predicted ? Sum(plan.prediction->collectives) : Bytes(0);
  if (count == 0 && planned == Bytes(0)) return "";
  return fmt::format("{} collectives of {} per step and device{}", count, ToString(Sum(actual)),
                     predicted ? fmt::format(" (planned: {})", ToString(planned)) : "");
}

std::string CollectivesTable(const plan::Plan& plan, const std::vector<plan::CollectiveTotal>& actual) {
  const bool both = plan.prediction.has_value();
  const std::vector<plan::CollectiveTotal> none;
  const auto& predicted = both ? plan.prediction->collectives : none;
  const auto rows = Join(predicted, actual);
  if (rows.empty()) return "no collectives\n";
  std::string out = fmt::format("{:<36}{}{:>18}\n", "collectives per step and device",
                                both ? fmt::format("{:>18}", "predicted") : "", "inserted");
  for (const auto& [key, pair] : rows) {
    out += fmt::format("  {:<34}{}{}{}\n", Label(key, plan.mesh), both ? Cell(pair.predicted) : "", Cell(pair.actual),
                       both ? Change(pair) : "");
  }
  if (both) {
    out += fmt::format("inserted bytes differ from the prediction by {:.1f} % ({} predicted, {} inserted)\n",
                       100 * ByteDifference(predicted, actual), ToString(Sum(predicted)), ToString(Sum(actual)));
  }
  return out;
}

}  // namespace alpa::report
