// The texts of compare.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "alpa/runtime/compare.h"

namespace alpa::runtime {
namespace {

// How far a difference goes: 1 is just within tolerance.
double Ratio(const TensorDifference& d) {
  if (d.max_abs_diff == 0) return 0;
  return d.limit() > 0 ? d.max_abs_diff / d.limit() : std::numeric_limits<double>::infinity();
}

// Worst first; ties in the order given.
std::vector<const TensorDifference*> Sorted(const std::vector<TensorDifference>& tensors) {
  std::vector<const TensorDifference*> out;
  out.reserve(tensors.size());
  for (const TensorDifference& d : tensors) out.push_back(&d);
  std::stable_sort(out.begin(), out.end(), [](const auto* a, const auto* b) { return Ratio(*a) > Ratio(*b); });
  return out;
}

std::string LossLines(const std::vector<LossDifference>& losses) {
  std::string out;
  for (const LossDifference& d : losses) {
    out += fmt::format("{:4} step {:<6} loss {:<12.7g} expected {:<12.7g} difference {:<9.2e} tolerance {:.2e}\n",
                       d.ok ? "ok" : "BAD", d.step, d.actual, d.expected, std::fabs(d.actual - d.expected), d.limit());
  }
  return out;
}

// Where it differs most, and whether that took the allowance.
std::string Remark(const TensorDifference& d) { return d.took_allowance() ? d.where + ", as rounding may" : d.where; }

std::string TensorLines(const std::vector<const TensorDifference*>& rows) {
  size_t name_width = 6;
  size_t role_width = 4;
  for (const TensorDifference* d : rows) {
    name_width = std::max(name_width, d->name.size());
    role_width = std::max(role_width, d->role.size());
  }
  std::string out = fmt::format("{:4} {:<{}} {:<{}} {:>10} {:>10} {:>10}  {}\n", "", "tensor", name_width, "role",
                                role_width, "largest", "difference", "tolerance", "where");
  for (const TensorDifference* d : rows) {
    out += fmt::format("{:4} {:<{}} {:<{}} {:>10.3e} {:>10.3e} {:>10.3e}  {}\n", d->ok ? "ok" : "BAD", d->name,
                       name_width, d->role, role_width, d->largest_value, d->max_abs_diff, d->limit(), Remark(*d));
  }
  return out;
}

}  // namespace

std::string ToString(const Comparison& comparison, size_t max_rows) {
  std::string out = LossLines(comparison.losses);
  std::vector<const TensorDifference*> rows = Sorted(comparison.tensors);
  if (rows.empty()) return out;
  const TensorDifference& worst = *rows.front();
  const auto failed =
      static_cast<size_t>(std::count_if(rows.begin(), rows.end(), [](const auto* d) { return !d->ok; }));
  const size_t shown = max_rows == 0 ? rows.size() : std::min(rows.size(), std::max(max_rows, failed));
  const size_t hidden = rows.size() - shown;
  rows.resize(shown);
  out += TensorLines(rows);
  if (hidden > 0) out += fmt::format("     ... and {} more within tolerance\n", hidden);
  out += fmt::format("{} of {} tensors within tolerance; the worst is '{}': it differs by {:.3e}, tolerance {:.3e}\n",
                     comparison.tensors.size() - failed, comparison.tensors.size(), worst.name, worst.max_abs_diff,
                     worst.limit());
  return out;
}

std::string ToJson(const Comparison& comparison) {
  using Json = nlohmann::ordered_json;
  Json losses = Json::array();
  for (const LossDifference& d : comparison.losses) {
    losses.push_back({{"step", d.step},
                      {"actual", d.actual},
                      {"expected", d.expected},
                      {"tolerance", d.tolerance},
                      {"allowance", d.allowance},
                      {"ok", d.ok}});
  }
  Json tensors = Json::array();
  for (const TensorDifference& d : comparison.tensors) {
    tensors.push_back({{"name", d.name},
                       {"role", d.role},
                       {"max_abs_diff", d.max_abs_diff},
                       {"tolerance", d.tolerance},
                       {"allowance", d.allowance},
                       {"largest_value", d.largest_value},
                       {"ok", d.ok},
                       {"where", d.where}});
  }
  const Json out = {{"ok", comparison.ok()}, {"losses", std::move(losses)}, {"tensors", std::move(tensors)}};
  return out.dump(1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

Status Verdict(const Comparison& comparison) {
  if (comparison.ok()) return Ok();
  const auto bad = [](const auto& d) { return !d.ok; };
  const auto tensors = std::count_if(comparison.tensors.begin(), comparison.tensors.end(), bad);
  const auto losses = std::count_if(comparison.losses.begin(), comparison.losses.end(), bad);
  std::string message = fmt::format("{} of {} tensors and {} of {} losses are out of tolerance", tensors,
                                    comparison.tensors.size(), losses, comparison.losses.size());
  if (tensors > 0) {
    const TensorDifference& worst = *Sorted(comparison.tensors).front();
    message += fmt::format("; worst: '{}' differs by {:.3e} ({}), tolerance {:.3e}", worst.name, worst.max_abs_diff,
                           worst.where, worst.limit());
  }
  return Error{Code::kOutOfTolerance, message, ""};
}

}  // namespace alpa::runtime
