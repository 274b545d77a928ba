#include "alpa/driver/check.h"

#include <fmt/format.h>

#include <algorithm>

namespace alpa::driver {
namespace {

// Adam and its kin turn the rounding noise of vanishing gradients into steps; a step without such state does not.
bool HasOptimizerState(const ir::StepSignature& signature) {
  return std::any_of(signature.inputs.begin(), signature.inputs.end(),
                     [](const ir::StepInput& input) { return input.role == ir::InputRole::kState; });
}

}  // namespace

Result<std::unique_ptr<GoldenCheck>> GoldenCheck::Open(const std::filesystem::path& file, const ir::Module& module,
                                                       const ir::StepSignature& signature, double factor) {
  ALPA_TRY(runtime::GoldenFile golden, runtime::GoldenFile::Open(file));
  runtime::CompareOptions options = runtime::CompareOptionsFor(module);
  options.factor = HasOptimizerState(signature) ? factor : 0.1 * factor;
  return std::unique_ptr<GoldenCheck>(new GoldenCheck(std::move(golden), module, signature, options));
}

int64_t GoldenCheck::last_step() const {
  const int64_t outputs = golden_.outputs().empty() ? 0 : golden_.outputs().rbegin()->first;
  return std::max(outputs, static_cast<int64_t>(golden_.losses().size()));
}

Status GoldenCheck::AfterStep(int64_t step, const runtime::Trainer& trainer, const runtime::StepResult& result) {
  if (result.loss.has_value() && step <= static_cast<int64_t>(golden_.losses().size())) {
    const auto loss =
        runtime::CompareLosses({*result.loss}, {golden_.losses()[static_cast<size_t>(step - 1)]}, options_, step);
    comparison_.losses.insert(comparison_.losses.end(), loss.begin(), loss.end());
  }
  if (golden_.outputs().count(step) == 0) return Ok();
  ALPA_TRY(const auto outputs, OutputsToHost(signature_, trainer, result));
  ALPA_TRY(auto tensors, runtime::CompareWithGolden(golden_, step, module_, signature_, outputs, options_));
  for (auto& tensor : tensors) {
    tensor.name += fmt::format(" (step {})", step);
    comparison_.tensors.push_back(std::move(tensor));
  }
  return Ok();
}

std::string GoldenCheck::Table(bool all_tensors) const { return runtime::ToString(comparison_, all_tensors ? 0 : 5); }

Result<std::vector<ir::HostTensor>> OutputsToHost(const ir::StepSignature& signature, const runtime::Trainer& trainer,
                                                  const runtime::StepResult& result) {
  std::vector<ir::HostTensor> outputs(signature.outputs.size());
  for (size_t k = 0; k < trainer.state_inputs().size(); ++k) {
    const int32_t output = signature.inputs[static_cast<size_t>(trainer.state_inputs()[k])].updated_by;
    ALPA_TRY(outputs[static_cast<size_t>(output)], trainer.StateToHost(k));
  }
  for (size_t k = 0; k < trainer.result_outputs().size(); ++k) {
    ALPA_TRY(outputs[static_cast<size_t>(trainer.result_outputs()[k])], result.results[k]->ToHost());
  }
  return outputs;
}

}  // namespace alpa::driver
