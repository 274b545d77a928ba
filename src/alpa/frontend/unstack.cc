#include "alpa/frontend/unstack.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <utility>

#include "alpa/frontend/find_stacks.h"
#include "alpa/frontend/remove_dead.h"
#include "alpa/frontend/stacked_ops.h"

namespace alpa::frontend {
namespace {

using ir::OpId;
using ir::OpKind;
using ir::ValueId;

// Writes the new module.
class Rewriter {
 public:
  Rewriter(const ir::Module& module, const ir::StepSignature& signature, const std::vector<char>& split)
      : old_(module),
        signature_(signature),
        split_(split),
        whole_(module.values.size(), -1),
        parts_(module.values.size()) {}

  Unstacked Run() {
    out_.module.name = old_.name;
    out_.module.locations = old_.locations;
    AddInputs();
    for (const ir::Op& op : old_.ops) {
      if (op.kind == OpKind::kParameter) continue;
      if (op.results.size() == 1 && IsSplit(op.results[0])) {
        AddParts(op);
      } else if (!op.operands.empty() && IsSplit(op.operands[0])) {
        AddReader(op);
      } else {
        AddWhole(op);
      }
    }
    AddOutputs();
    MapAliases();
    return std::move(out_);
  }

 private:
  bool IsSplit(ValueId v) const { return split_[static_cast<size_t>(v)] != 0; }
  static std::string PartName(const std::string& name, int64_t part) { return fmt::format("{}[{}]", name, part); }

  ir::Shape PartShape(ValueId v) const {
    ir::Shape shape = old_.shape(v);
    shape.dims[0] = 1;
    return shape;
  }

  // Adds an op with one result of `shape`.
  ValueId Add(ir::Op op, ir::Shape shape) {
    const auto v = static_cast<ValueId>(out_.module.values.size());
    op.results = {v};
    out_.module.values.push_back({std::move(shape), static_cast<OpId>(out_.module.ops.size()), 0});
    out_.module.ops.push_back(std::move(op));
    return v;
  }
  // A copy of `op` with other operands and attributes.
  ValueId AddLike(const ir::Op& op, std::string name, std::vector<ValueId> operands, ir::Attributes attributes,
                  ir::Shape shape) {
    ir::Op copy = op;
    copy.name = std::move(name);
    copy.operands = std::move(operands);
    copy.attributes = std::move(attributes);
    return Add(std::move(copy), std::move(shape));
  }

  void AddInputs() {
    for (size_t i = 0; i < old_.inputs.size(); ++i) {
      const ValueId v = old_.inputs[i];
      const bool split = IsSplit(v);
      const int64_t count = split ? old_.shape(v).dims[0] : 1;
      if (split) ++out_.stacks;
      first_input_.push_back(static_cast<int32_t>(out_.module.inputs.size()));
      for (int64_t k = 0; k < count; ++k) {
        const ir::Op& op = old_.producer(v);
        const ValueId mine = AddLike(op, split ? PartName(op.name, k) : op.name, {}, op.attributes,
                                     split ? PartShape(v) : old_.shape(v));
        if (split) {
          parts_[static_cast<size_t>(v)].push_back(mine);
        } else {
          whole_[static_cast<size_t>(v)] = mine;
        }
        out_.module.inputs.push_back(mine);
        const std::string& name = old_.input_names[i];
        out_.module.input_names.push_back(split && !name.empty() ? PartName(name, k) : name);
        out_.inputs.push_back({static_cast<int>(i), split ? static_cast<int>(k) : -1});
        out_.signature.inputs.push_back(signature_.inputs[i]);
      }
    }
  }

  void AddWhole(const ir::Op& op) {
    ir::Op copy = op;
    for (ValueId& v : copy.operands) v = whole_[static_cast<size_t>(v)];
    copy.results.clear();
    for (const ValueId v : op.results) {
      const auto mine = static_cast<ValueId>(out_.module.values.size());
      out_.module.values.push_back(
          {old_.shape(v), static_cast<OpId>(out_.module.ops.size()), static_cast<int32_t>(copy.results.size())});
      copy.results.push_back(mine);
      whole_[static_cast<size_t>(v)] = mine;
    }
    out_.module.ops.push_back(std::move(copy));
  }

  // Part k of a value: its own, or made for the occasion.
  ValueId PartOf(ValueId v, int64_t k) {
    if (IsSplit(v)) return parts_[static_cast<size_t>(v)][static_cast<size_t>(k)];
    const ir::Op& producer = old_.producer(v);
    const StackedOp read = ReadStackedOp(old_, producer, old_.shape(v).dims[0]);
    const bool spread = read.use == StackedUse::kSpread;
    ValueId& mine = made_[{v, spread ? -1 : k}];
    if (mine > 0) return mine;
    if (!spread) return mine = AddSlice(v, k);
    std::vector<ValueId> operands;
    for (const ValueId operand : producer.operands) operands.push_back(whole_[static_cast<size_t>(operand)]);
    return mine = AddLike(producer, producer.name + "[]", std::move(operands), producer.attributes, PartShape(v));
  }

  // Part k of a value that is there as a whole.
  ValueId AddSlice(ValueId v, int64_t k) {
    const auto rank = old_.shape(v).dims.size();
    ir::SliceAttr slice{std::vector<int64_t>(rank, 0), old_.shape(v).dims, std::vector<int64_t>(rank, 1)};
    slice.start[0] = k;
    slice.limit[0] = k + 1;
    ir::Op op;
    op.kind = OpKind::kSlice;
    op.name = PartName(old_.producer(v).name, k);
    op.operands = {whole_[static_cast<size_t>(v)]};
    op.attributes = std::move(slice);
    op.location = old_.producer(v).location;
    return Add(std::move(op), PartShape(v));
  }

  // The parts of the result of `op`.
  void AddParts(const ir::Op& op) {
    const ValueId result = op.results[0];
    const int64_t count = old_.shape(result).dims[0];
    const StackedOp read = ReadStackedOp(old_, op, count);
    auto& parts = parts_[static_cast<size_t>(result)];
    if (read.use == StackedUse::kOther || read.use == StackedUse::kSpread) AddWhole(op);
    for (int64_t k = 0; k < count; ++k) parts.push_back(AddPart(op, read, k));
  }

  ValueId AddPart(const ir::Op& op, const StackedOp& read, int64_t k) {
    switch (read.use) {
      case StackedUse::kUpdated:
        return k == read.index ? whole_[static_cast<size_t>(op.operands[1])] : PartOf(op.operands[0], k);
      case StackedUse::kStacked:
        return whole_[static_cast<size_t>(op.operands[static_cast<size_t>(k)])];
      case StackedUse::kPlaced:
        return k == read.index ? whole_[static_cast<size_t>(op.operands[0])] : Padding(op);
      case StackedUse::kMapped:
        return AddMapped(op, read, k);
      default:
        return AddSlice(op.results[0], k);
    }
  }

  ValueId AddMapped(const ir::Op& op, const StackedOp& read, int64_t k) {
    std::vector<ValueId> operands;
    for (size_t a = 0; a < op.operands.size(); ++a) {
      operands.push_back(read.carried[a] ? PartOf(op.operands[a], k) : whole_[static_cast<size_t>(op.operands[a])]);
    }
    // Gradients of slices are padded with zeros and added up: a part is not padded, so nothing is added to it.
    if (op.kind == OpKind::kAdd && zeros_.contains(operands[0])) return operands[1];
    if (op.kind == OpKind::kAdd && zeros_.contains(operands[1])) return operands[0];
    return AddLike(op, PartName(op.name, k), std::move(operands), AttributesOfPart(op), PartShape(op.results[0]));
  }

  // What a pad puts where its operand is not.
  ValueId Padding(const ir::Op& op) {
    ValueId& mine = made_[{op.results[0], -1}];
    if (mine > 0) return mine;
    ir::Op spread;
    spread.kind = OpKind::kBroadcast;
    spread.name = op.name + "[]";
    spread.operands = {whole_[static_cast<size_t>(op.operands[1])]};
    spread.attributes = ir::DimsAttr{};
    spread.location = op.location;
    mine = Add(std::move(spread), PartShape(op.results[0]));
    const auto* constant = std::get_if<ir::ConstantAttr>(&old_.producer(op.operands[1]).attributes);
    if (constant != nullptr && constant->splat && constant->value == 0) zeros_.insert(mine);
    return mine;
  }

  // An op that reads a value taken apart and gives one that is not.
  void AddReader(const ir::Op& op) {
    const ValueId from = op.operands[0];
    const StackedOp read = ReadStackedOp(old_, op, old_.shape(from).dims[0]);
    ValueId& result = whole_[static_cast<size_t>(op.results[0])];
    if (read.use == StackedUse::kSlice) {
      const ValueId part = PartOf(from, read.index);
      const bool all = old_.shape(op.results[0]).dims == PartShape(from).dims;
      result = all ? part : AddLike(op, op.name, {part}, AttributesOfPart(op), old_.shape(op.results[0]));
      return;
    }
    ALPA_CHECK(read.use == StackedUse::kReduced, Describe(old_, op));
    const ir::OpKind combiner = ir::CombinerOf(op);
    const int64_t count = old_.shape(from).dims[0];
    for (int64_t k = 0; k < count; ++k) {
      const ValueId part =
          AddLike(op, PartName(op.name, k), {PartOf(from, k), whole_[static_cast<size_t>(op.operands[1])]},
                  op.attributes, old_.shape(op.results[0]));
      if (k == 0) {
        result = part;
        continue;
      }
      ir::Op sum;
      sum.kind = combiner;
      sum.name = k + 1 == count ? op.name : fmt::format("{}[0:{}]", op.name, k + 1);
      sum.operands = {result, part};
      sum.location = op.location;
      result = Add(std::move(sum), old_.shape(op.results[0]));
    }
  }

  void AddOutputs() {
    for (size_t o = 0; o < old_.outputs.size(); ++o) {
      const ValueId v = old_.outputs[o];
      const int64_t count = IsSplit(v) ? old_.shape(v).dims[0] : 1;
      if (static_cast<int32_t>(o) == signature_.loss)
        out_.signature.loss = static_cast<int32_t>(out_.module.outputs.size());
      for (int64_t k = 0; k < count; ++k) {
        const auto mine = static_cast<int32_t>(out_.module.outputs.size());
        ir::StepOutput role = signature_.outputs[o];
        if (role.updates >= 0) {
          role.updates = first_input_[static_cast<size_t>(role.updates)] + static_cast<int32_t>(k);
          out_.signature.inputs[static_cast<size_t>(role.updates)].updated_by = mine;
        }
        if (k == 0) first_output_.push_back(mine);
        out_.module.outputs.push_back(IsSplit(v) ? PartOf(v, k) : whole_[static_cast<size_t>(v)]);
        out_.outputs.push_back({static_cast<int>(o), IsSplit(v) ? static_cast<int>(k) : -1});
        out_.signature.outputs.push_back(role);
      }
    }
  }

  void MapAliases() {
    auto count = [&](ValueId v) { return IsSplit(v) ? static_cast<int32_t>(old_.shape(v).dims[0]) : 1; };
    for (const ir::Alias& alias : old_.aliases) {
      const int32_t inputs = count(old_.inputs[static_cast<size_t>(alias.input)]);
      const int32_t outputs = count(old_.outputs[static_cast<size_t>(alias.output)]);
      for (int32_t k = 0; k < inputs; ++k) {
        const int32_t input = first_input_[static_cast<size_t>(alias.input)] + k;
        if (inputs == outputs) {
          out_.module.aliases.push_back({first_output_[static_cast<size_t>(alias.output)] + k, input});
        } else {
          out_.module.donated_inputs.push_back(input);
        }
      }
    }
    for (const int32_t donated : old_.donated_inputs) {
      const int32_t inputs = count(old_.inputs[static_cast<size_t>(donated)]);
      for (int32_t k = 0; k < inputs; ++k)
        out_.module.donated_inputs.push_back(first_input_[static_cast<size_t>(donated)] + k);
    }
  }

  const ir::Module& old_;
  const ir::StepSignature& signature_;
  const std::vector<char>& split_;
  Unstacked out_;
  std::vector<ValueId> whole_;                           // by ValueId of the old module: the value in the new one
  std::vector<std::vector<ValueId>> parts_;              // the same for values taken apart
  std::map<std::pair<ValueId, int64_t>, ValueId> made_;  // parts of values that are not; -1: the same for all
  std::set<ValueId> zeros_;                              // of the new module
  std::vector<int32_t> first_input_, first_output_;
};

}  // namespace

Result<Unstacked> UnstackParameters(const ir::Module& module, const ir::StepSignature& signature) {
  ALPA_RETURN_IF_ERROR(ir::Verify(signature, module));
  const std::vector<char> split = FindStacks(module, signature);
  Unstacked out = Rewriter(module, signature, split).Run();
  out.module = RemoveDeadOps(out.module);
  return out;
}

}  // namespace alpa::frontend
