#include "alpa/driver/sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "alpa/base/file.h"
#include "alpa/runtime/permutation.h"

namespace alpa::driver {
namespace {

constexpr int64_t kBytes = 256;

Status CheckShapes(const ir::Module& module, const std::string& name, const std::vector<ir::HostTensor>& parameters) {
  auto bad = [&](const std::string& what) { return Error{Code::kMismatch, fmt::format("{}: {}", name, what), ""}; };
  if (module.inputs.size() != parameters.size() + 1 || module.outputs.size() != 1) {
    return bad(
        fmt::format("takes {} inputs, expected {} parameters and the ids", module.inputs.size(), parameters.size()));
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    const ir::Shape& wanted = module.shape(module.inputs[i]);
    if (wanted != parameters[i].shape()) {
      return bad(fmt::format("input {} is {}, the trained parameter {}", i, ir::ToString(wanted),
                             ir::ToString(parameters[i].shape())));
    }
  }
  const ir::Shape& ids = module.shape(module.inputs.back());
  if (ids.dtype != ir::DType::kS32 || ids.rank() != 2 || ids.dims[0] != 1) return bad("ids should be s32[1,seq]");
  const ir::Shape logits{ir::DType::kF32, {1, ids.dims[1], kBytes}};
  if (module.shape(module.outputs[0]) != logits) return bad(fmt::format("result should be {}", ir::ToString(logits)));
  return Ok();
}

// SplitMix64: small, and the same everywhere.
double NextUniform(uint64_t* state) {
  return static_cast<double>(runtime::Mix64(*state += 0x9e3779b97f4a7c15ULL) >> 11) * 0x1p-53;
}

}  // namespace

Result<std::unique_ptr<TextSampler>> TextSampler::Create(xla::Engine& engine, const std::filesystem::path& model,
                                                         const std::vector<ir::HostTensor>& parameters) {
  ALPA_TRY(const std::string bytes, ReadFile(model));
  ALPA_TRY(const xla::ImportedStep step, engine.Import(bytes, {model.string()}));
  ALPA_RETURN_IF_ERROR(CheckShapes(step.module, model.string(), parameters));
  std::unique_ptr<TextSampler> sampler(new TextSampler);
  sampler->mesh_ = cluster::MakeMesh({1});
  sampler->seq_ = step.module.shape(step.module.inputs.back()).dims[1];
  ALPA_TRY(sampler->client_, engine.CreateCpuClient(1));
  ALPA_TRY(sampler->executable_, sampler->client_->Compile(step, plan::Replicated(step.module, sampler->mesh_), {}));
  for (const ir::HostTensor& parameter : parameters) {
    ALPA_TRY(auto array, sampler->client_->Put(parameter, {}, sampler->mesh_));
    sampler->parameters_.push_back(std::move(array));
  }
  return sampler;
}

Result<int> TextSampler::NextByte(const std::string& text, const SampleOptions& options) {
  // The model is causal: what stands behind the text does not matter.
  const auto window = static_cast<int64_t>(std::min(text.size(), static_cast<size_t>(seq_)));
  ir::HostTensor ids(ir::Shape{ir::DType::kS32, {1, seq_}});
  for (int64_t i = 0; i < window; ++i) {
    const size_t at = text.size() - static_cast<size_t>(window) + static_cast<size_t>(i);
    ids.as<int32_t>()[static_cast<size_t>(i)] = static_cast<unsigned char>(text[at]);
  }
  ALPA_TRY(const auto input, client_->Put(ids, {}, mesh_));
  std::vector<xla::Array*> arguments;
  for (const auto& parameter : parameters_) arguments.push_back(parameter.get());
  arguments.push_back(input.get());
  ALPA_TRY(const auto results, executable_->Run(arguments));
  ALPA_TRY(const ir::HostTensor logits, results[0]->ToHost());
  const auto last = logits.as<float>().subspan(static_cast<size_t>((window - 1) * kBytes), kBytes);
  const float largest = *std::max_element(last.begin(), last.end());
  std::vector<double> weight(kBytes);
  double total = 0;
  for (size_t b = 0; b < kBytes; ++b) total += weight[b] = std::exp((last[b] - largest) / options.temperature);
  double rest = NextUniform(&random_) * total;
  for (int b = 0; b < kBytes; ++b) {
    rest -= weight[static_cast<size_t>(b)];
    if (rest <= 0) return b;
  }
  return static_cast<int>(kBytes) - 1;
}

Result<std::string> TextSampler::Continue(const std::string& prompt, const SampleOptions& options) {
  if (prompt.empty()) return Error{Code::kInvalidArgument, "the prompt is empty", "give at least one character"};
  random_ = options.seed;
  std::string text = prompt;
  for (int64_t i = 0; i < options.bytes; ++i) {
    ALPA_TRY(const int byte, NextByte(text, options));
    text.push_back(static_cast<char>(byte));
  }
  return text;
}

}  // namespace alpa::driver
