// Rules of ops that work on some dimensions as a whole, for each index of the others.
#include <charconv>
#include <string>

#include "alpa/sharding/rule_families.h"

namespace alpa::sharding::internal {
namespace {

// Dimension d is shared by all operands and results that have it wherever keep(d).
template <typename Keep>
Rule SharedDimsRule(const ir::Module& module, const ir::Op& op, Keep keep) {
  Rule rule = WholeRule(module, op);
  const auto& dims = Dims(module, op.operands[0]);
  for (size_t d = 0; d < dims.size(); ++d) {
    if (!keep(d)) continue;
    const int f = AddFree(rule, dims[d]);
    auto share = [&](ir::ValueId v, Projection& array) {
      const auto& own = Dims(module, v);
      if (d < own.size() && own[d] == dims[d]) array[d] = {f};
    };
    for (size_t k = 0; k < op.operands.size(); ++k) share(op.operands[k], rule.operands[k]);
    for (size_t r = 0; r < op.results.size(); ++r) share(op.results[r], rule.results[r]);
  }
  return rule;
}

// All but the last `inner` dimensions.
Rule LeadingDimsRule(const ir::Module& module, const ir::Op& op, int inner) {
  const int rank = module.shape(op.operands[0]).rank();
  return SharedDimsRule(module, op, [&](size_t d) { return static_cast<int>(d) < rank - inner; });
}

std::string_view TextOf(const ir::Op& op) {
  const auto* attr = std::get_if<ir::TextAttr>(&op.attributes);
  return attr == nullptr ? std::string_view() : std::string_view(attr->text);
}

// The number behind `key` ("feature_index=") in the op's text, or -1.
int64_t NumberAfter(const ir::Op& op, std::string_view key) {
  const std::string_view text = TextOf(op);
  const size_t at = text.find(key);
  int64_t value = -1;
  if (at != std::string_view::npos) std::from_chars(text.data() + at + key.size(), text.data() + text.size(), value);
  return value;
}

}  // namespace

Rule SortRule(const ir::Module& module, const ir::Op& op) {
  const int64_t along = std::get<ir::DimsAttr>(op.attributes).dims[0];
  return SharedDimsRule(module, op, [&](size_t d) { return static_cast<int64_t>(d) != along; });
}

Rule TopKRule(const ir::Module& module, const ir::Op& op) { return LeadingDimsRule(module, op, 1); }

// The dimensions a transform runs over are as many as there are numbers in "fft_length={8,16}".
Rule FftRule(const ir::Module& module, const ir::Op& op) {
  int inner = module.shape(op.operands[0]).rank();
  const std::string_view text = TextOf(op);
  const size_t open = text.find("fft_length={");
  if (open != std::string_view::npos) {
    const std::string_view lengths = text.substr(open, text.find('}', open) - open);
    inner = 1 + static_cast<int>(std::count(lengths.begin(), lengths.end(), ','));
  }
  return LeadingDimsRule(module, op, inner);
}

Rule CholeskyRule(const ir::Module& module, const ir::Op& op) { return LeadingDimsRule(module, op, 2); }

Rule TriangularSolveRule(const ir::Module& module, const ir::Op& op) { return LeadingDimsRule(module, op, 2); }

// Each feature is normalised by itself; where statistics are given, each element is.
Rule BatchNormRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  const auto& dims = Dims(module, op.operands[0]);
  const int64_t feature = NumberAfter(op, "feature_index=");
  if (feature < 0 || feature >= static_cast<int64_t>(dims.size())) return rule;
  for (size_t d = 0; d < dims.size(); ++d) {
    const bool is_feature = static_cast<int64_t>(d) == feature;
    if (!is_feature && op.kind != ir::OpKind::kBatchNormInference) continue;
    const int f = AddFree(rule, dims[d]);
    auto share = [&](Projection& array) {
      if (array.size() == dims.size()) {
        array[d] = {f};
      } else if (is_feature && array.size() == 1) {
        array[0] = {f};
      }
    };
    for (auto& operand : rule.operands) share(operand);
    for (auto& result : rule.results) share(result);
  }
  return rule;
}

// Annotations pass their operand through; of top-k it is known that leading dimensions are independent.
Rule CustomCallRule(const ir::Module& module, const ir::Op& op) {
  const std::string& target = std::get<ir::CustomCallAttr>(op.attributes).target;
  const bool same_shape =
      op.operands.size() == 1 && op.results.size() == 1 && module.shape(op.operands[0]) == module.shape(op.results[0]);
  if (same_shape && (target == "Sharding" || target.rfind("annotate_", 0) == 0)) return LeadingDimsRule(module, op, 0);
  if (target == "TopK" || target == "mhlo.topk") return LeadingDimsRule(module, op, 1);
  return WholeRule(module, op);
}

}  // namespace alpa::sharding::internal
