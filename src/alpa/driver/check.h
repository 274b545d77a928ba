// alpa run --check: does the step give the numbers that another program got?
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"
#include "alpa/runtime/compare.h"
#include "alpa/runtime/golden.h"
#include "alpa/runtime/trainer.h"

namespace alpa::driver {

// Collects what a run gives and compares it with a golden file.
class GoldenCheck {
 public:
  // Opens the file. `factor` scales all tolerances; they are ten times tighter for steps without optimizer state, whose
  // updates do not divide by small numbers.
  static Result<std::unique_ptr<GoldenCheck>> Open(const std::filesystem::path& file, const ir::Module& module,
                                                   const ir::StepSignature& signature, double factor);

  // The same with what another run of ours gave.
  static std::unique_ptr<GoldenCheck> With(runtime::GoldenFile golden, const ir::Module& module,
                                           const ir::StepSignature& signature, double factor);

  // The last step that the file says anything about.
  int64_t last_step() const;
  // Whether the file has the whole inputs, so that a run can start from them.
  bool has_inputs() const { return !golden_.sampled(); }

  // To be called after each step, in order.
  Status AfterStep(int64_t step, const runtime::Trainer& trainer, const runtime::StepResult& result);

  // For tensors and losses that are out of tolerance: how far can rounding alone carry this step? Runs it again from
  // parameters that are changed in their last bit, at random, and allows four times the largest change seen in a
  // tensor. No two implementations of a step can be expected to agree better than it agrees with itself; batch norm
  // over few values, and Adam where a gradient vanishes, turn one bit into visible differences. `trainer` is left in a
  // later state.
  Status AllowForRounding(runtime::Trainer& trainer, const runtime::InputProvider& initial,
                          const std::vector<xla::Array*>& batch);

  const runtime::Comparison& comparison() const { return comparison_; }
  // The table (all tensors, or the worst few) for the terminal.
  std::string Table(bool all_tensors) const;

 private:
  // How far this step moves when its parameters change in their last bits, at most.
  struct Spread {
    std::map<int64_t, std::vector<double>> outputs;  // by golden step and output
    std::vector<double> losses;                      // as comparison_.losses
  };
  Result<Spread> MeasureRounding(runtime::Trainer& trainer, const runtime::InputProvider& initial,
                                 const std::vector<xla::Array*>& batch) const;

  GoldenCheck(runtime::GoldenFile golden, const ir::Module& module, const ir::StepSignature& signature,
              runtime::CompareOptions options)
      : golden_(std::move(golden)), module_(module), signature_(signature), options_(options) {}

  runtime::GoldenFile golden_;
  const ir::Module& module_;
  const ir::StepSignature& signature_;
  runtime::CompareOptions options_;
  runtime::Comparison comparison_;
  std::map<int64_t, std::vector<ir::HostTensor>> outputs_;  // ours, by step, as long as the golden file has that step
};

// The outputs of the module after a step, in its order: updated state and results.
Result<std::vector<ir::HostTensor>> OutputsToHost(const ir::StepSignature& signature, const runtime::Trainer& trainer,
                                                  const runtime::StepResult& result);

// Changes each float of `tensor` that is not zero by as much as rounding may, at random: up to 32 units in the last
// place of f32 and f64, one of bf16 and f16.
void NudgeLastBits(ir::HostTensor& tensor, uint64_t seed);

}  // namespace alpa::driver
