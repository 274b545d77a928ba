#include "alpa/xla/annotate.h"

#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "alpa/xla/shardings.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

using sharding::Spec;
using ::xla::HloInstruction;
using ::xla::HloOpcode;

int Rank(const HloInstruction* i) { return static_cast<int>(i->shape().dimensions().size()); }

// Every device can make the whole or any part of it by itself, so no other has to send it.
bool IsCheap(const HloInstruction* i) {
  if (i->opcode() == HloOpcode::kConstant || i->opcode() == HloOpcode::kIota) return true;
  return i->opcode() == HloOpcode::kBroadcast && ::xla::ShapeUtil::IsScalar(i->operand(0)->shape());
}

class Annotator {
 public:
  Annotator(::xla::HloModule& hlo, const plan::Plan& plan)
      : plan_(plan), mesh_(plan.mesh), entry_(hlo.entry_computation()) {}

  void Run() {
    const std::vector<HloInstruction*> instructions = entry_->MakeInstructionPostOrder();
    for (HloInstruction* i : instructions) Place(i);
    for (HloInstruction* i : instructions) {
      if (const auto it = plan_.operands.find(std::string(i->name())); it != plan_.operands.end()) {
        BringOperands(i, it->second);
      }
    }
    PlaceOutputs();
  }

 private:
  // ---- where results lie

  void Place(HloInstruction* i) {
    if (i->opcode() == HloOpcode::kParameter && i->shape().IsArray()) {
      SetSpec(i, plan_.inputs[static_cast<size_t>(i->parameter_number())]);
    } else if (i->opcode() == HloOpcode::kGetTupleElement) {
      const std::string name = std::string(i->operand(0)->name()) + "#" + std::to_string(i->tuple_index());
      if (const Spec* spec = Named(name); spec != nullptr) SetSpec(i, *spec);
    } else if (i->shape().IsTuple()) {
      PlaceResults(i);
    } else if (const Spec* spec = Named(std::string(i->name())); spec != nullptr) {
      SetSpec(i, *spec);
    }
  }

  // An op with several results has one sharding for all of them: it is given only where the plan names each.
  void PlaceResults(HloInstruction* i) {
    std::vector<::xla::HloSharding> shardings;
    for (int k = 0; k < static_cast<int>(i->shape().tuple_shapes().size()); ++k) {
      const Spec* spec = Named(std::string(i->name()) + "#" + std::to_string(k));
      if (spec == nullptr || !i->shape().tuple_shapes(k).IsArray()) return;
      const auto rank = static_cast<int>(i->shape().tuple_shapes(k).dimensions().size());
      shardings.push_back(ToHloSharding(*spec, rank, mesh_));
    }
    if (!shardings.empty()) i->set_sharding(::xla::HloSharding::FlatTuple(std::move(shardings)));
  }

  const Spec* Named(const std::string& name) const {
    const auto it = plan_.ops.find(name);
    return it == plan_.ops.end() ? nullptr : &it->second;
  }

  void SetSpec(HloInstruction* i, const Spec& spec) {
    i->set_sharding(ToHloSharding(spec, Rank(i), mesh_));
    specs_[i] = spec;
  }

  // ---- where operands are needed

  // `wanted` counts as the graph does: a tuple stands for its elements.
  void BringOperands(HloInstruction* i, const std::vector<std::optional<Spec>>& wanted) {
    size_t next = 0;
    for (int64_t o = 0; o < i->operand_count(); ++o) {
      HloInstruction* operand = i->mutable_operand(o);
      if (operand->shape().IsArray()) {
        if (const auto& spec = wanted[next++]; spec.has_value()) CheckOk(i->ReplaceOperandWith(o, In(operand, *spec)));
        continue;
      }
      const auto leaves = static_cast<size_t>(::xla::ShapeUtil::GetLeafCount(operand->shape()));
      if (operand->opcode() == HloOpcode::kTuple && leaves == static_cast<size_t>(operand->operand_count())) {
        std::vector<HloInstruction*> elements;
        for (size_t e = 0; e < leaves; ++e) {
          HloInstruction* element = operand->mutable_operand(static_cast<int64_t>(e));
          const auto& spec = wanted[next + e];
          elements.push_back(spec.has_value() ? In(element, *spec) : element);
        }
        CheckOk(i->ReplaceOperandWith(o, entry_->AddInstruction(HloInstruction::CreateTuple(elements))));
      }
      next += leaves;
    }
  }

  // `value` in the layout `spec`: itself, made anew, or copied step by step.
  HloInstruction* In(HloInstruction* value, const Spec& spec) {
    const auto known = specs_.find(value);
    if (known != specs_.end() && known->second == spec) return value;
    if (known != specs_.end() && SameLayout(known->second, spec, Rank(value), mesh_)) return value;
    return Step(value, spec);
  }

  // `value` brought into `spec` by one instruction, which all who ask for the same share.
  HloInstruction* Step(HloInstruction* value, const Spec& spec) {
    HloInstruction*& out = steps_[{value, sharding::ToString(spec, mesh_)}];
    if (out == nullptr) {
      out = entry_->AddInstruction(
          IsCheap(value) ? value->Clone("laid") : HloInstruction::CreateUnary(value->shape(), HloOpcode::kCopy, value));
      SetSpec(out, spec);
    }
    return out;
  }

  // ---- outputs

  void PlaceOutputs() {
    HloInstruction* root = entry_->root_instruction();
    if (root->shape().IsArray()) {
      HloInstruction* placed = In(root, plan_.outputs[0]);
      if (placed != root) entry_->set_root_instruction(placed);
      return;
    }
    std::vector<::xla::HloSharding> shardings;
    for (const auto& leaf : ::xla::ShapeUtil::GetLeafShapes(root->shape())) {
      const auto rank = static_cast<int>(leaf.shape.dimensions().size());
      shardings.push_back(ToHloSharding(plan_.outputs[shardings.size()], rank, mesh_));
    }
    if (root->opcode() == HloOpcode::kTuple && static_cast<size_t>(root->operand_count()) == shardings.size()) {
      for (int64_t o = 0; o < root->operand_count(); ++o) {
        const Spec& spec = plan_.outputs[static_cast<size_t>(o)];
        if (specs_.count(root->operand(o)) == 0) continue;  // pinned by the root itself
        CheckOk(root->ReplaceOperandWith(o, In(root->mutable_operand(o), spec)));
      }
    }
    root->set_sharding(::xla::HloSharding::FlatTuple(std::move(shardings)));
  }

  static void CheckOk(const absl::Status& status) { ALPA_CHECK(status.ok(), std::string(status.message())); }

  const plan::Plan& plan_;
  const cluster::Mesh& mesh_;
  ::xla::HloComputation* entry_;
  std::unordered_map<const HloInstruction*, Spec> specs_;
  std::map<std::pair<const HloInstruction*, std::string>, HloInstruction*> steps_;
};

}  // namespace

void Annotate(::xla::HloModule& hlo, const ir::Module& module, const plan::Plan& plan) {
  (void)module;
  Annotator(hlo, plan).Run();
}

}  // namespace alpa::xla
