#include "alpa/frontend/loops.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace alpa::frontend {
namespace {

// The number that all elements of `v` have, looking through copies and conversions.
std::optional<double> ConstantValue(const ir::Module& module, ir::ValueId v) {
  const ir::Op* op = &module.producer(v);
  while (op->kind == ir::OpKind::kConvert || op->kind == ir::OpKind::kCopy) op = &module.producer(op->operands[0]);
  if (op->kind != ir::OpKind::kConstant) return std::nullopt;
  const auto* constant = std::get_if<ir::ConstantAttr>(&op->attributes);
  if (constant == nullptr || !constant->splat) return std::nullopt;
  return constant->value;
}

// Which input of the region `v` is, or -1.
int InputIndex(const ir::Module& region, ir::ValueId v) {
  while (region.producer(v).kind == ir::OpKind::kCopy) v = region.producer(v).operands[0];
  const auto it = std::find(region.inputs.begin(), region.inputs.end(), v);
  return it == region.inputs.end() ? -1 : static_cast<int>(it - region.inputs.begin());
}

struct Bound {
  int counter = -1;  // index among the carried values
  double limit = 0;
  bool inclusive = false;
};

// Reads `counter < limit` or `counter <= limit`.
std::optional<Bound> ReadCondition(const ir::Module& condition) {
  const ir::Op& compare = condition.producer(condition.outputs[0]);
  if (compare.kind != ir::OpKind::kCompare) return std::nullopt;
  const auto* text = std::get_if<ir::TextAttr>(&compare.attributes);
  if (text == nullptr) return std::nullopt;
  const bool less = text->text.find("direction=LT") != std::string::npos;
  const bool less_equal = text->text.find("direction=LE") != std::string::npos;
  const int counter = InputIndex(condition, compare.operands[0]);
  const auto limit = ConstantValue(condition, compare.operands[1]);
  if (!(less || less_equal) || counter < 0 || !limit.has_value()) return std::nullopt;
  return Bound{counter, *limit, less_equal};
}

// The constant by which the body raises the counter.
std::optional<double> ReadStep(const ir::Module& body, int counter) {
  const ir::Op& next = body.producer(body.outputs[static_cast<size_t>(counter)]);
  if (next.kind != ir::OpKind::kAdd) return std::nullopt;
  for (const size_t side : {size_t{0}, size_t{1}}) {
    if (InputIndex(body, next.operands[side]) == counter) return ConstantValue(body, next.operands[1 - side]);
  }
  return std::nullopt;
}

}  // namespace

LoopRegions RegionsOf(const ir::Module& module, const ir::Op& loop) {
  ALPA_CHECK(loop.kind == ir::OpKind::kWhile && loop.regions.size() == 2, loop.name);
  const ir::Module& first = loop.regions[0];
  const bool first_is_condition = first.outputs.size() == 1 && first.shape(first.outputs[0]).dims.empty() &&
                                  first.shape(first.outputs[0]).dtype == ir::DType::kPred;
  const bool first_may_be_body =
      first.outputs.size() == loop.results.size() && first.shape(first.outputs[0]) == module.shape(loop.results[0]);
  // Both hold only for a loop that carries nothing but one pred; then the order stated in op.h decides.
  if (first_is_condition || !first_may_be_body) return {&loop.regions[0], &loop.regions[1]};
  return {&loop.regions[1], &loop.regions[0]};
}

std::optional<int64_t> TripCount(const ir::Module& module, const ir::Op& loop) {
  const LoopRegions regions = RegionsOf(module, loop);
  const auto bound = ReadCondition(*regions.condition);
  if (!bound.has_value()) return std::nullopt;
  const auto start = ConstantValue(module, loop.operands[static_cast<size_t>(bound->counter)]);
  const auto step = ReadStep(*regions.body, bound->counter);
  if (!start.has_value() || !step.has_value() || *step <= 0) return std::nullopt;
  const double distance = bound->limit - *start;
  const double trips = bound->inclusive ? std::floor(distance / *step) + 1 : std::ceil(distance / *step);
  return static_cast<int64_t>(std::max(0.0, trips));
}

}  // namespace alpa::frontend
