// From a model file to an analysed step: the first two phases of every command.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/driver/phase.h"
#include "alpa/frontend/analyze_step.h"
#include "alpa/xla/engine.h"

namespace alpa::driver {

struct LoadOptions {
  std::filesystem::path model;
  std::optional<std::vector<int>> batch_args;  // --batch-args: these inputs are the batch
  std::optional<int> batch_dim;                // --batch-dim: where the batch lies in all of them
  int64_t max_unrolled_ops =
      xla::ImportOptions{}.max_unrolled_ops;  // --unroll: loops that would grow beyond this stay loops
};

struct LoadedStep {
  xla::ImportedStep step;
  frontend::StepAnalysis analysis;
  std::filesystem::path sidecar;  // MODEL.json with names and init rules, empty when there is none
};

// Reads, cleans and analyses the model. Inputs without names get those of the sidecar file MODEL.json, if there is one.
Result<LoadedStep> LoadStep(xla::Engine& engine, const LoadOptions& options, const Gate& gate);

}  // namespace alpa::driver
