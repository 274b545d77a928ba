#include "alpa/frontend/find_stacks.h"

#include <set>

#include "alpa/frontend/stacked_ops.h"

namespace alpa::frontend {
namespace {

using ir::OpId;
using ir::OpKind;
using ir::ValueId;

// Finds the values that are to be taken apart.
class Finder {
 public:
  Finder(const ir::Module& module, const ir::StepSignature& signature)
      : module_(module),
        signature_(signature),
        users_(ir::Users(module)),
        input_of_(module.values.size(), -1),
        outputs_of_(module.values.size()),
        split_(module.values.size(), 0) {
    for (size_t i = 0; i < module.inputs.size(); ++i)
      input_of_[static_cast<size_t>(module.inputs[i])] = static_cast<int>(i);
    for (size_t o = 0; o < module.outputs.size(); ++o) {
      outputs_of_[static_cast<size_t>(module.outputs[o])].push_back(static_cast<int>(o));
    }
  }

  // By ValueId: it is taken apart.
  std::vector<char> Run() {
    for (size_t i = 0; i < module_.inputs.size(); ++i) {
      if (signature_.inputs[i].role != ir::InputRole::kParameter || IsSplit(module_.inputs[i])) continue;
      if (!IsReadByParts(module_.inputs[i])) continue;
      const std::set<ValueId> group = GroupOf(module_.inputs[i]);
      for (const ValueId v : group) split_[static_cast<size_t>(v)] = 1;
    }
    return std::move(split_);
  }

 private:
  bool IsSplit(ValueId v) const { return split_[static_cast<size_t>(v)] != 0; }
  int64_t PartsOf(ValueId v) const { return module_.shape(v).dims.empty() ? 0 : module_.shape(v).dims[0]; }

  // Each part is sliced out at least once.
  bool IsReadByParts(ValueId v) const {
    const int64_t parts = PartsOf(v);
    if (parts < 2) return false;
    std::set<int64_t> read;
    for (const OpId user : users_[static_cast<size_t>(v)]) {
      const StackedOp op = ReadStackedOp(module_, module_.op(user), parts);
      if (op.use == StackedUse::kSlice) read.insert(op.index);
    }
    return static_cast<int64_t>(read.size()) == parts;
  }

  // All values that must be taken apart with `start`; nothing when that is not possible.
  std::set<ValueId> GroupOf(ValueId start) const {
    std::set<ValueId> group = {start};
    std::vector<ValueId> stack = {start};
    const int64_t parts = PartsOf(start);
    auto add = [&](ValueId v) {
      if (group.insert(v).second) stack.push_back(v);
    };
    while (!stack.empty()) {
      const ValueId v = stack.back();
      stack.pop_back();
      if (!AddSources(v, parts, add)) return {};
      for (const OpId user : users_[static_cast<size_t>(v)]) {
        if (!AddReader(v, module_.op(user), parts, add)) return {};
      }
    }
    return EndsInItself(group) ? group : std::set<ValueId>{};
  }

  template <typename Add>
  bool AddSources(ValueId v, int64_t parts, Add add) const {
    const ir::Op& producer = module_.producer(v);
    if (producer.kind == OpKind::kParameter) {
      return signature_.inputs[static_cast<size_t>(input_of_[static_cast<size_t>(v)])].role != ir::InputRole::kBatch;
    }
    const StackedOp op = ReadStackedOp(module_, producer, parts);
    if (op.use == StackedUse::kUpdated && !IsSpread(producer.operands[0], parts)) add(producer.operands[0]);
    for (size_t k = 0; k < op.carried.size(); ++k) {
      if (op.carried[k] && !IsSpread(producer.operands[k], parts)) add(producer.operands[k]);
    }
    return true;  // of anything else parts are sliced out
  }

  template <typename Add>
  bool AddReader(ValueId v, const ir::Op& reader, int64_t parts, Add add) const {
    const StackedOp op = ReadStackedOp(module_, reader, parts);
    switch (op.use) {
      case StackedUse::kSlice:
      case StackedUse::kReduced:
        return reader.operands[0] == v;
      case StackedUse::kUpdated:
        if (reader.operands[0] != v || reader.operands[1] == v) return false;
        add(reader.results[0]);
        return true;
      case StackedUse::kMapped:
        for (size_t k = 0; k < reader.operands.size(); ++k) {
          if (reader.operands[k] == v && !op.carried[k]) return false;
        }
        add(reader.results[0]);
        return true;
      default:
        return false;
    }
  }

  bool IsSpread(ValueId v, int64_t parts) const {
    return ReadStackedOp(module_, module_.producer(v), parts).use == StackedUse::kSpread;
  }

  // The next value of all state in the group is in it, and no other output.
  bool EndsInItself(const std::set<ValueId>& group) const {
    for (const ValueId v : group) {
      const int input = input_of_[static_cast<size_t>(v)];
      if (input >= 0) {
        const int32_t next = signature_.inputs[static_cast<size_t>(input)].updated_by;
        if (!group.contains(module_.outputs[static_cast<size_t>(next)])) return false;
      }
      for (const int o : outputs_of_[static_cast<size_t>(v)]) {
        const int32_t updated = signature_.outputs[static_cast<size_t>(o)].updates;
        if (updated < 0 || !group.contains(module_.inputs[static_cast<size_t>(updated)])) return false;
      }
    }
    return true;
  }

  const ir::Module& module_;
  const ir::StepSignature& signature_;
  std::vector<std::vector<OpId>> users_;
  std::vector<int> input_of_;
  std::vector<std::vector<int>> outputs_of_;
  std::vector<char> split_;
};

}  // namespace

std::vector<char> FindStacks(const ir::Module& module, const ir::StepSignature& signature) {
  return Finder(module, signature).Run();
}

}  // namespace alpa::frontend
