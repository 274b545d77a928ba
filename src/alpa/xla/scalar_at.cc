#include "alpa/xla/scalar_at.h"

#include <algorithm>

#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

using ::xla::HloInstruction;
using ::xla::HloOpcode;

std::optional<int64_t> ElementOf(const ::xla::Literal& table, int64_t index) {
  if (table.shape().dimensions().size() > 1 || table.element_count() == 0) return std::nullopt;
  if (table.shape().dimensions().empty()) return table.GetIntegralAsS64({});
  return table.GetIntegralAsS64({std::clamp<int64_t>(index, 0, table.element_count() - 1)});
}

// A table with one entry for each partition, looked up.
std::optional<int64_t> LookUp(const HloInstruction* slice, int64_t partition) {
  const HloInstruction* table = slice->operand(0);
  if (table->opcode() != HloOpcode::kConstant || slice->operand_count() != 2) return std::nullopt;
  const auto index = ScalarAt(slice->operand(1), partition);
  return index.has_value() ? ElementOf(table->literal(), *index) : std::nullopt;
}

std::optional<int64_t> Binary(HloOpcode opcode, int64_t a, int64_t b) {
  switch (opcode) {
    case HloOpcode::kAdd:
      return a + b;
    case HloOpcode::kSubtract:
      return a - b;
    case HloOpcode::kMultiply:
      return a * b;
    case HloOpcode::kDivide:
      return b == 0 ? std::nullopt : std::optional<int64_t>(a / b);
    case HloOpcode::kRemainder:
      return b == 0 ? std::nullopt : std::optional<int64_t>(a % b);
    case HloOpcode::kMinimum:
      return std::min(a, b);
    case HloOpcode::kMaximum:
      return std::max(a, b);
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<int64_t> ScalarAt(const HloInstruction* i, int64_t partition) {
  const bool integer = i->shape().IsArray() && ::xla::primitive_util::IsIntegralType(i->shape().element_type());
  if (!integer || ::xla::ShapeUtil::ElementsIn(i->shape()) != 1) return std::nullopt;
  switch (i->opcode()) {
    case HloOpcode::kPartitionId:
      return partition;
    case HloOpcode::kConstant:
      return ElementOf(i->literal(), 0);
    case HloOpcode::kDynamicSlice:
      return LookUp(i, partition);
    case HloOpcode::kReshape:
    case HloOpcode::kBitcast:
    case HloOpcode::kCopy:
    case HloOpcode::kConvert:
      return ScalarAt(i->operand(0), partition);
    default:
      break;
  }
  if (i->operand_count() != 2) return std::nullopt;
  const auto a = ScalarAt(i->operand(0), partition);
  if (!a.has_value()) return std::nullopt;
  const auto b = ScalarAt(i->operand(1), partition);
  return b.has_value() ? Binary(i->opcode(), *a, *b) : std::nullopt;
}

}  // namespace alpa::xla
