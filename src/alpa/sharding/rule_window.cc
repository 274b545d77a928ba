// Rules of ops with windows: convolution, reduce-window, select-and-scatter.
//
// Along one dimension, output element o reads the positions o * stride - pad_low + i * window_dilation (i < size) of
// the input, whose elements lie at multiples of base_dilation. Parts of input and output line up when o * stride of the
// last output is the end of the input; a device then lacks only what its windows read beyond its part, the halo.
#include <numeric>
#include <optional>
#include <utility>

#include "alpa/sharding/rule_families.h"

namespace alpa::sharding::internal {
namespace {

struct Halo {
  int64_t low = 0, high = 0;
  bool none() const { return low == 0 && high == 0; }
};

// What a device reads beyond its part of the input when input and output are cut into equally many parts; nothing when
// the parts do not line up, or a neighbour could not give so much however few parts there are.
std::optional<Halo> OutputHalo(const ir::WindowDim& w, int64_t in, int64_t out) {
  if (in == 0 || out == 0 || out * w.stride != in * w.base_dilation) return std::nullopt;
  const int64_t beyond = (w.size - 1) * w.window_dilation + 1 - w.stride - w.pad_low;  // positions after the own ones
  Halo halo;
  halo.low = w.pad_low > 0 ? w.pad_low / w.base_dilation : 0;
  halo.high = beyond > 0 ? (beyond - 1) / w.base_dilation + 1 : 0;
  if (2 * std::max(halo.low, halo.high) > in) return std::nullopt;
  return halo;
}

// The gradient of a kernel slides the output's gradient over the image: its window is as long as the image and is cut
// into parts along with it, each device sums what its part of the window sees. `in` and `out` are extents of image and
// result (the kernel).
std::optional<Halo> ContractedHalo(const ir::WindowDim& w, int64_t in, int64_t out) {
  if (w.base_dilation != 1 || w.reversed || in == 0 || w.size * w.window_dilation != in) return std::nullopt;
  Halo halo;
  halo.low = std::max<int64_t>(0, w.pad_low);
  halo.high = std::max<int64_t>(0, (out - 1) * w.stride - w.window_dilation - w.pad_low + 1);
  if (2 * std::max(halo.low, halo.high) > in) return std::nullopt;
  return halo;
}

int AddOutputFactor(Rule& rule, int64_t in, int64_t out, const Halo& halo) {
  const int64_t size = std::gcd(in, out);
  return halo.none() ? AddFree(rule, size) : AddWindow(rule, size, halo.low, halo.high);
}

// Factors of a convolution beside the spatial ones: batch of the result, contracted feature, feature of the result.
struct Channels {
  int batch, contracted, feature;
};

// Features and batch, where groups tie them together:
//   feature groups: lhs feature (g c), rhs in c, rhs out (g o), result feature (g o)
//   batch groups:   lhs batch (g n), rhs out (g o), result batch n, result feature (g o)
Channels AddChannels(const ir::Module& module, const ir::Op& op, const ir::ConvolutionAttr& attr, Rule& rule) {
  auto at = [](Projection& array, int64_t d) -> std::vector<int>& { return array[static_cast<size_t>(d)]; };
  auto extent = [&](ir::ValueId v, int64_t d) { return Dims(module, v)[static_cast<size_t>(d)]; };
  auto& lhs = rule.operands[0];
  auto& rhs = rule.operands[1];
  auto& out = rule.results[0];
  const int64_t groups = attr.feature_groups * attr.batch_groups;  // at most one of them is not 1
  const int n = AddFree(rule, extent(op.results[0], attr.out_batch));
  const int c = AddContracted(rule, extent(op.operands[1], attr.rhs_input_feature), Combiner::kSum);
  const int o = AddFree(rule, extent(op.results[0], attr.out_feature) / groups);
  at(lhs, attr.lhs_batch) = at(out, attr.out_batch) = {n};
  at(lhs, attr.lhs_feature) = at(rhs, attr.rhs_input_feature) = {c};
  at(rhs, attr.rhs_output_feature) = at(out, attr.out_feature) = {o};
  rule.factors[static_cast<size_t>(c)].whole_mesh = attr.batch_groups > 1;
  if (groups == 1) return {n, c, o};
  const int g = AddFree(rule, groups);
  for (auto* dim : {&at(rhs, attr.rhs_output_feature), &at(out, attr.out_feature)}) dim->insert(dim->begin(), g);
  auto& grouped = at(lhs, attr.feature_groups > 1 ? attr.lhs_feature : attr.lhs_batch);
  grouped.insert(grouped.begin(), g);
  return {n, c, o};
}

}  // namespace

Rule ConvolutionRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  const auto& attr = std::get<ir::ConvolutionAttr>(op.attributes);
  // XLA's partitioner knows groups of one feature each (depthwise); others it gathers, whatever is split.
  const bool depthwise = Dims(module, op.operands[1])[static_cast<size_t>(attr.rhs_input_feature)] == 1;
  if (attr.feature_groups > 1 && !depthwise) return rule;
  const Channels channels = AddChannels(module, op, attr, rule);
  for (size_t i = 0; i < attr.window.size(); ++i) {
    const ir::WindowDim& w = attr.window[i];
    const auto lhs = static_cast<size_t>(attr.lhs_spatial[i]);
    const auto rhs = static_cast<size_t>(attr.rhs_spatial[i]);
    const auto result = static_cast<size_t>(attr.out_spatial[i]);
    const int64_t in = Dims(module, op.operands[0])[lhs];
    const int64_t out = Dims(module, op.results[0])[result];
    const auto contracted = w.size > out ? ContractedHalo(w, in, out) : std::nullopt;
    const auto window = OutputHalo(w, in, out);
    if (contracted.has_value()) {
      const int f = AddContracted(rule, w.size, Combiner::kSum);
      rule.factors.back().halo_low = contracted->low;
      rule.factors.back().halo_high = contracted->high;
      if (!contracted->none() || w.window_dilation != 1) {
        rule.factors.back().whole_mesh = true;
        rule.apart.insert(rule.apart.end(), {{channels.batch, f}, {channels.feature, f}});
      }
      rule.operands[1][rhs] = {f};
      PutFactor(rule, rule.operands[0][lhs], f, in);
    } else if (window.has_value()) {
      const int f = AddOutputFactor(rule, in, out, *window);
      if (!window->none() || w.stride != 1) rule.apart.emplace_back(channels.feature, f);
      if (attr.batch_groups > 1) rule.apart.emplace_back(channels.contracted, f);
      PutFactor(rule, rule.operands[0][lhs], f, in);
      PutFactor(rule, rule.results[0][result], f, out);
    }
  }
  return rule;
}

// Operands are n arrays and n scalars to start from, which are also what the padding is filled with. A window as long
// as the dimension is a reduction, but XLA's partitioner gathers it all the same, so the dimension stays whole.
Rule ReduceWindowRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  const auto& window = std::get<ir::WindowAttr>(op.attributes).window;
  const size_t n = op.operands.size() / 2;
  for (size_t d = 0; d < window.size(); ++d) {
    const ir::WindowDim& w = window[d];
    const int64_t in = Dims(module, op.operands[0])[d];
    const int64_t out = Dims(module, op.results[0])[d];
    const auto halo = OutputHalo(w, in, out);
    if (!halo.has_value() || (n != 1 && !halo->none())) continue;
    const int f = AddOutputFactor(rule, in, out, *halo);
    std::vector<int> read;
    std::vector<int> written;
    PutFactor(rule, read, f, in);
    PutFactor(rule, written, f, out);
    for (size_t k = 0; k < n; ++k) {
      rule.operands[k][d] = read;
      rule.results[k][d] = written;
    }
  }
  return rule;
}

// Operands: array, source (one element per window), start; the result has the array's shape. Windows that overlap write
// to the same elements; those that tile the dimension are each one device's business.
Rule SelectAndScatterRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  const auto& window = std::get<ir::WindowAttr>(op.attributes).window;
  for (size_t d = 0; d < window.size(); ++d) {
    const ir::WindowDim& w = window[d];
    const int64_t extent = Dims(module, op.operands[0])[d];
    const int64_t windows = Dims(module, op.operands[1])[d];
    const bool plain = w.pad_low == 0 && w.pad_high == 0 && w.window_dilation == 1 && w.base_dilation == 1;
    if (!plain || w.size != w.stride || windows == 0 || windows * w.stride != extent) continue;
    const int f = AddFree(rule, windows);
    rule.operands[1][d] = {f};
    PutFactor(rule, rule.operands[0][d], f, extent);
    rule.results[0][d] = rule.operands[0][d];
  }
  return rule;
}

}  // namespace alpa::sharding::internal
