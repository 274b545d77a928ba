#include "alpa/runtime/guess_init.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "alpa/runtime/index_bound.h"

namespace alpa::runtime {
namespace {

using ir::Op;
using ir::OpKind;
using ir::ValueId;

// Ops whose results are the values of their first operand (a barrier: of all operands), possibly in another shape or
// type.
bool KeepsValues(OpKind kind) {
  switch (kind) {
    case OpKind::kReshape:
    case OpKind::kBroadcast:
    case OpKind::kTranspose:
    case OpKind::kSlice:
    case OpKind::kConvert:
    case OpKind::kCopy:
    case OpKind::kReducePrecision:
    case OpKind::kOptimizationBarrier:
      return true;
    default:
      return false;
  }
}

// For each op whether the loss depends on it; without a loss, whether any result does.
std::vector<bool> ForwardOps(const ir::Module& module, const ir::StepSignature& signature) {
  std::vector<bool> needed(module.ops.size(), false);
  const auto need = [&](ValueId v) { needed[static_cast<size_t>(module.value(v).producer)] = true; };
  for (size_t o = 0; o < module.outputs.size(); ++o) {
    const bool is_result = signature.outputs[o].role == ir::OutputRole::kResult;
    if (signature.loss < 0 ? is_result : static_cast<int32_t>(o) == signature.loss) need(module.outputs[o]);
  }
  for (size_t i = module.ops.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (const ValueId v : module.ops[i].operands) need(v);
  }
  return needed;
}

// Whether the forward op that first computes with `value` multiplies by it.
bool IsGain(const ir::Module& module, const std::vector<std::vector<ir::OpId>>& users, const std::vector<bool>& forward,
            ValueId value) {
  std::set<ValueId> seen = {value};
  std::vector<ValueId> pending = {value};
  ir::OpId first = std::numeric_limits<ir::OpId>::max();
  bool gain = false;
  while (!pending.empty()) {
    const ValueId at = pending.back();
    pending.pop_back();
    for (const ir::OpId user : users[static_cast<size_t>(at)]) {
      if (!forward[static_cast<size_t>(user)]) continue;
      const Op& op = module.op(user);
      const auto operand =
          static_cast<size_t>(std::find(op.operands.begin(), op.operands.end(), at) - op.operands.begin());
      if (KeepsValues(op.kind)) {
        const ValueId next = op.results[op.kind == OpKind::kOptimizationBarrier ? operand : 0];
        if (seen.insert(next).second) pending.push_back(next);
      } else if (user < first) {
        first = user;
        const bool normalizes = op.kind == OpKind::kBatchNormTraining || op.kind == OpKind::kBatchNormInference;
        gain = op.kind == OpKind::kMultiply || (normalizes && operand == 1);
      }
    }
  }
  return gain;
}

// A seed per input that differs for every `seed` and input.
uint32_t SeedOf(uint64_t seed, size_t input) {
  const uint32_t folded = Mix32(static_cast<uint32_t>(seed)) ^ Mix32(static_cast<uint32_t>(seed >> 32) + 0x9e3779b9U);
  return folded + static_cast<uint32_t>(input);
}

InitRule WeightRule(const ir::Shape& shape, uint32_t seed) {
  double fan_in = 1;
  for (size_t d = 0; d + 1 < shape.dims.size(); ++d) fan_in *= static_cast<double>(shape.dims[d]);
  return {InitRule::Kind::kUniform, static_cast<float>(std::sqrt(3 / std::max(fan_in, 1.0))), seed};
}

InitRule BatchRule(const ir::Module& module, int32_t input, uint32_t seed) {
  const ir::DType type = module.shape(module.inputs[static_cast<size_t>(input)]).dtype;
  if (ir::IsFloat(type) || ir::IsComplex(type)) return {InitRule::Kind::kUniform, 1, seed};
  if (type == ir::DType::kPred) return {InitRule::Kind::kInt, 2, seed};
  const int64_t bound = std::min<int64_t>(IndexBound(module, input).value_or(2), std::numeric_limits<int32_t>::max());
  return {InitRule::Kind::kInt, static_cast<double>(bound), seed};
}

}  // namespace

std::vector<int32_t> MasterCopies(const ir::Module& module, const ir::StepSignature& signature) {
  std::map<ValueId, int32_t> state_of;  // updated value -> state input
  for (size_t i = 0; i < signature.inputs.size(); ++i) {
    if (signature.inputs[i].role != ir::InputRole::kState) continue;
    state_of[module.outputs[static_cast<size_t>(signature.inputs[i].updated_by)]] = static_cast<int32_t>(i);
  }
  std::vector<int32_t> parameter(module.inputs.size(), -1);
  for (size_t i = 0; i < signature.inputs.size(); ++i) {
    if (signature.inputs[i].role != ir::InputRole::kParameter) continue;
    ValueId value = module.outputs[static_cast<size_t>(signature.inputs[i].updated_by)];
    while (module.producer(value).kind == OpKind::kConvert || module.producer(value).kind == OpKind::kCopy) {
      value = module.producer(value).operands[0];
      const auto it = state_of.find(value);
      if (it == state_of.end()) continue;
      parameter[static_cast<size_t>(it->second)] = static_cast<int32_t>(i);
      break;
    }
  }
  return parameter;
}

bool IsRandomKey(const ir::Module& module, const ir::StepSignature& signature, int32_t input) {
  const auto i = static_cast<size_t>(input);
  const ir::Shape& shape = module.shape(module.inputs[i]);
  return signature.inputs[i].role != ir::InputRole::kParameter && shape.dtype == ir::DType::kU32 && shape.rank() == 1 &&
         (shape.dims[0] == 2 || shape.dims[0] == 4);
}

ir::HostTensor RandomKey(const ir::Shape& shape, uint64_t seed) {
  ir::HostTensor key(shape);
  const auto words = key.as<uint32_t>();
  for (size_t i = 0; i < words.size(); ++i) words[i] = static_cast<uint32_t>(i % 2 == 0 ? seed >> 32 : seed);
  return key;
}

std::vector<InitRule> GuessInitRules(const ir::Module& module, const ir::StepSignature& signature, uint64_t seed) {
  const auto users = ir::Users(module);
  const std::vector<bool> forward = ForwardOps(module, signature);
  std::vector<InitRule> rules(module.inputs.size());
  for (size_t i = 0; i < rules.size(); ++i) {
    const ir::Shape& shape = module.shape(module.inputs[i]);
    const ir::InputRole role = signature.inputs[i].role;
    if (role == ir::InputRole::kBatch) {
      rules[i] = BatchRule(module, static_cast<int32_t>(i), SeedOf(seed, i));
    } else if (role == ir::InputRole::kParameter && ir::IsFloat(shape.dtype)) {
      if (shape.rank() >= 2) {
        rules[i] = WeightRule(shape, SeedOf(seed, i));
      } else {
        rules[i].value = IsGain(module, users, forward, module.inputs[i]) ? 1 : 0;
      }
    }
  }
  const std::vector<int32_t> masters = MasterCopies(module, signature);
  for (size_t i = 0; i < rules.size(); ++i) {
    if (masters[i] >= 0) rules[i] = rules[static_cast<size_t>(masters[i])];
  }
  return rules;
}

}  // namespace alpa::runtime
