#include "alpa/xla/build_ir.h"

#include <absl/strings/match.h>
#include <fmt/format.h>

#include <map>
#include <tuple>
#include <unordered_map>

#include "alpa/base/file.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

using ::xla::HloComputation;
using ::xla::HloInstruction;
using ::xla::HloOpcode;

template <typename List>
std::vector<int64_t> Ints(const List& list) {
  return {list.begin(), list.end()};
}

Result<ir::Shape> ToShape(const ::xla::Shape& shape) {
  ir::Shape out;
  const std::string name = ::xla::primitive_util::LowercasePrimitiveTypeName(shape.element_type());
  const auto type = ir::DTypeFromName(name);
  if (!type.has_value()) return Error{Code::kUnsupported, fmt::format("element type {} is not supported", name), ""};
  out.dtype = *type;
  if (shape.IsArray()) out.dims = Ints(shape.dimensions());
  return out;
}

std::vector<ir::WindowDim> ToWindow(const ::xla::Window& window) {
  std::vector<ir::WindowDim> out;
  for (const auto& d : window.dimensions()) {
    out.push_back({d.size(), d.stride(), d.padding_low(), d.padding_high(), d.window_dilation(), d.base_dilation(),
                   d.window_reversal()});
  }
  return out;
}

ir::DotAttr ToDot(const HloInstruction* i) {
  const auto& d = i->dot_dimension_numbers();
  return {Ints(d.lhs_batch_dimensions()), Ints(d.rhs_batch_dimensions()), Ints(d.lhs_contracting_dimensions()),
          Ints(d.rhs_contracting_dimensions())};
}

ir::ConvolutionAttr ToConvolution(const HloInstruction* i) {
  const auto& d = i->convolution_dimension_numbers();
  ir::ConvolutionAttr a;
  a.lhs_batch = d.input_batch_dimension();
  a.lhs_feature = d.input_feature_dimension();
  a.rhs_input_feature = d.kernel_input_feature_dimension();
  a.rhs_output_feature = d.kernel_output_feature_dimension();
  a.out_batch = d.output_batch_dimension();
  a.out_feature = d.output_feature_dimension();
  a.lhs_spatial = Ints(d.input_spatial_dimensions());
  a.rhs_spatial = Ints(d.kernel_spatial_dimensions());
  a.out_spatial = Ints(d.output_spatial_dimensions());
  a.window = ToWindow(i->window());
  a.feature_groups = i->feature_group_count();
  a.batch_groups = i->batch_group_count();
  return a;
}

ir::GatherAttr ToGather(const HloInstruction* i) {
  const auto& d = i->gather_dimension_numbers();
  return {Ints(d.offset_dims()),
          Ints(d.collapsed_slice_dims()),
          Ints(d.start_index_map()),
          Ints(d.operand_batching_dims()),
          Ints(d.start_indices_batching_dims()),
          Ints(i->gather_slice_sizes()),
          d.index_vector_dim()};
}

ir::ScatterAttr ToScatter(const HloInstruction* i) {
  const auto& d = i->scatter_dimension_numbers();
  return {
      Ints(d.update_window_dims()),  Ints(d.inserted_window_dims()),          Ints(d.scatter_dims_to_operand_dims()),
      Ints(d.input_batching_dims()), Ints(d.scatter_indices_batching_dims()), d.index_vector_dim()};
}

ir::PadAttr ToPad(const HloInstruction* i) {
  ir::PadAttr a;
  for (const auto& d : i->padding_config().dimensions()) {
    a.low.push_back(d.edge_padding_low());
    a.high.push_back(d.edge_padding_high());
    a.interior.push_back(d.interior_padding());
  }
  return a;
}

ir::ConstantAttr ToConstant(const ::xla::Literal& literal) {
  ir::ConstantAttr a;
  a.hash = Fnv1a({static_cast<const char*>(literal.untyped_data()), static_cast<size_t>(literal.size_bytes())});
  a.splat = literal.element_count() > 0 && literal.IsAllFirst();
  if (!a.splat) return a;
  const std::vector<int64_t> first(literal.shape().dimensions().size(), 0);
  if (const auto number = literal.GetAsDouble(first)) {
    a.value = *number;
  } else if (const auto integer = literal.GetIntegralAsS64(first)) {
    a.value = static_cast<double>(*integer);
  } else {
    a.splat = false;  // complex numbers are known by their hash
  }
  return a;
}

// What tells this op from others of its kind, as HLO prints it; called computations are regions and left out.
ir::Attributes OtherAttributes(const HloInstruction* i) {
  std::string text;
  for (const std::string& part : i->ExtraAttributesToString(::xla::HloPrintOptions::Canonical())) {
    const bool called = part.find("to_apply=") == 0 || part.find("calls=") == 0 || part.find("body=") == 0 ||
                        part.find("condition=") == 0 || part.find("select=") == 0 || part.find("scatter=") == 0 ||
                        part.find("computation") != std::string::npos || part.find("sharding=") == 0 ||
                        part.find("channel_id=") == 0;
    if (!called) text += (text.empty() ? "" : ", ") + part;
  }
  if (text.empty()) return {};
  return ir::TextAttr{text};
}

ir::Attributes ToAttributes(const HloInstruction* i) {
  switch (i->opcode()) {
    case HloOpcode::kBroadcast:
    case HloOpcode::kTranspose:
    case HloOpcode::kReduce:
    case HloOpcode::kReverse:
    case HloOpcode::kConcatenate:
    case HloOpcode::kSort:
      return ir::DimsAttr{Ints(i->dimensions())};
    case HloOpcode::kIota:
      return ir::DimsAttr{{::xla::Cast<::xla::HloIotaInstruction>(i)->iota_dimension()}};
    case HloOpcode::kDot:
      return ToDot(i);
    case HloOpcode::kConvolution:
      return ToConvolution(i);
    case HloOpcode::kGather:
      return ToGather(i);
    case HloOpcode::kScatter:
      return ToScatter(i);
    case HloOpcode::kReduceWindow:
    case HloOpcode::kSelectAndScatter:
      return ir::WindowAttr{ToWindow(i->window())};
    case HloOpcode::kSlice:
      return ir::SliceAttr{Ints(i->slice_starts()), Ints(i->slice_limits()), Ints(i->slice_strides())};
    case HloOpcode::kDynamicSlice:
      return ir::DynamicSliceAttr{Ints(i->dynamic_slice_sizes())};
    case HloOpcode::kPad:
      return ToPad(i);
    case HloOpcode::kConstant:
      return ToConstant(i->literal());
    case HloOpcode::kCustomCall:
      return ir::CustomCallAttr{i->custom_call_target(),
                                ::xla::Cast<::xla::HloCustomCallInstruction>(i)->custom_call_has_side_effect(),
                                i->raw_backend_config_string()};
    default:
      return OtherAttributes(i);
  }
}

// Builds one computation; locations are collected per module.
class Builder {
 public:
  Builder(const ::xla::HloModule& hlo, const std::string& source) : hlo_(hlo), source_(source) {}

  Result<ir::Module> Build(const HloComputation* computation) {
    out_ = ir::Module{};
    out_.name = computation->IsEntryComputation() ? hlo_.name() : std::string(computation->name());
    const bool entry = computation->IsEntryComputation();
    for (const HloInstruction* parameter : computation->parameter_instructions()) {
      if (entry && !parameter->shape().IsArray()) {
        return Error{Code::kUnsupported,
                     fmt::format("{}: input {} of the step is a {}: {}", source_, parameter->parameter_number(),
                                 parameter->shape().IsTuple() ? "tuple" : "token",
                                 ::xla::ShapeUtil::HumanString(parameter->shape())),
                     "inputs must be arrays; jax.export flattens tuples by itself"};
      }
      ALPA_RETURN_IF_ERROR(AddOp(parameter));
      for (const ir::ValueId v : leaves_.at(parameter)) out_.inputs.push_back(v);
      // A flattened tuple parameter is one op of several results; its inputs are those results.
    }
    for (const HloInstruction* i : computation->MakeInstructionPostOrder()) {
      if (leaves_.count(i) == 0) ALPA_RETURN_IF_ERROR(Add(i));
    }
    out_.outputs = leaves_.at(computation->root_instruction());
    NameInputs(computation);
    if (entry) AddAliases();
    return std::move(out_);
  }

 private:
  // An op that alpa cannot take, or the one that asked for it: a token is made for the sake of its user.
  Error UnknownOp(const HloInstruction* i) {
    while (i->opcode() == HloOpcode::kAfterAll && i->user_count() > 0) i = i->users()[0];
    return Unsupported(i, fmt::format("op {} is not supported", ::xla::HloOpcodeString(i->opcode())));
  }

  Error Unsupported(const HloInstruction* i, const std::string& what) {
    return {Code::kUnsupported,
            fmt::format("{}: {} ('{}' at {})", source_, what, i->name(), ir::ToString(ToLocation(i))), ""};
  }

  ir::Location ToLocation(const HloInstruction* i) const {
    const auto& metadata = i->metadata();
    ir::Location at;
    at.name = metadata.op_name();
    if (metadata.stack_frame_id() != 0) {
      const auto frame = hlo_.get_stack_frame(metadata.stack_frame_id());
      at.file = frame.file_name;
      at.line = frame.line;
      at.function = frame.function_name;
    }
    if (at.file.empty()) {
      at.file = metadata.source_file();
      at.line = metadata.source_line();
    }
    if (at.file == "-" || at.file == "<stdin>") at.file = source_;  // a line of the text itself
    return at;
  }

  int32_t AddLocation(const HloInstruction* i) {
    ir::Location at = ToLocation(i);
    if (at == ir::Location{}) return -1;
    const auto key = std::make_tuple(at.name, at.file, at.line, at.function);
    const auto [it, added] = locations_.emplace(key, static_cast<int32_t>(out_.locations.size()));
    if (added) out_.locations.push_back(std::move(at));
    return it->second;
  }

  Status Add(const HloInstruction* i) {
    if (i->opcode() == HloOpcode::kTuple) {
      std::vector<ir::ValueId>& list = leaves_[i];
      for (const HloInstruction* operand : i->operands()) {
        const auto& part = leaves_.at(operand);
        list.insert(list.end(), part.begin(), part.end());
      }
      return Ok();
    }
    if (i->opcode() == HloOpcode::kGetTupleElement) {
      const ::xla::Shape& whole = i->operand(0)->shape();
      size_t first = 0;
      for (int64_t e = 0; e < i->tuple_index(); ++e) {
        first += static_cast<size_t>(::xla::ShapeUtil::GetLeafCount(whole.tuple_shapes(e)));
      }
      const auto count = static_cast<size_t>(::xla::ShapeUtil::GetLeafCount(i->shape()));
      const auto& list = leaves_.at(i->operand(0));
      leaves_[i] = {list.begin() + static_cast<std::ptrdiff_t>(first),
                    list.begin() + static_cast<std::ptrdiff_t>(first + count)};
      return Ok();
    }
    return AddOp(i);
  }

  Status AddOp(const HloInstruction* i) {
    ir::Op op;
    const std::string opcode(::xla::HloOpcodeString(i->opcode()));
    if (!ir::OpKindFromName(opcode, &op.kind)) return UnknownOp(i);
    op.name = i->name();
    op.attributes = ToAttributes(i);
    op.location = AddLocation(i);
    for (const HloInstruction* operand : i->operands()) {
      const auto& list = leaves_.at(operand);
      op.operands.insert(op.operands.end(), list.begin(), list.end());
    }
    for (const HloComputation* called : i->called_computations()) {
      ALPA_TRY(ir::Module region, Builder(hlo_, source_).Build(called));
      op.regions.push_back(std::move(region));
    }
    std::vector<ir::ValueId>& results = leaves_[i];
    const auto id = static_cast<ir::OpId>(out_.ops.size());
    for (const auto& leaf : ::xla::ShapeUtil::GetLeafShapes(i->shape())) {
      auto shape = ToShape(leaf.shape);
      if (!shape.ok()) return Unsupported(i, shape.error().message);
      const auto value = static_cast<ir::ValueId>(out_.values.size());
      out_.values.push_back({std::move(shape).value(), id, static_cast<int32_t>(op.results.size())});
      op.results.push_back(value);
      results.push_back(value);
    }
    out_.ops.push_back(std::move(op));
    return Ok();
  }

  // JAX names its arguments in the debug information of the parameters: "params['h'][0]['w']".
  void NameInputs(const HloComputation* computation) {
    for (const HloInstruction* parameter : computation->parameter_instructions()) {
      const size_t n = leaves_.at(parameter).size();
      for (size_t leaf = 0; leaf < n; ++leaf) {
        out_.input_names.push_back(n == 1 ? std::string(parameter->metadata().op_name()) : "");
      }
    }
  }

  void AddAliases() {
    hlo_.input_output_alias_config().ForEachAlias(
        [&](const ::xla::ShapeIndex& output, const ::xla::HloInputOutputAliasConfig::Alias& alias) {
          // Outputs are the leaves of the result, in order.
          int64_t o = 0;
          const ::xla::Shape* at = &hlo_.entry_computation()->root_instruction()->shape();
          for (const int64_t step : output) {
            for (int64_t e = 0; e < step; ++e) o += ::xla::ShapeUtil::GetLeafCount(at->tuple_shapes(e));
            at = &at->tuple_shapes(step);
          }
          out_.aliases.push_back({static_cast<int32_t>(o), static_cast<int32_t>(alias.parameter_number)});
        });
    for (const auto& donor : hlo_.buffer_donor_config().buffer_donor()) {
      out_.donated_inputs.push_back(static_cast<int32_t>(donor.param_number));
    }
  }

  const ::xla::HloModule& hlo_;
  const std::string& source_;
  ir::Module out_;
  std::unordered_map<const HloInstruction*, std::vector<ir::ValueId>> leaves_;
  std::map<std::tuple<std::string, std::string, int, std::string>, int32_t> locations_;
};

}  // namespace

Result<ir::Module> BuildIr(const ::xla::HloModule& module, const std::string& source) {
  return Builder(module, source).Build(module.entry_computation());
}

}  // namespace alpa::xla
