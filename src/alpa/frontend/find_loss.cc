#include "alpa/frontend/find_loss.h"

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "alpa/frontend/flops.h"
#include "alpa/frontend/reach.h"

namespace alpa::frontend {
namespace {

using ir::InputRole;

struct Candidate {
  int32_t output = -1;
  bool differentiable = false;  // with respect to state
  bool needs_backward = false;  // a gradient norm
  double flops = 0;             // dots and convolutions before it
};

bool Reaches(const ir::Module& module, const ir::StepSignature& signature, const std::vector<bool>& ancestors,
             bool state) {
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    const bool is_state = signature.inputs[i].role != InputRole::kBatch;
    if (is_state == state && ancestors[static_cast<size_t>(module.value(module.inputs[i]).producer)]) return true;
  }
  return false;
}

bool HasNameStacks(const ir::Module& module) {
  return std::any_of(module.locations.begin(), module.locations.end(), [](const ir::Location& location) {
    return location.name.find("transpose(") != std::string::npos;
  });
}

std::optional<Candidate> Examine(const ir::Module& module, const ir::StepSignature& signature, int32_t output,
                                 const std::vector<FlopCount>& flops) {
  const ir::ValueId v = module.outputs[static_cast<size_t>(output)];
  if (!ir::IsFloat(module.shape(v).dtype) || module.shape(v).elements() != 1) return std::nullopt;
  auto any = [&](bool state) {
    return std::any_of(signature.inputs.begin(), signature.inputs.end(),
                       [&](const ir::StepInput& in) { return (in.role != InputRole::kBatch) == state; });
  };
  const std::vector<bool> ancestors = Ancestors(module, v);
  if (any(false) && !Reaches(module, signature, ancestors, false)) return std::nullopt;
  if (any(true) && !Reaches(module, signature, ancestors, true)) return std::nullopt;
  Candidate out;
  out.output = output;
  out.differentiable = Reaches(module, signature, DifferentiableAncestors(module, v), any(true));
  double all = 0;
  for (size_t i = 0; i < ancestors.size(); ++i) {
    all += flops[i].dot_conv.value;
    if (!ancestors[i]) continue;
    out.flops += flops[i].dot_conv.value;
    if (ir::LocationOf(module, module.ops[i]).name.find("transpose(") != std::string::npos) out.needs_backward = true;
  }
  // Without names: the forward pass is a third of a step's arithmetic, less where it is recomputed.
  if (!HasNameStacks(module)) out.needs_backward = any(true) && out.flops > all / 2;
  return out;
}

}  // namespace

int32_t FindLoss(const ir::Module& module, const ir::StepSignature& signature) {
  const std::vector<FlopCount> flops = CountFlops(module);
  std::vector<Candidate> candidates;
  for (size_t o = 0; o < module.outputs.size(); ++o) {
    if (signature.outputs[o].role != ir::OutputRole::kResult) continue;
    if (const auto found = Examine(module, signature, static_cast<int32_t>(o), flops)) candidates.push_back(*found);
  }
  if (candidates.empty()) return -1;
  return std::min_element(candidates.begin(), candidates.end(),
                          [&](const Candidate& a, const Candidate& b) {
                            // The whole forward pass rather than a piece of it (the norm of an embedding), but the
                            // least of what is more.
                            auto rank = [](const Candidate& c) {
                              return std::tuple(!c.differentiable, c.needs_backward,
                                                c.needs_backward ? c.flops : -c.flops, c.output);
                            };
                            return rank(a) < rank(b);
                          })
      ->output;
}

}  // namespace alpa::frontend
