#include "alpa/ir/step.h"

#include <fmt/format.h>

namespace alpa::ir {

std::string_view Name(InputRole role) {
  switch (role) {
    case InputRole::kParameter:
      return "parameter";
    case InputRole::kState:
      return "state";
    case InputRole::kBatch:
      return "batch";
  }
  return "";
}

std::string_view Name(OutputRole role) { return role == OutputRole::kUpdatedState ? "state" : "result"; }

Status Verify(const StepSignature& s, const Module& module) {
  auto broken = [](const std::string& what) { return Error{Code::kInvalidInput, "step signature: " + what, ""}; };
  if (s.inputs.size() != module.inputs.size() || s.outputs.size() != module.outputs.size()) {
    return broken("number of inputs or outputs differs from the module's");
  }
  for (size_t i = 0; i < s.inputs.size(); ++i) {
    const bool state = s.inputs[i].role != InputRole::kBatch;
    const int32_t o = s.inputs[i].updated_by;
    if (!state && o >= 0) return broken(fmt::format("batch input {} is updated by output {}", i, o));
    if (!state) continue;
    if (o < 0 || o >= static_cast<int32_t>(s.outputs.size()))
      return broken(fmt::format("state input {} is never updated", i));
    const StepOutput& out = s.outputs[static_cast<size_t>(o)];
    if (out.role != OutputRole::kUpdatedState || out.updates != static_cast<int32_t>(i)) {
      return broken(fmt::format("input {} and output {} do not point at each other", i, o));
    }
    if (module.shape(module.inputs[i]) != module.shape(module.outputs[static_cast<size_t>(o)])) {
      return broken(fmt::format("input {} and output {} differ in shape", i, o));
    }
  }
  for (size_t o = 0; o < s.outputs.size(); ++o) {
    if (s.outputs[o].role != OutputRole::kUpdatedState) continue;
    const int32_t i = s.outputs[o].updates;
    if (i < 0 || i >= static_cast<int32_t>(s.inputs.size()) ||
        s.inputs[static_cast<size_t>(i)].updated_by != static_cast<int32_t>(o)) {
      return broken(fmt::format("output {} updates no input", o));
    }
  }
  if (s.loss < -1 || s.loss >= static_cast<int32_t>(s.outputs.size())) return broken("the loss is not an output");
  return Ok();
}

}  // namespace alpa::ir
