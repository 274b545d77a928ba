#include "alpa/report/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "alpa/frontend/loops.h"

namespace alpa::report {
namespace {

using frontend::OpPhase;
using frontend::StepAnalysis;
using ir::InputRole;

// 1234567 -> "1,234,567".
std::string Thousands(int64_t n) {
  std::string digits = std::to_string(n);
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

std::string Plural(size_t n, std::string_view noun) {
  return fmt::format("{} {}{}", Thousands(static_cast<int64_t>(n)), noun, n == 1 ? "" : "s");
}

std::string InputName(const ir::Module& module, size_t i) {
  return module.input_names[i].empty() ? fmt::format("input {}", i) : module.input_names[i];
}

const ir::Shape& InputShape(const ir::Module& module, size_t i) { return module.shape(module.inputs[i]); }

std::vector<size_t> InputsOf(const StepAnalysis& analysis, InputRole role) {
  std::vector<size_t> out;
  for (size_t i = 0; i < analysis.signature.inputs.size(); ++i) {
    if (analysis.signature.inputs[i].role == role) out.push_back(i);
  }
  return out;
}

std::string InputRow(const ir::Module& module, const StepAnalysis& analysis, InputRole role, std::string_view title) {
  const std::vector<size_t> inputs = InputsOf(analysis, role);
  int64_t elements = 0;
  size_t donated = 0;
  Bytes bytes;
  for (const size_t i : inputs) {
    elements += InputShape(module, i).elements();
    bytes += InputShape(module, i).bytes();
    donated += analysis.signature.inputs[i].donated ? 1 : 0;
  }
  std::string how = donated == 0 ? "no" : donated == inputs.size() ? "yes" : fmt::format("{} of them", donated);
  if (inputs.empty()) how = "";
  return fmt::format("  {:<12}{:>8}{:>20}{:>14}   {}\n", title, inputs.size(), Thousands(elements), ToString(bytes),
                     how);
}

std::string LargestParameters(const ir::Module& module, const StepAnalysis& analysis) {
  constexpr size_t kShown = 5;
  std::vector<size_t> inputs = InputsOf(analysis, InputRole::kParameter);
  std::stable_sort(inputs.begin(), inputs.end(),
                   [&](size_t a, size_t b) { return InputShape(module, a).bytes() > InputShape(module, b).bytes(); });
  std::string out;
  for (size_t k = 0; k < std::min(kShown, inputs.size()); ++k) {
    const ir::Shape& shape = InputShape(module, inputs[k]);
    out += fmt::format("    {:<40}{:<24}{:>12}\n", InputName(module, inputs[k]), ir::ToString(shape),
                       ToString(shape.bytes()));
  }
  if (!out.empty()) out = "  largest parameters\n" + out;
  return out;
}

std::string InputSection(const ir::Module& module, const StepAnalysis& analysis) {
  std::string out = fmt::format("{:<14}{:>8}{:>20}{:>14}   {}\n", "Inputs", "arrays", "elements", "size", "donated");
  out += InputRow(module, analysis, InputRole::kParameter, "parameters");
  out += InputRow(module, analysis, InputRole::kState, "other state");
  out += InputRow(module, analysis, InputRole::kBatch, "batch");
  return out + LargestParameters(module, analysis) + "\n";
}

std::string BatchSection(const ir::Module& module, const StepAnalysis& analysis) {
  std::string out = analysis.batch.batch_size > 0
                        ? fmt::format("Batch: {} examples\n", Thousands(analysis.batch.batch_size))
                        : "Batch: no input carries a batch\n";
  constexpr size_t kShown = 12;
  const std::vector<size_t> inputs = InputsOf(analysis, InputRole::kBatch);
  for (size_t k = 0; k < std::min(kShown, inputs.size()); ++k) {
    const size_t i = inputs[k];
    const int dim = analysis.batch_dims()[i];
    out += fmt::format("  {:<42}{:<24}{}\n", InputName(module, i), ir::ToString(InputShape(module, i)),
                       dim < 0 ? "no batch dimension" : fmt::format("batch is dimension {}", dim));
  }
  if (inputs.size() > kShown) out += fmt::format("  ... and {} more\n", inputs.size() - kShown);
  return out + "\n";
}

std::string OutputSection(const ir::Module& module, const StepAnalysis& analysis) {
  std::vector<size_t> results;
  for (size_t o = 0; o < module.outputs.size(); ++o) {
    if (analysis.signature.outputs[o].role == ir::OutputRole::kResult) results.push_back(o);
  }
  std::string out = fmt::format("Outputs: {} of state, {}\n", Plural(module.outputs.size() - results.size(), "update"),
                                Plural(results.size(), "result"));
  constexpr size_t kShown = 8;
  for (size_t k = 0; k < std::min(kShown, results.size()); ++k) {
    const size_t o = results[k];
    const bool loss = analysis.signature.loss == static_cast<int32_t>(o);
    out += fmt::format("  output {:<35}{:<24}{}\n", o, ir::ToString(module.shape(module.outputs[o])),
                       loss ? "the loss" : "");
  }
  if (results.size() > kShown) out += fmt::format("  ... and {} more\n", results.size() - kShown);
  if (analysis.signature.loss < 0) out += "  no result is a loss\n";
  return out + "\n";
}

std::string FlopsSection(const StepAnalysis& analysis) {
  std::string out =
      fmt::format("{:<14}{:>22}{:>18}{:>18}\n", "Arithmetic", "dot, convolution", "other", "of it exp, ...");
  auto row = [&](std::string_view title, const frontend::FlopCount& c) {
    out += fmt::format("  {:<12}{:>22}{:>18}{:>18}\n", title, ToString(c.dot_conv), ToString(c.other),
                       ToString(c.transcendental));
  };
  for (const OpPhase phase : {OpPhase::kForward, OpPhase::kBackward, OpPhase::kUpdate}) {
    row(frontend::Name(phase), analysis.total(phase));
  }
  row("step", analysis.total());
  return out + "\n";
}

std::string OpsSection(const ir::Module& module, const StepAnalysis& analysis) {
  std::map<std::string_view, std::array<int64_t, 4>> counts;  // forward, backward, update, all
  for (size_t i = 0; i < module.ops.size(); ++i) {
    if (module.ops[i].kind == ir::OpKind::kParameter) continue;
    auto& row = counts[ir::Name(module.ops[i].kind)];
    ++row[static_cast<size_t>(analysis.phases[i])];
    ++row[3];
  }
  std::vector<std::pair<std::string_view, std::array<int64_t, 4>>> rows(counts.begin(), counts.end());
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second[3] > b.second[3]; });
  std::string out = fmt::format("{:<24}{:>10}{:>10}{:>10}{:>10}\n", "Ops", "forward", "backward", "update", "all");
  std::array<int64_t, 4> sum{};
  for (const auto& [name, row] : rows) {
    out += fmt::format("  {:<22}{:>10}{:>10}{:>10}{:>10}\n", name, row[0], row[1], row[2], row[3]);
    for (size_t p = 0; p < sum.size(); ++p) sum[p] += row[p];
  }
  return out + fmt::format("  {:<22}{:>10}{:>10}{:>10}{:>10}\n\n", "all", sum[0], sum[1], sum[2], sum[3]);
}

std::string LoopSection(const ir::Module& module) {
  std::string out;
  for (const ir::Op& op : module.ops) {
    if (op.kind != ir::OpKind::kWhile) continue;
    const auto trips = frontend::TripCount(module, op);
    out += fmt::format("  {}: {}, {} in its body\n", ir::Describe(module, op),
                       trips.has_value() ? Plural(static_cast<size_t>(*trips), "turn") : "an unknown number of turns",
                       Plural(frontend::RegionsOf(module, op).body->ops.size(), "op"));
  }
  return out.empty() ? "" : "Loops that stay loops (arithmetic of unknown ones counts once)\n" + out + "\n";
}

std::string MicrobatchSection(const StepAnalysis& analysis) {
  const frontend::Microbatching& m = analysis.microbatching;
  std::string out = "Microbatches: ";
  if (analysis.batch.batch_size == 0) return out + "none, there is no batch\n";
  if (!m.separable()) {
    out += "the batch runs in one piece only";
    if (m.levels > 1) out += fmt::format(" (pieces would need {} rounds of accumulation)", m.levels);
    out += "\n";
  } else if (m.max_microbatches == 1) {
    out += "1\n";
  } else {
    out += fmt::format("up to {}, any number that divides it; {} to accumulate\n", Thousands(m.max_microbatches),
                       Plural(static_cast<size_t>(m.accumulations), "sum"));
  }
  constexpr size_t kShown = 12;
  for (size_t k = 0; k < std::min(kShown, m.obstacles.size()); ++k) {
    const frontend::Obstacle& o = m.obstacles[k];
    out += fmt::format("  {}{}: {}", frontend::Blocks(o.kind) ? "" : "note, ", frontend::Name(o.kind), o.text);
    out += o.count > 1 ? fmt::format(" (and {} more like it)\n", o.count - 1) : "\n";
  }
  if (m.obstacles.size() > kShown) out += fmt::format("  ... and {} more\n", m.obstacles.size() - kShown);
  return out;
}

}  // namespace

std::string InspectText(const ir::Module& module, const StepAnalysis& analysis) {
  return fmt::format("{}: {}, {}, {}\n\n", module.name, Plural(module.ops.size() - module.inputs.size(), "op"),
                     Plural(module.inputs.size(), "input"), Plural(module.outputs.size(), "output")) +
         InputSection(module, analysis) + BatchSection(module, analysis) + OutputSection(module, analysis) +
         FlopsSection(analysis) + OpsSection(module, analysis) + LoopSection(module) + MicrobatchSection(analysis);
}

}  // namespace alpa::report
