#include "sharding/hlo_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace alpa::test {
namespace {

using ir::OpKind;
using List = std::vector<int64_t>;

std::string Braces(const List& list) { return fmt::format("{{{}}}", fmt::join(list, ",")); }

std::string ShapesText(const std::vector<ir::Shape>& shapes) {
  if (shapes.size() == 1) return ToString(shapes[0]);
  std::vector<std::string> texts;
  texts.reserve(shapes.size());
  for (const ir::Shape& shape : shapes) texts.push_back(ToString(shape));
  return fmt::format("({})", fmt::join(texts, ", "));
}

std::string WindowText(const std::vector<ir::WindowDim>& window) {
  if (window.empty()) return "";
  std::vector<std::string> size, stride, pad, lhs, rhs, reversal;
  for (const ir::WindowDim& w : window) {
    size.push_back(std::to_string(w.size));
    stride.push_back(std::to_string(w.stride));
    pad.push_back(fmt::format("{}_{}", w.pad_low, w.pad_high));
    lhs.push_back(std::to_string(w.base_dilation));
    rhs.push_back(std::to_string(w.window_dilation));
    reversal.push_back(w.reversed ? "1" : "0");
  }
  return fmt::format(", window={{size={} stride={} pad={} lhs_dilate={} rhs_dilate={} rhs_reversal={}}}",
                     fmt::join(size, "x"), fmt::join(stride, "x"), fmt::join(pad, "x"), fmt::join(lhs, "x"),
                     fmt::join(rhs, "x"), fmt::join(reversal, "x"));
}

// "b01f": the part that each dimension plays.
std::string Labels(int64_t first, char first_label, int64_t second, char second_label, const List& spatial) {
  std::string out(spatial.size() + 2, '?');
  out[static_cast<size_t>(first)] = first_label;
  out[static_cast<size_t>(second)] = second_label;
  for (size_t i = 0; i < spatial.size(); ++i) out[static_cast<size_t>(spatial[i])] = static_cast<char>('0' + i);
  return out;
}

// What follows the operands, without called computations.
struct AttributesText {
  OpKind kind;

  std::string operator()(const std::monostate&) const { return ""; }
  std::string operator()(const ir::DimsAttr& a) const {
    return kind == OpKind::kIota ? fmt::format(", iota_dimension={}", a.dims[0]) : ", dimensions=" + Braces(a.dims);
  }
  std::string operator()(const ir::DotAttr& a) const {
    return fmt::format(", lhs_batch_dims={}, rhs_batch_dims={}, lhs_contracting_dims={}, rhs_contracting_dims={}",
                       Braces(a.lhs_batch), Braces(a.rhs_batch), Braces(a.lhs_contracting), Braces(a.rhs_contracting));
  }
  std::string operator()(const ir::ConvolutionAttr& a) const {
    return fmt::format("{}, dim_labels={}_{}->{}, feature_group_count={}, batch_group_count={}", WindowText(a.window),
                       Labels(a.lhs_batch, 'b', a.lhs_feature, 'f', a.lhs_spatial),
                       Labels(a.rhs_input_feature, 'i', a.rhs_output_feature, 'o', a.rhs_spatial),
                       Labels(a.out_batch, 'b', a.out_feature, 'f', a.out_spatial), a.feature_groups, a.batch_groups);
  }
  std::string operator()(const ir::WindowAttr& a) const { return WindowText(a.window); }
  std::string operator()(const ir::GatherAttr& a) const {
    return fmt::format(
        ", offset_dims={}, collapsed_slice_dims={}, start_index_map={}, operand_batching_dims={}, "
        "start_indices_batching_dims={}, index_vector_dim={}, slice_sizes={}",
        Braces(a.offset_dims), Braces(a.collapsed_slice_dims), Braces(a.start_index_map),
        Braces(a.operand_batching_dims), Braces(a.start_indices_batching_dims), a.index_vector_dim,
        Braces(a.slice_sizes));
  }
  std::string operator()(const ir::ScatterAttr& a) const {
    return fmt::format(
        ", update_window_dims={}, inserted_window_dims={}, scatter_dims_to_operand_dims={}, input_batching_dims={}, "
        "scatter_indices_batching_dims={}, index_vector_dim={}",
        Braces(a.update_window_dims), Braces(a.inserted_window_dims), Braces(a.scatter_dims_to_operand_dims),
        Braces(a.input_batching_dims), Braces(a.scatter_indices_batching_dims), a.index_vector_dim);
  }
  std::string operator()(const ir::SliceAttr& a) const {
    std::vector<std::string> dims;
    for (size_t d = 0; d < a.start.size(); ++d) {
      dims.push_back(fmt::format("[{}:{}:{}]", a.start[d], a.limit[d], a.stride[d]));
    }
    return fmt::format(", slice={{{}}}", fmt::join(dims, ", "));
  }
  std::string operator()(const ir::PadAttr& a) const {
    std::vector<std::string> dims;
    for (size_t d = 0; d < a.low.size(); ++d) {
      dims.push_back(fmt::format("{}_{}_{}", a.low[d], a.high[d], a.interior[d]));
    }
    return fmt::format(", padding={}", fmt::join(dims, "x"));
  }
  std::string operator()(const ir::DynamicSliceAttr& a) const { return ", dynamic_slice_sizes=" + Braces(a.sizes); }
  std::string operator()(const ir::ConstantAttr& /*a*/) const { return ""; }
  std::string operator()(const ir::CustomCallAttr& a) const {
    return fmt::format(", custom_call_target=\"{}\"", a.target);
  }
  std::string operator()(const ir::TextAttr& a) const { return ", " + a.text; }
};

std::string OpText(const std::string& name, const ir::Op& op, const std::vector<std::string>& operands,
                   const std::vector<ir::Shape>& results, const std::string& called) {
  std::string inside = fmt::format("{}", fmt::join(operands, ", "));
  if (op.kind == OpKind::kConstant) inside = fmt::format("{}", std::get<ir::ConstantAttr>(op.attributes).value);
  return fmt::format("  {} = {} {}({}){}{}\n", name, ShapesText(results), Name(op.kind), inside,
                     std::visit(AttributesText{op.kind}, op.attributes), called);
}

std::string RegionText(const ir::Module& region, const std::string& name) {
  std::string out = name + " {\n";
  auto value_name = [&](ir::ValueId v) { return fmt::format("{}_{}", name, v); };
  int parameters = 0;
  for (const ir::Op& op : region.ops) {
    const std::string result = value_name(op.results[0]);
    const bool root = op.results[0] == region.outputs[0] && region.outputs.size() == 1;
    if (op.kind == OpKind::kParameter) {
      out += fmt::format("  {}{} = {} parameter({})\n", root ? "ROOT " : "", result,
                         ToString(region.shape(op.results[0])), parameters++);
      continue;
    }
    std::vector<std::string> operands;
    for (const ir::ValueId v : op.operands) operands.push_back(value_name(v));
    out += OpText((root ? "ROOT " : "") + result, op, operands, {region.shape(op.results[0])}, "");
  }
  if (region.outputs.size() > 1) {
    std::vector<std::string> names;
    std::vector<ir::Shape> shapes;
    for (const ir::ValueId v : region.outputs) names.push_back(value_name(v)), shapes.push_back(region.shape(v));
    out += fmt::format("  ROOT {}_all = {} tuple({})\n", name, ShapesText(shapes), fmt::join(names, ", "));
  }
  return out + "}\n\n";
}

}  // namespace

void HloText::Add(const ir::Op& op, const std::vector<ir::Shape>& operands, const std::vector<ir::Shape>& results) {
  std::vector<std::string> names;
  for (const ir::Shape& shape : operands) {
    names.push_back(fmt::format("p{}", parameters_));
    entry_ += fmt::format("  p{} = {} parameter({})\n", parameters_, ToString(shape), parameters_);
    ++parameters_;
  }
  std::string called;
  for (size_t r = 0; r < op.regions.size(); ++r) {
    const std::string region = fmt::format("region{}", regions_++);
    computations_ += RegionText(op.regions[r], region);
    const bool selects = op.kind == OpKind::kSelectAndScatter;
    called += fmt::format(", {}={}", !selects ? "to_apply" : r == 0 ? "select" : "scatter", region);
  }
  const std::string name = fmt::format("op{}", ops_++);
  if (op.kind == OpKind::kOptimizationBarrier) {  // takes one tuple
    entry_ += fmt::format("  {}_in = {} tuple({})\n", name, ShapesText(operands), fmt::join(names, ", "));
    names = {name + "_in"};
  }
  entry_ += OpText(name, op, names, results, called);
  for (size_t r = 0; r < results.size(); ++r) {
    output_shapes_.push_back(ToString(results[r]));
    if (results.size() == 1) {
      outputs_.push_back(name);
      continue;
    }
    outputs_.push_back(fmt::format("{}_{}", name, r));
    entry_ +=
        fmt::format("  {} = {} get-tuple-element({}), index={}\n", outputs_.back(), output_shapes_.back(), name, r);
  }
}

std::string HloText::Module() const {
  return fmt::format("HloModule ops\n\n{}ENTRY main {{\n{}  ROOT out = ({}) tuple({})\n}}\n", computations_, entry_,
                     fmt::join(output_shapes_, ", "), fmt::join(outputs_, ", "));
}

}  // namespace alpa::test
