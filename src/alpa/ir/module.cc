#include "alpa/ir/module.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <unordered_set>

#include "alpa/base/file.h"

namespace alpa::ir {
namespace {

// Appends whatever identifies an attribute to a text; equal attributes give equal texts.
struct AttributeText {
  std::string operator()(const std::monostate&) const { return ""; }
  std::string operator()(const DimsAttr& a) const { return fmt::format("dims={{{}}}", fmt::join(a.dims, ",")); }
  std::string operator()(const DotAttr& a) const {
    return fmt::format("batch={{{}}}x{{{}}} contracting={{{}}}x{{{}}}", fmt::join(a.lhs_batch, ","),
                       fmt::join(a.rhs_batch, ","), fmt::join(a.lhs_contracting, ","),
                       fmt::join(a.rhs_contracting, ","));
  }
  static std::string Window(const std::vector<WindowDim>& window) {
    std::string out;
    for (const WindowDim& w : window) {
      out += fmt::format("{}size={} stride={} pad={}_{} dilation={}/{}{}", out.empty() ? "" : "; ", w.size, w.stride,
                         w.pad_low, w.pad_high, w.window_dilation, w.base_dilation, w.reversed ? " reversed" : "");
    }
    return "window={" + out + "}";
  }
  std::string operator()(const ConvolutionAttr& a) const {
    return fmt::format("lhs=b{}f{}s{} rhs=i{}o{}s{} out=b{}f{}s{} groups={}/{} {}", a.lhs_batch, a.lhs_feature,
                       fmt::join(a.lhs_spatial, "_"), a.rhs_input_feature, a.rhs_output_feature,
                       fmt::join(a.rhs_spatial, "_"), a.out_batch, a.out_feature, fmt::join(a.out_spatial, "_"),
                       a.feature_groups, a.batch_groups, Window(a.window));
  }
  std::string operator()(const WindowAttr& a) const { return Window(a.window); }
  std::string operator()(const GatherAttr& a) const {
    return fmt::format("offset={{{}}} collapsed={{{}}} map={{{}}} batching={{{}}}x{{{}}} sizes={{{}}} index_dim={}",
                       fmt::join(a.offset_dims, ","), fmt::join(a.collapsed_slice_dims, ","),
                       fmt::join(a.start_index_map, ","), fmt::join(a.operand_batching_dims, ","),
                       fmt::join(a.start_indices_batching_dims, ","), fmt::join(a.slice_sizes, ","),
                       a.index_vector_dim);
  }
  std::string operator()(const ScatterAttr& a) const {
    return fmt::format("window={{{}}} inserted={{{}}} map={{{}}} batching={{{}}}x{{{}}} index_dim={}",
                       fmt::join(a.update_window_dims, ","), fmt::join(a.inserted_window_dims, ","),
                       fmt::join(a.scatter_dims_to_operand_dims, ","), fmt::join(a.input_batching_dims, ","),
                       fmt::join(a.scatter_indices_batching_dims, ","), a.index_vector_dim);
  }
  std::string operator()(const SliceAttr& a) const {
    return fmt::format("start={{{}}} limit={{{}}} stride={{{}}}", fmt::join(a.start, ","), fmt::join(a.limit, ","),
                       fmt::join(a.stride, ","));
  }
  std::string operator()(const PadAttr& a) const {
    return fmt::format("low={{{}}} high={{{}}} interior={{{}}}", fmt::join(a.low, ","), fmt::join(a.high, ","),
                       fmt::join(a.interior, ","));
  }
  std::string operator()(const DynamicSliceAttr& a) const {
    return fmt::format("sizes={{{}}}", fmt::join(a.sizes, ","));
  }
  std::string operator()(const ConstantAttr& a) const {
    return a.splat ? fmt::format("value={}", a.value) : fmt::format("hash={:016x}", a.hash);
  }
  std::string operator()(const CustomCallAttr& a) const {
    return fmt::format("target={} side_effect={} config={}", a.target, a.has_side_effect, a.config);
  }
  std::string operator()(const TextAttr& a) const { return a.text; }
};

uint64_t Mix(uint64_t a, uint64_t b) {
  a ^= b + 0x9e3779b97f4a7c15ULL + (a << 6) + (a >> 2);
  a *= 0xff51afd7ed558ccdULL;
  return a ^ (a >> 33);
}

}  // namespace

std::vector<std::vector<OpId>> Users(const Module& module) {
  std::vector<std::vector<OpId>> users(module.values.size());
  for (size_t i = 0; i < module.ops.size(); ++i) {
    for (const ValueId v : module.ops[i].operands) {
      auto& list = users[static_cast<size_t>(v)];
      if (list.empty() || list.back() != static_cast<OpId>(i)) list.push_back(static_cast<OpId>(i));
    }
  }
  return users;
}

Status Verify(const Module& module) {
  auto broken = [&](const std::string& what) {
    return Error{Code::kInvalidInput, fmt::format("graph '{}': {}", module.name, what), ""};
  };
  const auto count = static_cast<ValueId>(module.values.size());
  std::vector<bool> defined(module.values.size(), false);
  std::unordered_set<std::string_view> names;
  size_t parameters = 0;
  for (size_t i = 0; i < module.ops.size(); ++i) {
    const Op& op = module.ops[i];
    if (!names.insert(op.name).second) return broken(fmt::format("two ops are named {}", op.name));
    for (const ValueId v : op.operands) {
      if (v < 0 || v >= count) return broken(fmt::format("{} reads value {} which does not exist", op.name, v));
      if (!defined[static_cast<size_t>(v)]) return broken(fmt::format("{} reads a value that comes later", op.name));
    }
    for (size_t r = 0; r < op.results.size(); ++r) {
      const ValueId v = op.results[r];
      if (v < 0 || v >= count) return broken(fmt::format("{} defines value {} which does not exist", op.name, v));
      const Value& value = module.value(v);
      if (value.producer != static_cast<OpId>(i) || value.index != static_cast<int32_t>(r) ||
          defined[static_cast<size_t>(v)]) {
        return broken(fmt::format("value {} is not defined once, by {}", v, op.name));
      }
      defined[static_cast<size_t>(v)] = true;
    }
    if (op.location < -1 || op.location >= static_cast<int32_t>(module.locations.size())) {
      return broken(fmt::format("{} has no such location", op.name));
    }
    if (op.kind == OpKind::kParameter) parameters += op.results.size();
    for (const Module& region : op.regions) ALPA_RETURN_IF_ERROR(Verify(region));
  }
  for (ValueId v = 0; v < count; ++v) {
    if (!defined[static_cast<size_t>(v)]) return broken(fmt::format("value {} is defined by no op", v));
    for (const int64_t extent : module.shape(v).dims) {
      if (extent < 0) return broken(fmt::format("value {} has an extent below 0", v));
    }
  }
  if (parameters != module.inputs.size()) return broken("inputs and parameters differ in number");
  if (module.input_names.size() != module.inputs.size()) return broken("inputs and their names differ in number");
  std::unordered_set<ValueId> inputs;
  for (const ValueId v : module.inputs) {
    if (v < 0 || v >= count || module.producer(v).kind != OpKind::kParameter) {
      return broken("an input is not a parameter");
    }
    if (!inputs.insert(v).second) return broken("an input occurs twice");
  }
  for (const ValueId v : module.outputs) {
    if (v < 0 || v >= count || !defined[static_cast<size_t>(v)]) return broken("an output is not defined");
  }
  for (const Alias& a : module.aliases) {
    if (a.input < 0 || a.input >= static_cast<int32_t>(module.inputs.size()) || a.output < 0 ||
        a.output >= static_cast<int32_t>(module.outputs.size())) {
      return broken("an alias names an input or output that does not exist");
    }
  }
  for (const int32_t i : module.donated_inputs) {
    if (i < 0 || i >= static_cast<int32_t>(module.inputs.size())) return broken("a donated input does not exist");
  }
  return Ok();
}

uint64_t Fingerprint(const Op& op) {
  uint64_t h = Mix(Fnv1a(Name(op.kind)), Fnv1a(std::visit(AttributeText{}, op.attributes)));
  // The text of a splat is its value as a double; 64-bit integers have more digits.
  if (const auto* constant = std::get_if<ConstantAttr>(&op.attributes)) h = Mix(h, constant->hash);
  for (const Module& region : op.regions) h = Mix(h, Fingerprint(region));
  return h;
}

uint64_t Fingerprint(const Module& module) {
  std::vector<uint64_t> hash(module.values.size(), 0);
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    hash[static_cast<size_t>(module.inputs[i])] = Mix(Fnv1a("input"), i);
  }
  for (const Op& op : module.ops) {
    if (op.kind == OpKind::kParameter) continue;
    uint64_t h = Fingerprint(op);
    for (const ValueId v : op.operands) h = Mix(h, hash[static_cast<size_t>(v)]);
    for (size_t r = 0; r < op.results.size(); ++r) {
      hash[static_cast<size_t>(op.results[r])] = Mix(Mix(h, r), Fnv1a(ToString(module.shape(op.results[r]))));
    }
  }
  uint64_t h = Fnv1a("module");
  for (const ValueId v : module.inputs) h = Mix(h, Fnv1a(ToString(module.shape(v))));
  for (const ValueId v : module.outputs) h = Mix(h, hash[static_cast<size_t>(v)]);
  uint64_t aliases = 0;  // a sum, since their order says nothing
  for (const Alias& a : module.aliases) {
    aliases += Mix(Mix(Fnv1a("alias"), static_cast<uint64_t>(a.output)), static_cast<uint64_t>(a.input));
  }
  return Mix(h, aliases);
}

OpKind CombinerOf(const Op& op) {
  ALPA_CHECK(!op.regions.empty(), op.name);
  // select-and-scatter has (select, scatter); what it adds up is in the second region.
  const Module& region = op.regions.back();
  if (region.inputs.size() != 2 || region.outputs.size() != 1) return OpKind::kCustomCall;
  const Op* only = nullptr;
  for (const Op& inner : region.ops) {
    if (inner.kind == OpKind::kParameter) continue;
    if (only != nullptr) return OpKind::kCustomCall;
    only = &inner;
  }
  const bool binary =
      only != nullptr && only->results == region.outputs &&
      std::is_permutation(only->operands.begin(), only->operands.end(), region.inputs.begin(), region.inputs.end());
  return binary ? only->kind : OpKind::kCustomCall;
}

Location LocationOf(const Module& module, const Op& op) {
  return op.location < 0 ? Location{} : module.locations[static_cast<size_t>(op.location)];
}

std::string Describe(const Module& module, const Op& op) {
  return fmt::format("{} '{}' at {}", Name(op.kind), op.name, ToString(LocationOf(module, op)));
}

std::string ToString(const Module& module) {
  std::string out = fmt::format("module {}\n", module.name);
  for (const Op& op : module.ops) {
    out += "  ";
    for (size_t r = 0; r < op.results.size(); ++r) {
      out += fmt::format("{}%{}: {}", r == 0 ? "" : ", ", op.results[r], ToString(module.shape(op.results[r])));
    }
    out += fmt::format(" = {}({}{})", Name(op.kind), op.operands.empty() ? "" : "%", fmt::join(op.operands, ", %"));
    const std::string attributes = std::visit(AttributeText{}, op.attributes);
    if (!attributes.empty()) out += " " + attributes;
    if (!op.regions.empty() && op.kind != OpKind::kWhile && op.kind != OpKind::kConditional) {
      out += fmt::format(" combiner={}", Name(CombinerOf(op)));
    }
    out += fmt::format("  // {}\n", op.name);
  }
  out += fmt::format("  return {}{}\n", module.outputs.empty() ? "" : "%", fmt::join(module.outputs, ", %"));
  return out;
}

}  // namespace alpa::ir
