// Rules of dot and convolution.
#include <algorithm>

#include "alpa/frontend/batch_rule.h"

namespace alpa::frontend::internal {
namespace {

bool Contains(const std::vector<int64_t>& list, int64_t x) {
  return std::find(list.begin(), list.end(), x) != list.end();
}

// Dimensions of one operand of a dot that are neither batch nor contracted follow, in order, in the result.
void AddFreeDims(OpRule& rule, size_t operand, const std::vector<int64_t>& batch,
                 const std::vector<int64_t>& contracting, size_t& next) {
  for (size_t d = 0; d < rule.operands[operand].size(); ++d) {
    if (Contains(batch, static_cast<int64_t>(d)) || Contains(contracting, static_cast<int64_t>(d))) continue;
    rule.operands[operand][d] = rule.results[0][next++] = AddFactor(rule);
  }
}

// A spatial dimension: untouched (window of one), contracted as a whole (window as long as the input), or mixed.
void AddSpatialDim(const ir::Module& module, const ir::Op& op, const ir::ConvolutionAttr& attr, size_t i,
                   OpRule& rule) {
  const ir::WindowDim& w = attr.window[i];
  const auto in = static_cast<size_t>(attr.lhs_spatial[i]);
  const auto kernel = static_cast<size_t>(attr.rhs_spatial[i]);
  const auto out = static_cast<size_t>(attr.out_spatial[i]);
  const bool plain = w.pad_low == 0 && w.pad_high == 0 && w.base_dilation == 1;
  if (plain && w.size == 1 && w.stride == 1) {
    rule.operands[0][in] = rule.results[0][out] = AddFactor(rule);
  } else if (plain && w.size == module.shape(op.operands[0]).dims[in] && w.window_dilation == 1 && !w.reversed) {
    rule.operands[0][in] = rule.operands[1][kernel] = AddFactor(rule, OpRule::Fate::kSummed);
  }
}

}  // namespace

OpRule DotRule(const ir::Module& module, const ir::Op& op) {
  OpRule rule = CrossedRule(module, op);
  rule.mixing = "pairs examples with one another";
  rule.linearity = OpRule::Linearity::kMulti;
  const auto& attr = std::get<ir::DotAttr>(op.attributes);
  size_t next = 0;
  for (size_t i = 0; i < attr.lhs_batch.size(); ++i) {
    const int f = AddFactor(rule);
    rule.operands[0][static_cast<size_t>(attr.lhs_batch[i])] = f;
    rule.operands[1][static_cast<size_t>(attr.rhs_batch[i])] = f;
    rule.results[0][next++] = f;
  }
  for (size_t i = 0; i < attr.lhs_contracting.size(); ++i) {
    const int f = AddFactor(rule, OpRule::Fate::kSummed);
    rule.operands[0][static_cast<size_t>(attr.lhs_contracting[i])] = f;
    rule.operands[1][static_cast<size_t>(attr.rhs_contracting[i])] = f;
  }
  AddFreeDims(rule, 0, attr.lhs_batch, attr.lhs_contracting, next);
  AddFreeDims(rule, 1, attr.rhs_batch, attr.rhs_contracting, next);
  return rule;
}

// Factors: example (lhs batch, result batch), input feature (summed; in the gradient of a kernel it is the examples
// that lie there), output feature. Groups tie lhs feature (or lhs batch) to output features, group by group.
OpRule ConvolutionRule(const ir::Module& module, const ir::Op& op) {
  OpRule rule = CrossedRule(module, op);
  rule.mixing = "convolves along the batch";
  rule.linearity = OpRule::Linearity::kMulti;
  const auto& attr = std::get<ir::ConvolutionAttr>(op.attributes);
  auto& lhs = rule.operands[0];
  auto& rhs = rule.operands[1];
  auto& out = rule.results[0];
  const auto lhs_batch = static_cast<size_t>(attr.lhs_batch);
  const auto lhs_feature = static_cast<size_t>(attr.lhs_feature);
  const auto rhs_out = static_cast<size_t>(attr.rhs_output_feature);
  const auto out_feature = static_cast<size_t>(attr.out_feature);
  if (attr.batch_groups == 1) lhs[lhs_batch] = out[static_cast<size_t>(attr.out_batch)] = AddFactor(rule);
  if (attr.feature_groups == 1) {
    lhs[lhs_feature] = rhs[static_cast<size_t>(attr.rhs_input_feature)] = AddFactor(rule, OpRule::Fate::kSummed);
  }
  const int64_t groups = attr.feature_groups * attr.batch_groups;
  rhs[rhs_out] = out[out_feature] = AddFactor(rule, OpRule::Fate::kKept, groups == 1 ? 0 : groups);
  if (attr.feature_groups > 1) lhs[lhs_feature] = rhs[rhs_out];
  if (attr.batch_groups > 1) lhs[lhs_batch] = rhs[rhs_out];
  for (size_t i = 0; i < attr.window.size(); ++i) AddSpatialDim(module, op, attr, i, rule);
  return rule;
}

}  // namespace alpa::frontend::internal
