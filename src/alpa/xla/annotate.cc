#include "alpa/xla/annotate.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "alpa/sharding/reshard.h"
#include "alpa/sharding/rule.h"
#include "alpa/xla/shardings.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

using sharding::Spec;
using ::xla::HloInstruction;
using ::xla::HloOpcode;

int Rank(const HloInstruction* i) { return static_cast<int>(i->shape().dimensions().size()); }

ir::Shape ToIrShape(const ::xla::Shape& shape) {
  const auto type = ir::DTypeFromName(::xla::primitive_util::LowercasePrimitiveTypeName(shape.element_type()));
  ALPA_CHECK(type.has_value());
  return {*type, {shape.dimensions().begin(), shape.dimensions().end()}};
}

// Ops that may be repeated in any layout when their operands are constants.
bool IsRepeatable(const HloInstruction* i) {
  return i->shape().IsArray() && !i->HasSideEffect() &&
         (i->IsElementwise() || i->opcode() == HloOpcode::kBroadcast || i->opcode() == HloOpcode::kReshape ||
          i->opcode() == HloOpcode::kTranspose || i->opcode() == HloOpcode::kSlice || i->opcode() == HloOpcode::kPad ||
          i->opcode() == HloOpcode::kConcatenate || i->opcode() == HloOpcode::kReverse);
}

class Annotator {
 public:
  Annotator(::xla::HloModule& hlo, const ir::Module& module, const plan::Plan& plan)
      : module_(module), plan_(plan), mesh_(plan.mesh), entry_(hlo.entry_computation()) {
    for (const ir::Op& op : module.ops) ops_[op.name] = &op;
  }

  void Run() {
    const std::vector<HloInstruction*> instructions = entry_->MakeInstructionPostOrder();
    for (HloInstruction* i : instructions) FindConstant(i);
    for (HloInstruction* i : instructions) Place(i);
    for (HloInstruction* i : instructions) Join(i);
    for (HloInstruction* i : instructions) {
      if (const auto it = plan_.operands.find(std::string(i->name())); it != plan_.operands.end()) {
        BringOperands(i, it->second);
      }
    }
    PlaceOutputs();
  }

 private:
  // ---- what every device can make by itself

  // Masks, positions and the like: what depends on no input.
  void FindConstant(HloInstruction* i) {
    const bool leaf = i->opcode() == HloOpcode::kConstant || i->opcode() == HloOpcode::kIota;
    const bool repeated = IsRepeatable(i) && i->operand_count() > 0 &&
                          std::all_of(i->operands().begin(), i->operands().end(),
                                      [&](const HloInstruction* o) { return constant_.count(o) > 0; });
    if (leaf || repeated) constant_.insert(i);
  }

  // So that no other device has to send it: constants, and scalars spread over an array.
  bool IsCheap(const HloInstruction* i) const {
    if (constant_.count(i) > 0) return true;
    return i->opcode() == HloOpcode::kBroadcast && ::xla::ShapeUtil::IsScalar(i->operand(0)->shape());
  }

  // The same constant, of which each device makes the part that `spec` gives it.
  HloInstruction* Remake(HloInstruction* value, const Spec& spec) {
    HloInstruction* made = entry_->AddInstruction(value->Clone("laid"));
    if (value->IsElementwise() && constant_.count(value) > 0) {
      for (int64_t o = 0; o < made->operand_count(); ++o) {
        if (Rank(made->operand(o)) == Rank(made))
          CheckOk(made->ReplaceOperandWith(o, Step(made->mutable_operand(o), spec)));
      }
    }
    return made;
  }

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
    } else if (constant_.count(i) > 0 && !plan_.ops.empty()) {
      // Whole on each device, lest propagation splits it and then gathers it for others; who wants a part makes it
      // anew.
      SetSpec(i, {});
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

  // ---- partial results

  // Ops whose operands are split along what they sum over leave partial results. The partitioner joins them with an
  // all-reduce; where the plan wants a part of the sum on each device, the op itself is placed as it is behind that
  // all-reduce, and a copy takes the part (reduce_scatter.h makes one of the two).
  void Join(HloInstruction* i) {
    const auto op = ops_.find(i->name());
    if (op == ops_.end() || specs_.count(i) == 0 || i->opcode() == HloOpcode::kParameter) return;
    const auto left = LeftBy(*op->second);
    if (!left.has_value()) return;
    const Spec wanted = specs_.at(i);
    const std::vector<HloInstruction*> users(i->users().begin(), i->users().end());
    SetSpec(i, left->spec);
    HloInstruction* joined = Follow(i, sharding::Reshard(*left, wanted, ToIrShape(i->shape()), mesh_));
    if (joined == i) return;
    for (HloInstruction* user : users) CheckOk(i->ReplaceUseWith(user, joined));
    if (entry_->root_instruction() == i) entry_->set_root_instruction(joined);
  }

  // The layout in which `op` leaves its result, by its rule and the layouts of its operands; nothing when that is not
  // partial, or when the operands do not go together (the partitioner then finds a way of its own).
  std::optional<sharding::Layout> LeftBy(const ir::Op& op) const {
    if (op.results.size() != 1) return std::nullopt;
    const sharding::Rule rule = sharding::RuleOf(module_, op);
    std::vector<int> factor_of_axis(mesh_.shape.size(), -1);
    for (size_t o = 0; o < op.operands.size(); ++o) {
      const Spec* spec = NeededIn(op, o);
      if (spec == nullptr || spec->dims.empty()) continue;
      for (size_t d = 0; d < spec->dims.size(); ++d) {
        if (!Assign(spec->dims[d], rule.operands[o][d], rule, factor_of_axis)) return std::nullopt;
      }
    }
    return LayoutOf(rule, factor_of_axis);
  }

  // Puts the axes of one dimension on its factors, major first. False when an axis is on another factor already, or
  // more devices than the factors have room for.
  bool Assign(const std::vector<int>& axes, const std::vector<int>& factors, const sharding::Rule& rule,
              std::vector<int>& factor_of_axis) const {
    size_t f = 0;
    int64_t parts = 1;
    for (const int axis : axes) {
      const int64_t extent = mesh_.shape[static_cast<size_t>(axis)];
      if (extent == 1) continue;
      while (f < factors.size() && parts == rule.factors[static_cast<size_t>(factors[f])].size) {
        parts = 1;
        ++f;
      }
      if (f == factors.size()) return false;
      parts *= extent;
      int& of = factor_of_axis[static_cast<size_t>(axis)];
      if (of >= 0 && of != factors[f]) return false;
      of = factors[f];
    }
    return true;
  }

  std::optional<sharding::Layout> LayoutOf(const sharding::Rule& rule, const std::vector<int>& factor_of_axis) const {
    sharding::Layout layout;
    for (const auto& factors : rule.results[0]) {
      auto& axes = layout.spec.dims.emplace_back();
      for (const int f : factors) {
        for (size_t a = 0; a < factor_of_axis.size(); ++a) {
          if (factor_of_axis[a] == f) axes.push_back(static_cast<int>(a));
        }
      }
    }
    for (size_t a = 0; a < factor_of_axis.size(); ++a) {
      if (factor_of_axis[a] < 0) continue;
      const sharding::Factor& factor = rule.factors[static_cast<size_t>(factor_of_axis[a])];
      if (factor.kind != sharding::FactorKind::kContracted || factor.combiner == sharding::Combiner::kOther) continue;
      layout.partial.push_back(static_cast<int>(a));
      layout.combiner = factor.combiner;
    }
    if (layout.partial.empty()) return std::nullopt;
    return layout;
  }

  // The layout in which `op` reads operand `o`; null when the plan does not say.
  const Spec* NeededIn(const ir::Op& op, size_t o) const {
    if (const auto it = plan_.operands.find(op.name); it != plan_.operands.end() && it->second[o].has_value()) {
      return &*it->second[o];
    }
    const ir::Value& value = module_.value(op.operands[o]);
    const ir::Op& producer = module_.op(value.producer);
    if (producer.kind == ir::OpKind::kParameter) {
      const auto at = std::find(module_.inputs.begin(), module_.inputs.end(), op.operands[o]);
      return at == module_.inputs.end() ? nullptr : &plan_.inputs[static_cast<size_t>(at - module_.inputs.begin())];
    }
    return Named(plan::ResultName(producer, static_cast<size_t>(value.index)));
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
    if (known == specs_.end() || IsCheap(value)) return Step(value, spec);
    const sharding::Layout from{known->second, {}, sharding::Combiner::kSum};
    return Follow(value, sharding::Reshard(from, spec, ToIrShape(value->shape()), mesh_));
  }

  // `value` behind `steps`. An all-reduce belongs to the op itself, which has its layout already.
  HloInstruction* Follow(HloInstruction* value, const std::vector<sharding::ReshardStep>& steps) {
    for (const sharding::ReshardStep& step : steps) {
      const bool sum = !step.collectives.empty() && step.collectives[0].kind == sharding::CollectiveKind::kAllReduce;
      if (!sum) value = Step(value, step.spec);
    }
    return value;
  }

  // `value` brought into `spec` by one instruction, which all who ask for the same share.
  HloInstruction* Step(HloInstruction* value, const Spec& spec) {
    HloInstruction*& out = steps_[{value, sharding::ToString(spec, mesh_)}];
    if (out == nullptr) {
      out = IsCheap(value)
                ? Remake(value, spec)
                : entry_->AddInstruction(HloInstruction::CreateUnary(value->shape(), HloOpcode::kCopy, value));
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

  const ir::Module& module_;
  const plan::Plan& plan_;
  const cluster::Mesh& mesh_;
  ::xla::HloComputation* entry_;
  std::unordered_map<std::string_view, const ir::Op*> ops_;
  std::unordered_set<const HloInstruction*> constant_;
  std::unordered_map<const HloInstruction*, Spec> specs_;
  std::map<std::pair<const HloInstruction*, std::string>, HloInstruction*> steps_;
};

}  // namespace

void Annotate(::xla::HloModule& hlo, const ir::Module& module, const plan::Plan& plan) {
  Annotator(hlo, module, plan).Run();
}

}  // namespace alpa::xla
