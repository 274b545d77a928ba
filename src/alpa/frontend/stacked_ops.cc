#include "alpa/frontend/stacked_ops.h"

#include <algorithm>
#include <optional>

namespace alpa::frontend {
namespace {

using ir::OpKind;
using ir::ValueId;
using Dims = std::vector<int64_t>;

// Everything behind the first dimension.
Dims Rest(const Dims& dims) { return {dims.begin() + 1, dims.end()}; }

bool Starts(const Dims& dims, int64_t extent) { return !dims.empty() && dims[0] == extent; }

std::optional<double> ConstantOf(const ir::Module& module, ValueId v) {
  const auto* constant = std::get_if<ir::ConstantAttr>(&module.producer(v).attributes);
  if (constant == nullptr || !constant->splat) return std::nullopt;
  return constant->value;
}

StackedOp Mapped(const ir::Op& op, std::vector<char> carried) {
  ALPA_CHECK(carried.size() == op.operands.size());
  return {StackedUse::kMapped, std::move(carried), -1};
}

StackedOp ReadElementwise(const ir::Module& module, const ir::Op& op) {
  const Dims& dims = module.shape(op.results[0]).dims;
  std::vector<char> carried;
  for (const ValueId v : op.operands) carried.push_back(module.shape(v).dims == dims);
  return Mapped(op, std::move(carried));
}

// The place of a part written by a dynamic-update-slice or read by a dynamic-slice; nothing unless it is constant and
// the other dimensions start at 0.
std::optional<int64_t> ConstantPlace(const ir::Module& module, const ir::Op& op, size_t first_index) {
  for (size_t k = first_index + 1; k < op.operands.size(); ++k) {
    if (ConstantOf(module, op.operands[k]) != 0) return std::nullopt;
  }
  const auto place = ConstantOf(module, op.operands[first_index]);
  return place.has_value() ? std::optional<int64_t>(static_cast<int64_t>(*place)) : std::nullopt;
}

StackedOp ReadSlice(const ir::Module& module, const ir::Op& op, int64_t parts) {
  const auto& slice = std::get<ir::SliceAttr>(op.attributes);
  if (!Starts(module.shape(op.operands[0]).dims, parts) || slice.stride[0] != 1) return {};
  if (slice.start[0] == 0 && slice.limit[0] == parts) return Mapped(op, {1});
  if (slice.limit[0] == slice.start[0] + 1) return {StackedUse::kSlice, {}, slice.start[0]};
  return {};
}

StackedOp ReadDynamicSlice(const ir::Module& module, const ir::Op& op, int64_t parts) {
  const Dims& dims = module.shape(op.operands[0]).dims;
  const Dims& result = module.shape(op.results[0]).dims;
  const auto place = ConstantPlace(module, op, 1);
  if (!Starts(dims, parts) || !Starts(result, 1) || Rest(result) != Rest(dims) || !place.has_value()) return {};
  return {StackedUse::kSlice, {}, std::clamp(*place, int64_t{0}, parts - 1)};
}

StackedOp ReadUpdateSlice(const ir::Module& module, const ir::Op& op, int64_t parts) {
  const Dims& dims = module.shape(op.operands[0]).dims;
  const Dims& update = module.shape(op.operands[1]).dims;
  const auto place = ConstantPlace(module, op, 2);
  if (!Starts(dims, parts) || !Starts(update, 1) || Rest(update) != Rest(dims) || !place.has_value()) return {};
  return {StackedUse::kUpdated, {}, std::clamp(*place, int64_t{0}, parts - 1)};
}

StackedOp ReadPad(const ir::Module& module, const ir::Op& op, int64_t parts) {
  const auto& pad = std::get<ir::PadAttr>(op.attributes);
  if (pad.low[0] == 0 && pad.high[0] == 0 && pad.interior[0] == 0) return Mapped(op, {1, 0});
  auto only_first = [](const Dims& v) { return std::all_of(v.begin() + 1, v.end(), [](int64_t x) { return x == 0; }); };
  const bool one = module.shape(op.operands[0]).dims[0] == 1 && pad.low[0] >= 0 && pad.low[0] < parts;
  if (!one || !only_first(pad.low) || !only_first(pad.high) || !only_first(pad.interior)) return {};
  return {StackedUse::kPlaced, {}, pad.low[0]};
}

StackedOp ReadReduce(const ir::Module& module, const ir::Op& op, int64_t parts) {
  if (op.operands.size() != 2 || !Starts(module.shape(op.operands[0]).dims, parts)) return {};
  const auto& dims = std::get<ir::DimsAttr>(op.attributes).dims;
  if (std::find(dims.begin(), dims.end(), 0) == dims.end()) return Mapped(op, {1, 0});
  const auto start = ConstantOf(module, op.operands[1]);
  switch (ir::CombinerOf(op)) {
    case OpKind::kAdd:
      return start == 0 ? StackedOp{StackedUse::kReduced, {}, -1} : StackedOp{};
    case OpKind::kMaximum:
    case OpKind::kMinimum:
    case OpKind::kAnd:
    case OpKind::kOr:
      return {StackedUse::kReduced, {}, -1};
    default:
      return {};
  }
}

StackedOp ReadBroadcast(const ir::Module& module, const ir::Op& op) {
  const auto& mapping = std::get<ir::DimsAttr>(op.attributes).dims;
  const auto first = std::find(mapping.begin(), mapping.end(), 0);
  if (first == mapping.end()) return {StackedUse::kSpread, {}, -1};
  if (first != mapping.begin() || module.shape(op.operands[0]).dims[0] == 1) return {};
  return Mapped(op, {1});
}

StackedOp ReadConcatenate(const ir::Module& module, const ir::Op& op, int64_t parts) {
  if (std::get<ir::DimsAttr>(op.attributes).dims[0] != 0) {
    return Mapped(op, std::vector<char>(op.operands.size(), 1));
  }
  const bool one_each =
      std::all_of(op.operands.begin(), op.operands.end(), [&](ValueId v) { return Starts(module.shape(v).dims, 1); });
  return one_each && static_cast<int64_t>(op.operands.size()) == parts ? StackedOp{StackedUse::kStacked, {}, -1}
                                                                       : StackedOp{};
}

StackedOp ReadDot(const ir::Op& op) {
  const auto& dot = std::get<ir::DotAttr>(op.attributes);
  const bool batched = !dot.lhs_batch.empty() && dot.lhs_batch[0] == 0 && dot.rhs_batch[0] == 0;
  return batched ? Mapped(op, {1, 1}) : StackedOp{};
}

}  // namespace

StackedOp ReadStackedOp(const ir::Module& module, const ir::Op& op, int64_t parts) {
  if (op.results.size() != 1) return {};
  if (op.kind == OpKind::kReduce) return ReadReduce(module, op, parts);
  if (op.kind == OpKind::kSlice) return ReadSlice(module, op, parts);
  if (op.kind == OpKind::kDynamicSlice) return ReadDynamicSlice(module, op, parts);
  if (!Starts(module.shape(op.results[0]).dims, parts)) return {};
  if (ir::IsElementwise(op.kind) && op.kind != OpKind::kMap) return ReadElementwise(module, op);
  switch (op.kind) {
    case OpKind::kConstant:
      return ConstantOf(module, op.results[0]).has_value() ? StackedOp{StackedUse::kSpread, {}, -1} : StackedOp{};
    case OpKind::kBroadcast:
      return ReadBroadcast(module, op);
    case OpKind::kTranspose:
      return std::get<ir::DimsAttr>(op.attributes).dims[0] == 0 ? Mapped(op, {1}) : StackedOp{};
    case OpKind::kReshape:
      return Starts(module.shape(op.operands[0]).dims, parts) ? Mapped(op, {1}) : StackedOp{};
    case OpKind::kDynamicUpdateSlice:
      return ReadUpdateSlice(module, op, parts);
    case OpKind::kPad:
      return ReadPad(module, op, parts);
    case OpKind::kConcatenate:
      return ReadConcatenate(module, op, parts);
    case OpKind::kDot:
      return ReadDot(op);
    default:
      return {};
  }
}

ir::Attributes AttributesOfPart(const ir::Op& op) {
  ir::Attributes out = op.attributes;
  if (auto* slice = std::get_if<ir::SliceAttr>(&out)) {
    slice->start[0] = 0;
    slice->limit[0] = 1;
  }
  return out;
}

}  // namespace alpa::frontend
