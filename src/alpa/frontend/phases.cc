#include "alpa/frontend/phases.h"

#include <algorithm>
#include <string>

#include "alpa/frontend/reach.h"

namespace alpa::frontend {
namespace {

bool IsCut(BatchKind kind) { return kind == BatchKind::kBatched || kind == BatchKind::kMixed; }

// Ops that touch values cut along the batch, and all that those depend on: what must run for each microbatch.
std::vector<bool> NeededPerBlock(const ir::Module& module, const BatchAnalysis& batch) {
  std::vector<bool> needed(module.ops.size(), false);
  std::vector<bool> wanted(module.values.size(), false);
  auto cut = [&](ir::ValueId v) { return IsCut(batch.value(v).kind); };
  for (size_t i = module.ops.size(); i-- > 0;) {
    const ir::Op& op = module.ops[i];
    const bool wants = std::any_of(op.results.begin(), op.results.end(),
                                   [&](ir::ValueId v) { return wanted[static_cast<size_t>(v)]; });
    needed[i] = wants || std::any_of(op.operands.begin(), op.operands.end(), cut) ||
                std::any_of(op.results.begin(), op.results.end(), cut);
    if (!needed[i]) continue;
    for (const ir::ValueId v : op.operands) wanted[static_cast<size_t>(v)] = true;
  }
  return needed;
}

// Ops that some next value of the state depends on.
std::vector<bool> LeadsToState(const ir::Module& module, const ir::StepSignature& signature) {
  std::vector<bool> wanted(module.values.size(), false);
  std::vector<bool> leads(module.ops.size(), false);
  for (size_t o = 0; o < module.outputs.size(); ++o) {
    if (signature.outputs[o].role == ir::OutputRole::kUpdatedState)
      wanted[static_cast<size_t>(module.outputs[o])] = true;
  }
  for (size_t i = module.ops.size(); i-- > 0;) {
    const ir::Op& op = module.ops[i];
    leads[i] = std::any_of(op.results.begin(), op.results.end(),
                           [&](ir::ValueId v) { return wanted[static_cast<size_t>(v)]; });
    if (!leads[i]) continue;
    for (const ir::ValueId v : op.operands) wanted[static_cast<size_t>(v)] = true;
  }
  return leads;
}

bool IsBackwardByName(const ir::Module& module, const ir::Op& op) {
  if (op.location < 0) return false;
  const std::string& name = module.locations[static_cast<size_t>(op.location)].name;
  return name.find("transpose(") != std::string::npos || name.find("rematted_computation") != std::string::npos;
}

bool IsForwardByName(const ir::Module& module, const ir::Op& op) {
  return op.location >= 0 &&
         module.locations[static_cast<size_t>(op.location)].name.find("jvp(") != std::string::npos &&
         !IsBackwardByName(module, op);
}

// Without a loss there are only names to tell forward from backward.
std::vector<bool> ForwardByName(const ir::Module& module, const std::vector<bool>& per_block, bool has_batch) {
  std::vector<bool> forward(module.ops.size(), false);
  for (size_t i = 0; i < forward.size(); ++i) {
    const ir::Op& op = module.ops[i];
    forward[i] = has_batch ? per_block[i] && !IsBackwardByName(module, op) : IsForwardByName(module, op);
  }
  return forward;
}

}  // namespace

std::string_view Name(OpPhase phase) {
  switch (phase) {
    case OpPhase::kForward:
      return "forward";
    case OpPhase::kBackward:
      return "backward";
    case OpPhase::kUpdate:
      return "update";
  }
  return "";
}

std::vector<OpPhase> AssignPhases(const ir::Module& module, const ir::StepSignature& signature,
                                  const BatchAnalysis& batch) {
  const bool has_batch = batch.batch_size > 0;
  const std::vector<bool> per_block = NeededPerBlock(module, batch);
  const std::vector<bool> leads_to_state = LeadsToState(module, signature);
  const std::vector<bool> forward = signature.loss >= 0
                                        ? Ancestors(module, module.outputs[static_cast<size_t>(signature.loss)])
                                        : ForwardByName(module, per_block, has_batch);
  std::vector<OpPhase> phases(module.ops.size(), OpPhase::kForward);
  for (size_t i = 0; i < phases.size(); ++i) {
    const ir::Op& op = module.ops[i];
    if (forward[i]) continue;
    const bool backward = has_batch ? per_block[i] : IsBackwardByName(module, op);
    phases[i] = backward ? OpPhase::kBackward : OpPhase::kUpdate;
    if (leads_to_state[i]) continue;
    // A metric: forward, unless it is computed from gradients or from the new state.
    const bool from_forward = std::all_of(op.operands.begin(), op.operands.end(), [&](ir::ValueId v) {
      return phases[static_cast<size_t>(module.value(v).producer)] == OpPhase::kForward ||
             module.producer(v).operands.empty();
    });
    if (from_forward) phases[i] = OpPhase::kForward;
  }
  return phases;
}

}  // namespace alpa::frontend
