#include "alpa/frontend/reach.h"

#include <algorithm>
#include <deque>
#include <unordered_set>
#include <utility>

namespace alpa::frontend {
namespace {

// An update has a few dozen ops; whatever is farther away says nothing.
constexpr size_t kMaxVisited = 512;

template <typename MayPass>
std::vector<bool> Collect(const ir::Module& module, ir::ValueId v, MayPass may_pass) {
  std::vector<bool> seen(module.ops.size(), false);
  std::vector<ir::OpId> stack = {module.value(v).producer};
  seen[static_cast<size_t>(stack[0])] = true;
  while (!stack.empty()) {
    const ir::Op& op = module.op(stack.back());
    stack.pop_back();
    for (const ir::ValueId operand : op.operands) {
      const ir::OpId producer = module.value(operand).producer;
      if (seen[static_cast<size_t>(producer)] || !may_pass(operand)) continue;
      seen[static_cast<size_t>(producer)] = true;
      stack.push_back(producer);
    }
  }
  return seen;
}

// The values one elementwise step back from `v`, of the same extents.
std::vector<ir::ValueId> StepBack(const ir::Module& module, ir::ValueId v) {
  const ir::Op& op = module.producer(v);
  const auto index = static_cast<size_t>(module.value(v).index);
  switch (op.kind) {
    case ir::OpKind::kOptimizationBarrier:
    case ir::OpKind::kWhile:
      return {op.operands[index]};
    case ir::OpKind::kConditional:
    case ir::OpKind::kCall:
      break;  // any argument of the shape may be handed through
    default:
      if (!ir::IsElementwise(op.kind)) return {};
  }
  std::vector<ir::ValueId> out;
  for (const ir::ValueId operand : op.operands) {
    if (module.shape(operand).dims == module.shape(v).dims) out.push_back(operand);
  }
  return out;
}

}  // namespace

InputSets::InputSets(const ir::Module& module)
    : words_((module.inputs.size() + 63) / 64), bits_(module.values.size() * words_, 0) {
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    bits_[static_cast<size_t>(module.inputs[i]) * words_ + i / 64] |= uint64_t{1} << (i % 64);
  }
  for (const ir::Op& op : module.ops) {
    if (op.results.empty()) continue;
    uint64_t* const first = &bits_[static_cast<size_t>(op.results[0]) * words_];
    for (const ir::ValueId v : op.operands) {
      const uint64_t* const from = &bits_[static_cast<size_t>(v) * words_];
      for (size_t w = 0; w < words_; ++w) first[w] |= from[w];
    }
    for (size_t r = 1; r < op.results.size(); ++r) {
      std::copy_n(first, words_, &bits_[static_cast<size_t>(op.results[r]) * words_]);
    }
  }
}

std::vector<bool> Ancestors(const ir::Module& module, ir::ValueId v) {
  return Collect(module, v, [](ir::ValueId) { return true; });
}

std::vector<bool> DifferentiableAncestors(const ir::Module& module, ir::ValueId v) {
  return Collect(module, v, [&](ir::ValueId operand) {
    const ir::DType type = module.shape(operand).dtype;
    return ir::IsFloat(type) || ir::IsComplex(type);
  });
}

std::vector<Carry> CarriesOf(const ir::Module& module, ir::ValueId output) {
  std::vector<Carry> out;
  std::unordered_set<ir::ValueId> seen = {output};
  std::deque<std::pair<ir::ValueId, int>> queue = {{output, 0}};
  while (!queue.empty()) {
    const auto [v, distance] = queue.front();
    queue.pop_front();
    const auto input = std::find(module.inputs.begin(), module.inputs.end(), v);
    if (module.producer(v).kind == ir::OpKind::kParameter) {
      out.push_back({static_cast<int32_t>(input - module.inputs.begin()), distance});
      continue;
    }
    for (const ir::ValueId back : StepBack(module, v)) {
      if (seen.size() >= kMaxVisited || !seen.insert(back).second) continue;
      queue.emplace_back(back, distance + 1);
    }
  }
  return out;
}

}  // namespace alpa::frontend
