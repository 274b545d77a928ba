#include "alpa/intra/lifetimes.h"

#include <algorithm>

namespace alpa::intra {
namespace {

using ir::OpKind;

bool IsView(OpKind kind) { return kind == OpKind::kReshape || kind == OpKind::kOptimizationBarrier; }

// Ops that stay free when all they read is free or a scalar.
bool KeepsFree(const ir::Op& op) {
  switch (op.kind) {
    case OpKind::kConstant:
    case OpKind::kIota:
    case OpKind::kBroadcast:
    case OpKind::kReshape:
    case OpKind::kTranspose:
    case OpKind::kSlice:
    case OpKind::kPad:
    case OpKind::kConcatenate:
    case OpKind::kReverse:
      return true;
    case OpKind::kMap:
      return false;  // its region may be anything
    default:
      return ir::IsElementwise(op.kind);
  }
}

// The op that reads a single-use value takes it in registers.
bool TakesFused(OpKind kind) { return ir::IsElementwise(kind) || kind == OpKind::kReduce; }

}  // namespace

bool IsScalarLike(const ir::Shape& shape) { return shape.elements() <= 1; }

solver::Interval LiveOf(const ir::Op& op, const std::vector<Lifetime>& lifetimes) {
  solver::Interval live;
  for (const ir::ValueId v : op.results) {
    const solver::Interval& one = lifetimes[static_cast<size_t>(v)].live;
    if (one.begin >= one.end) continue;
    live =
        live.begin >= live.end ? one : solver::Interval{std::min(live.begin, one.begin), std::max(live.end, one.end)};
  }
  return live;
}

std::vector<Lifetime> FindLifetimes(const ir::Module& module, const ir::StepSignature& signature,
                                    const std::vector<char>& accumulates, const std::vector<char>& handed_over) {
  std::vector<Lifetime> lifetimes(module.values.size());
  const auto at = [&](ir::ValueId v) -> Lifetime& { return lifetimes[static_cast<size_t>(v)]; };
  const auto end_of_step = static_cast<int64_t>(module.ops.size());
  const std::vector<std::vector<ir::OpId>> users = ir::Users(module);
  std::vector<char> is_output(module.values.size(), 0);
  std::vector<ir::ValueId> replaces(module.values.size(), -1);  // the donated state input a value is written over
  for (size_t o = 0; o < module.outputs.size(); ++o) {
    is_output[static_cast<size_t>(module.outputs[o])] = 1;
    const ir::StepOutput& output = signature.outputs[o];
    if (output.role == ir::OutputRole::kUpdatedState && signature.inputs[static_cast<size_t>(output.updates)].donated)
      replaces[static_cast<size_t>(module.outputs[o])] = module.inputs[static_cast<size_t>(output.updates)];
  }

  for (const ir::Op& op : module.ops) {
    const bool free = KeepsFree(op) && std::all_of(op.operands.begin(), op.operands.end(), [&](ir::ValueId v) {
                        return at(v).free || IsScalarLike(module.shape(v));
                      });
    for (const ir::ValueId v : op.results) {
      const auto index = static_cast<size_t>(v);
      at(v).free = free;
      if (free || IsView(op.kind) || IsScalarLike(module.shape(v))) continue;
      const auto& readers = users[index];
      const bool fused =
          (ir::IsElementwise(op.kind) || op.kind == OpKind::kBroadcast) && !is_output[index] &&
          (op.kind == OpKind::kBroadcast || (readers.size() == 1 && TakesFused(module.op(readers[0]).kind)));
      at(v).materialized = !fused;
    }
  }

  // Last reads, from the back: a view or a fused value keeps alive what it is made of.
  std::vector<int64_t> last(module.values.size(), -1);
  for (size_t o = 0; o < module.outputs.size(); ++o) {
    if (handed_over.empty() || handed_over[o] == 0) last[static_cast<size_t>(module.outputs[o])] = end_of_step;
  }
  for (auto position = end_of_step - 1; position >= 0; --position) {
    const ir::Op& op = module.ops[static_cast<size_t>(position)];
    int64_t until = position + 1;
    for (const ir::ValueId v : op.results) {
      if (!at(v).materialized) until = std::max(until, last[static_cast<size_t>(v)]);
    }
    for (const ir::ValueId v : op.operands)
      last[static_cast<size_t>(v)] = std::max(last[static_cast<size_t>(v)], until);
  }
  for (size_t position = 0; position < module.ops.size(); ++position) {
    const ir::Op& op = module.ops[position];
    for (const ir::ValueId v : op.results) {
      const auto index = static_cast<size_t>(v);
      if (!at(v).materialized) continue;
      // In place, if nothing reads the old value afterwards.
      if (replaces[index] >= 0 && ir::IsElementwise(op.kind) &&
          last[static_cast<size_t>(replaces[index])] <= static_cast<int64_t>(position) + 1)
        continue;
      const bool from_the_start = !accumulates.empty() && accumulates[position] != 0;
      at(v).live = {from_the_start ? 0 : static_cast<int64_t>(position),
                    std::max(last[index], static_cast<int64_t>(position) + 1)};
    }
  }
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    Lifetime& input = at(module.inputs[i]);
    if (IsScalarLike(module.shape(module.inputs[i]))) continue;
    input.free = false;
    input.materialized = true;
    const bool state = signature.inputs[i].role != ir::InputRole::kBatch;
    input.live = {0, state ? end_of_step : std::max<int64_t>(last[static_cast<size_t>(module.inputs[i])], 1)};
  }
  return lifetimes;
}

}  // namespace alpa::intra
