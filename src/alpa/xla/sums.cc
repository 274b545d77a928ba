#include "alpa/xla/sums.h"

#include <algorithm>

#include "alpa/xla/shardings.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {

using ::xla::HloComputation;
using ::xla::HloInstruction;
using ::xla::HloOpcode;

bool IsSum(const HloInstruction* i) {
  return i->opcode() == HloOpcode::kAllReduce && i->shape().IsArray() &&
         i->to_apply()->root_instruction()->opcode() == HloOpcode::kAdd;
}

std::optional<std::vector<int>> AxesOfCollective(const HloInstruction* i, const cluster::Mesh& mesh) {
  DeviceGroups groups;
  for (const auto& group : i->replica_groups()) {
    groups.emplace_back(group.replica_ids().begin(), group.replica_ids().end());
  }
  return AxesOfGroups(groups, mesh);
}

HloComputation* Addition(::xla::HloModule& module, const ::xla::Shape& shape) {
  const ::xla::Shape scalar = ::xla::ShapeUtil::MakeShape(shape.element_type(), {});
  HloComputation::Builder add("add");
  HloInstruction* a = add.AddInstruction(HloInstruction::CreateParameter(0, scalar, "a"));
  HloInstruction* b = add.AddInstruction(HloInstruction::CreateParameter(1, scalar, "b"));
  add.AddInstruction(HloInstruction::CreateBinary(scalar, HloOpcode::kAdd, a, b));
  return module.AddEmbeddedComputation(add.Build());
}

int64_t FreeChannel(const ::xla::HloModule& module) {
  int64_t last = 0;
  for (const auto* computation : module.computations()) {
    for (const HloInstruction* i : computation->instructions()) {
      const auto* channel = ::xla::DynCast<::xla::HloChannelInstruction>(i);
      if (channel != nullptr) last = std::max(last, channel->channel_id().value_or(0));
    }
  }
  return last + 1;
}

HloInstruction* SumOver(HloInstruction* value, HloComputation* adds, const std::vector<int>& axes,
                        const cluster::Mesh& mesh, int64_t channel) {
  return value->parent()->AddInstruction(HloInstruction::CreateAllReduce(
      value->shape(), {value}, adds, ::xla::CollectiveDeviceList(GroupsAlong(axes, mesh)),
      /*constrain_layout=*/false, channel, /*use_global_device_ids=*/true));
}

std::vector<HloInstruction*> LinearOperandsInPlace(HloInstruction* i) {
  if (!i->shape().IsArray() || i->shape().element_type() == ::xla::PRED) return {};
  switch (i->opcode()) {
    case HloOpcode::kAdd:
    case HloOpcode::kSubtract:
      return {i->mutable_operand(0), i->mutable_operand(1)};
    case HloOpcode::kConvert:
      if (!::xla::primitive_util::IsFloatingPointType(i->operand(0)->shape().element_type()) ||
          !::xla::primitive_util::IsFloatingPointType(i->shape().element_type())) {
        return {};
      }
      return {i->mutable_operand(0)};
    case HloOpcode::kNegate:
    case HloOpcode::kReshape:
    case HloOpcode::kTranspose:
    case HloOpcode::kCopy:
      return {i->mutable_operand(0)};
    default:
      return {};
  }
}

}  // namespace alpa::xla
