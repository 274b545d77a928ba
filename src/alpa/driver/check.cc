#include "alpa/driver/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "alpa/base/file.h"

namespace alpa::driver {
namespace {

// Adam and its kin turn the rounding noise of vanishing gradients into steps; a step without such state does not.
bool HasOptimizerState(const ir::StepSignature& signature) {
  return std::any_of(signature.inputs.begin(), signature.inputs.end(),
                     [](const ir::StepInput& input) { return input.role == ir::InputRole::kState; });
}

constexpr int kRoundingRuns = 4;
constexpr double kRoundingFactor = 4;
// How many units in the last place a value moves. The rounding error of a sum of n terms grows like sqrt(n); 32 stands
// for the sums of about a thousand terms that a layer consists of. A bf16 unit is itself larger than all such errors in
// f32.
constexpr uint64_t kUnits32 = 32;
constexpr uint64_t kUnits16 = 1;

double LargestDifference(const ir::HostTensor& a, const ir::HostTensor& b) {
  double largest = 0;
  const std::vector<double> x = ir::ToDoubles(a);
  const std::vector<double> y = ir::ToDoubles(b);
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isfinite(x[i]) && std::isfinite(y[i])) largest = std::max(largest, std::fabs(x[i] - y[i]));
  }
  return largest;
}

// Moves floats of type Bits (sign in the top bit) by 1 to `units` steps away from or towards zero.
template <typename Bits>
void NudgeAs(ir::HostTensor& tensor, uint64_t seed, uint64_t units) {
  uint64_t index = 0;
  for (Bits& bits : tensor.as<Bits>()) {
    const uint64_t random = Fnv1a({reinterpret_cast<const char*>(&index), sizeof(index)}, seed);
    ++index;
    if (static_cast<Bits>(bits << 1) == 0) continue;  // zeros are meant: padding, fresh biases
    const auto step = static_cast<Bits>(1 + (random >> 8) % units);
    bits = static_cast<Bits>((random & 1) != 0 ? bits + step : bits - step);
  }
}

}  // namespace

void NudgeLastBits(ir::HostTensor& tensor, uint64_t seed) {
  if (!ir::IsFloat(tensor.shape().dtype)) return;
  switch (ir::Bits(tensor.shape().dtype)) {
    case 16:
      return NudgeAs<uint16_t>(tensor, seed, kUnits16);
    case 32:
      return NudgeAs<uint32_t>(tensor, seed, kUnits32);
    case 64:
      return NudgeAs<uint64_t>(tensor, seed, kUnits32);
    default:
      return;  // in 8 bits a step is no rounding error
  }
}

Result<GoldenCheck::Spread> GoldenCheck::MeasureRounding(runtime::Trainer& trainer,
                                                         const runtime::InputProvider& initial,
                                                         const std::vector<xla::Array*>& batch) const {
  Spread spread;
  for (const auto& [step, outputs] : outputs_) spread.outputs[step].resize(outputs.size());
  spread.losses.resize(comparison_.losses.size());
  const int64_t last = std::max(outputs_.empty() ? 0 : outputs_.rbegin()->first, std::ssize(spread.losses));
  for (int run = 1; run <= kRoundingRuns; ++run) {
    ALPA_RETURN_IF_ERROR(trainer.SetState([&](int32_t input) -> Result<ir::HostTensor> {
      ALPA_TRY(ir::HostTensor value, initial(input));
      const bool parameter = signature_.inputs[static_cast<size_t>(input)].role == ir::InputRole::kParameter;
      if (parameter) NudgeLastBits(value, static_cast<uint64_t>(run * 1000 + input));
      return value;
    }));
    for (int64_t step = 1; step <= last; ++step) {
      ALPA_TRY(const runtime::StepResult result, trainer.Step(batch));
      if (result.loss.has_value() && step <= std::ssize(spread.losses)) {
        const auto k = static_cast<size_t>(step - 1);
        spread.losses[k] = std::max(spread.losses[k], std::fabs(*result.loss - comparison_.losses[k].actual));
      }
      const auto ours = outputs_.find(step);
      if (ours == outputs_.end()) continue;
      ALPA_TRY(const auto outputs, OutputsToHost(signature_, trainer, result));
      std::vector<double>& of_step = spread.outputs[step];
      for (size_t o = 0; o < outputs.size(); ++o) {
        of_step[o] = std::max(of_step[o], LargestDifference(outputs[o], ours->second[o]));
      }
    }
  }
  return spread;
}

Status GoldenCheck::AllowForRounding(runtime::Trainer& trainer, const runtime::InputProvider& initial,
                                     const std::vector<xla::Array*>& batch) {
  ALPA_TRY(const Spread spread, MeasureRounding(trainer, initial, batch));
  size_t row = 0;  // comparison_.tensors has all outputs of the first golden step, then of the next
  for (const auto& [step, of_step] : spread.outputs) {
    for (const double s : of_step) {
      runtime::TensorDifference& tensor = comparison_.tensors[row++];
      if (tensor.ok) continue;
      tensor.allowance = kRoundingFactor * s;
      tensor.ok = tensor.max_abs_diff <= tensor.limit();
    }
  }
  for (size_t k = 0; k < spread.losses.size(); ++k) {
    runtime::LossDifference& loss = comparison_.losses[k];
    if (loss.ok) continue;
    loss.allowance = kRoundingFactor * spread.losses[k];
    loss.ok = std::fabs(loss.actual - loss.expected) <= loss.limit();
  }
  return Ok();
}

Result<std::unique_ptr<GoldenCheck>> GoldenCheck::Open(const std::filesystem::path& file, const ir::Module& module,
                                                       const ir::StepSignature& signature, double factor) {
  ALPA_TRY(runtime::GoldenFile golden, runtime::GoldenFile::Open(file));
  return With(std::move(golden), module, signature, factor);
}

std::unique_ptr<GoldenCheck> GoldenCheck::With(runtime::GoldenFile golden, const ir::Module& module,
                                               const ir::StepSignature& signature, double factor) {
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
  ALPA_TRY(auto outputs, OutputsToHost(signature_, trainer, result));
  ALPA_TRY(auto tensors, runtime::CompareWithGolden(golden_, step, module_, signature_, outputs, options_));
  ALPA_CHECK(tensors.size() == outputs.size());
  outputs_[step] = std::move(outputs);
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
