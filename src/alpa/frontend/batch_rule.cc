#include "alpa/frontend/batch_rule.h"

#include <algorithm>

namespace alpa::frontend {
namespace internal {

OpRule CrossedRule(const ir::Module& module, const ir::Op& op) {
  OpRule rule;
  for (const ir::ValueId v : op.operands) rule.operands.emplace_back(module.shape(v).dims.size(), kCrossed);
  for (const ir::ValueId v : op.results) rule.results.emplace_back(module.shape(v).dims.size(), kCrossed);
  rule.data.assign(op.operands.size(), true);
  rule.base.assign(op.operands.size(), false);
  rule.mixing = "mixes examples";
  return rule;
}

int AddFactor(OpRule& rule, OpRule::Fate fate, int64_t max_parts) {
  rule.factors.push_back({fate, max_parts});
  return static_cast<int>(rule.factors.size()) - 1;
}

OpRule::Fate FateOfReduction(const ir::Module& module, const ir::Op& op) {
  const bool numbers = module.shape(op.results[0]).dtype != ir::DType::kPred;  // adding preds is an or
  return numbers && ir::CombinerOf(op) == ir::OpKind::kAdd ? OpRule::Fate::kSummed : OpRule::Fate::kFolded;
}

}  // namespace internal

namespace {

using internal::AddFactor;
using internal::CrossedRule;
using ir::OpKind;

// Whether a sum over the batch may pass through an elementwise op, and through which operands.
void SetElementwiseLinearity(const ir::Module& module, const ir::Op& op, OpRule& rule) {
  const ir::DType to = module.shape(op.results[0]).dtype;
  switch (op.kind) {
    case OpKind::kAdd:
    case OpKind::kSubtract:
      if (to != ir::DType::kPred) rule.linearity = OpRule::Linearity::kJoint;
      return;
    case OpKind::kNegate:
    case OpKind::kCopy:
    case OpKind::kReal:
    case OpKind::kImag:
    case OpKind::kComplex:
    case OpKind::kReducePrecision:
      rule.linearity = OpRule::Linearity::kJoint;
      return;
    case OpKind::kConvert: {
      const bool from_integer = ir::IsInteger(module.shape(op.operands[0]).dtype);
      const bool rounds = ir::IsInteger(to) ? !from_integer : to == ir::DType::kPred;
      if (!rounds) rule.linearity = OpRule::Linearity::kJoint;
      return;
    }
    case OpKind::kMultiply:
      if (to != ir::DType::kPred) rule.linearity = OpRule::Linearity::kMulti;
      return;
    case OpKind::kDivide:
      if (ir::IsInteger(to)) return;
      rule.linearity = OpRule::Linearity::kJoint;
      rule.data = {true, false};
      return;
    case OpKind::kSelect:
      rule.linearity = OpRule::Linearity::kJoint;
      rule.data = {false, true, true};
      return;
    default:
      return;
  }
}

// All operands and results share their dimensions, except scalars, and except what follows the last common dimension
// (bitcasts between types of different size).
OpRule SameDimsRule(const ir::Module& module, const ir::Op& op) {
  OpRule rule = CrossedRule(module, op);
  const auto& dims = module.shape(op.results[0]).dims;
  rule.mixing = "pairs examples with one another";
  for (size_t d = 0; d < dims.size(); ++d) {
    const int f = AddFactor(rule);
    auto assign = [&](ir::ValueId v, std::vector<int>& factors) {
      const auto& own = module.shape(v).dims;
      if (d < own.size() && own[d] == dims[d]) factors[d] = f;
    };
    for (size_t k = 0; k < op.operands.size(); ++k) assign(op.operands[k], rule.operands[k]);
    for (size_t r = 0; r < op.results.size(); ++r) assign(op.results[r], rule.results[r]);
  }
  return rule;
}

OpRule ElementwiseRule(const ir::Module& module, const ir::Op& op) {
  OpRule rule = SameDimsRule(module, op);
  SetElementwiseLinearity(module, op, rule);
  return rule;
}

// Operand 0 and result 0 share dimension d wherever keep(d); other operands are crossed.
template <typename Keep>
OpRule UnaryRule(const ir::Module& module, const ir::Op& op, const char* mixing, Keep keep) {
  OpRule rule = CrossedRule(module, op);
  rule.mixing = mixing;
  for (size_t d = 0; d < rule.operands[0].size(); ++d) {
    if (keep(d)) rule.operands[0][d] = rule.results[0][d] = AddFactor(rule);
  }
  rule.linearity = OpRule::Linearity::kJoint;
  return rule;
}

OpRule BroadcastRule(const ir::Module& module, const ir::Op& op) {
  OpRule rule = CrossedRule(module, op);
  for (int& f : rule.results[0]) f = AddFactor(rule);
  const auto& mapping = std::get<ir::DimsAttr>(op.attributes).dims;
  for (size_t d = 0; d < mapping.size(); ++d) rule.operands[0][d] = rule.results[0][static_cast<size_t>(mapping[d])];
  rule.linearity = OpRule::Linearity::kJoint;
  return rule;
}

OpRule TransposeRule(const ir::Module& module, const ir::Op& op) {
  OpRule rule = CrossedRule(module, op);
  const auto& permutation = std::get<ir::DimsAttr>(op.attributes).dims;
  for (size_t d = 0; d < permutation.size(); ++d) {
    rule.results[0][d] = rule.operands[0][static_cast<size_t>(permutation[d])] = AddFactor(rule);
  }
  rule.linearity = OpRule::Linearity::kJoint;
  return rule;
}

OpRule SliceRule(const ir::Module& module, const ir::Op& op) {
  const auto& attr = std::get<ir::SliceAttr>(op.attributes);
  const auto& dims = module.shape(op.operands[0]).dims;
  return UnaryRule(module, op, "takes only some of the examples",
                   [&](size_t d) { return attr.start[d] == 0 && attr.limit[d] == dims[d] && attr.stride[d] == 1; });
}

OpRule PadRule(const ir::Module& module, const ir::Op& op) {
  const auto& attr = std::get<ir::PadAttr>(op.attributes);
  return UnaryRule(module, op, "pads the batch",
                   [&](size_t d) { return attr.low[d] == 0 && attr.high[d] == 0 && attr.interior[d] == 0; });
}

OpRule ReverseRule(const ir::Module& module, const ir::Op& op) {
  const auto& reversed = std::get<ir::DimsAttr>(op.attributes).dims;
  return UnaryRule(module, op, "reverses the order of the examples", [&](size_t d) {
    return std::find(reversed.begin(), reversed.end(), static_cast<int64_t>(d)) == reversed.end();
  });
}

OpRule DynamicSliceRule(const ir::Module& module, const ir::Op& op) {
  const auto& dims = module.shape(op.operands[0]).dims;
  OpRule rule = UnaryRule(module, op, "takes only some of the examples", [&](size_t d) {
    return module.shape(op.results[0]).dims[d] == dims[d];  // then the start is 0, whatever it says
  });
  rule.data.assign(op.operands.size(), false);
  rule.data[0] = true;
  return rule;
}

OpRule DynamicUpdateSliceRule(const ir::Module& module, const ir::Op& op) {
  const auto& dims = module.shape(op.operands[0]).dims;
  OpRule rule = UnaryRule(module, op, "overwrites some of the examples",
                          [&](size_t d) { return module.shape(op.operands[1]).dims[d] == dims[d]; });
  rule.operands[1] = rule.operands[0];
  rule.data.assign(op.operands.size(), false);
  rule.data[0] = rule.data[1] = true;
  return rule;
}

OpRule ConcatenateRule(const ir::Module& module, const ir::Op& op) {
  const auto along = static_cast<size_t>(std::get<ir::DimsAttr>(op.attributes).dims[0]);
  OpRule rule = UnaryRule(module, op, "concatenates along the batch", [&](size_t d) { return d != along; });
  for (auto& operand : rule.operands) operand = rule.operands[0];
  return rule;
}

// Operands are n arrays and n scalars to start from.
OpRule ReduceRule(const ir::Module& module, const ir::Op& op) {
  OpRule rule = CrossedRule(module, op);
  const auto& reduced = std::get<ir::DimsAttr>(op.attributes).dims;
  const OpRule::Fate fate = internal::FateOfReduction(module, op);
  const size_t n = op.operands.size() / 2;
  size_t kept = 0;
  for (size_t d = 0; d < rule.operands[0].size(); ++d) {
    const bool is_reduced = std::find(reduced.begin(), reduced.end(), static_cast<int64_t>(d)) != reduced.end();
    const int f = AddFactor(rule, is_reduced ? fate : OpRule::Fate::kKept);
    for (size_t k = 0; k < n; ++k) rule.operands[k][d] = f;
    if (is_reduced) continue;
    for (auto& result : rule.results) result[kept] = f;
    ++kept;
  }
  for (size_t k = n; k < op.operands.size(); ++k) rule.base[k] = true;
  if (fate == OpRule::Fate::kSummed) rule.linearity = OpRule::Linearity::kJoint;
  return rule;
}

bool LeavesAlone(const ir::WindowDim& w) {
  return w.size == 1 && w.stride == 1 && w.pad_low == 0 && w.pad_high == 0 && w.base_dilation == 1;
}

OpRule ReduceWindowRule(const ir::Module& module, const ir::Op& op) {
  OpRule rule = CrossedRule(module, op);
  rule.mixing = "has a window that runs along the batch";
  const auto& window = std::get<ir::WindowAttr>(op.attributes).window;
  const auto& dims = module.shape(op.operands[0]).dims;
  const OpRule::Fate fate = internal::FateOfReduction(module, op);
  const size_t n = op.operands.size() / 2;
  for (size_t d = 0; d < window.size(); ++d) {
    const ir::WindowDim& w = window[d];
    const bool whole = w.size == dims[d] && w.pad_low == 0 && w.pad_high == 0 && w.window_dilation == 1;
    if (LeavesAlone(w)) {
      const int f = AddFactor(rule);
      for (size_t k = 0; k < n; ++k) rule.operands[k][d] = rule.results[k][d] = f;
    } else if (whole) {
      const int f = AddFactor(rule, fate);
      for (size_t k = 0; k < n; ++k) rule.operands[k][d] = f;
    }
  }
  for (size_t k = n; k < op.operands.size(); ++k) rule.base[k] = true;
  if (fate == OpRule::Fate::kSummed) rule.linearity = OpRule::Linearity::kJoint;
  return rule;
}

// Operands: array, source (one element per window), start; the result has the array's shape.
OpRule SelectAndScatterRule(const ir::Module& module, const ir::Op& op) {
  OpRule rule = CrossedRule(module, op);
  rule.mixing = "has a window that runs along the batch";
  const auto& window = std::get<ir::WindowAttr>(op.attributes).window;
  for (size_t d = 0; d < window.size(); ++d) {
    if (!LeavesAlone(window[d])) continue;
    rule.operands[0][d] = rule.operands[1][d] = rule.results[0][d] = AddFactor(rule);
  }
  if (internal::FateOfReduction(module, op) == OpRule::Fate::kSummed) rule.linearity = OpRule::Linearity::kJoint;
  rule.data = {false, true, true};
  return rule;
}

// Ops that work on the last `inner` dimensions, for each index of the leading ones; leading dimensions are shared by
// all operands and results that have them.
OpRule LeadingDimsRule(const ir::Module& module, const ir::Op& op, int inner, const char* mixing) {
  OpRule rule = CrossedRule(module, op);
  rule.mixing = mixing;
  const int rank = module.shape(op.operands[0]).rank();
  for (int d = 0; d < rank - inner; ++d) {
    const int f = AddFactor(rule);
    const auto at = static_cast<size_t>(d);
    for (auto& operand : rule.operands) {
      if (at < operand.size()) operand[at] = f;
    }
    for (auto& result : rule.results) {
      if (at < result.size()) result[at] = f;
    }
  }
  return rule;
}

OpRule SortRule(const ir::Module& module, const ir::Op& op) {
  OpRule rule = SameDimsRule(module, op);
  const auto along = static_cast<size_t>(std::get<ir::DimsAttr>(op.attributes).dims[0]);
  for (auto& operand : rule.operands) operand[along] = kCrossed;
  for (auto& result : rule.results) result[along] = kCrossed;
  rule.mixing = "sorts along the batch";
  return rule;
}

// The dimensions a transform runs over are as many as there are numbers in "fft_length={8,16}".
OpRule FftRule(const ir::Module& module, const ir::Op& op) {
  int inner = module.shape(op.operands[0]).rank();
  if (const auto* attr = std::get_if<ir::TextAttr>(&op.attributes)) {
    const size_t open = attr->text.find("fft_length={");
    if (open != std::string::npos) {
      const std::string lengths = attr->text.substr(open, attr->text.find('}', open) - open);
      inner = 1 + static_cast<int>(std::count(lengths.begin(), lengths.end(), ','));
    }
  }
  OpRule rule = LeadingDimsRule(module, op, inner, "transforms along the batch");
  rule.linearity = OpRule::Linearity::kJoint;
  return rule;
}

// Annotations pass their operand through; of LAPACK it is known that leading dimensions are independent.
OpRule CustomCallRule(const ir::Module& module, const ir::Op& op) {
  const std::string& target = std::get<ir::CustomCallAttr>(op.attributes).target;
  const bool same_shape =
      op.operands.size() == 1 && op.results.size() == 1 && module.shape(op.operands[0]) == module.shape(op.results[0]);
  if (same_shape && (target.find("Sharding") != std::string::npos || target.find("annotate") != std::string::npos)) {
    OpRule rule = SameDimsRule(module, op);
    rule.linearity = OpRule::Linearity::kJoint;
    return rule;
  }
  for (const char* prefix : {"lapack_", "Qr", "Eigh", "cusolver", "Cholesky"}) {
    if (target.rfind(prefix, 0) == 0) return LeadingDimsRule(module, op, 2, "decomposes along the batch");
  }
  if (target == "TopK" || target == "mhlo.topk") return LeadingDimsRule(module, op, 1, "sorts along the batch");
  OpRule rule = CrossedRule(module, op);
  rule.mixing = "does something to the batch that alpa cannot see (" + target + ")";
  return rule;
}

}  // namespace

OpRule RuleOf(const ir::Module& module, const ir::Op& op, const std::vector<ValueFacts>& facts) {
  if (ir::IsElementwise(op.kind)) return ElementwiseRule(module, op);
  switch (op.kind) {
    case OpKind::kBroadcast:
      return BroadcastRule(module, op);
    case OpKind::kTranspose:
      return TransposeRule(module, op);
    case OpKind::kSlice:
      return SliceRule(module, op);
    case OpKind::kPad:
      return PadRule(module, op);
    case OpKind::kReverse:
      return ReverseRule(module, op);
    case OpKind::kDynamicSlice:
      return DynamicSliceRule(module, op);
    case OpKind::kDynamicUpdateSlice:
      return DynamicUpdateSliceRule(module, op);
    case OpKind::kConcatenate:
      return ConcatenateRule(module, op);
    case OpKind::kGather:
      return internal::GatherRule(module, op, facts);
    case OpKind::kScatter:
      return internal::ScatterRule(module, op, facts);
    case OpKind::kDot:
      return internal::DotRule(module, op);
    case OpKind::kConvolution:
      return internal::ConvolutionRule(module, op);
    case OpKind::kReduce:
      return ReduceRule(module, op);
    case OpKind::kReduceWindow:
      return ReduceWindowRule(module, op);
    case OpKind::kSelectAndScatter:
      return SelectAndScatterRule(module, op);
    case OpKind::kSort:
      return SortRule(module, op);
    case OpKind::kTopK:
      return LeadingDimsRule(module, op, 1, "sorts along the batch");
    case OpKind::kFft:
      return FftRule(module, op);
    case OpKind::kCholesky:
      return LeadingDimsRule(module, op, 2, "decomposes along the batch");
    case OpKind::kTriangularSolve: {
      OpRule rule = LeadingDimsRule(module, op, 2, "solves along the batch");
      rule.linearity = OpRule::Linearity::kJoint;
      rule.data = {false, true};
      return rule;
    }
    case OpKind::kCustomCall:
      return CustomCallRule(module, op);
    case OpKind::kAllReduce: {
      OpRule rule = SameDimsRule(module, op);
      rule.linearity = OpRule::Linearity::kJoint;
      return rule;
    }
    case OpKind::kBatchNormInference:
      return UnaryRule(module, op, "normalizes over the batch", [](size_t) { return true; });
    case OpKind::kBatchNormTraining:
    case OpKind::kBatchNormGrad: {
      OpRule rule = CrossedRule(module, op);
      rule.mixing = "normalizes over the batch";
      return rule;
    }
    default:
      return CrossedRule(module, op);
  }
}

}  // namespace alpa::frontend
