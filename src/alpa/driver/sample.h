// Text from a byte-level language model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/host_tensor.h"
#include "alpa/xla/engine.h"

namespace alpa::driver {

struct SampleOptions {
  int64_t bytes = 300;
  double temperature = 0.7;  // below 1: likelier bytes are preferred
  uint64_t seed = 0;
};

// Runs a model of (parameters..., ids s32[1,seq]) -> logits f32[1,seq,256] on one device.
class TextSampler {
 public:
  // Reads and compiles the model. `parameters` must have the shapes of its inputs but the last (kMismatch otherwise).
  static Result<std::unique_ptr<TextSampler>> Create(xla::Engine& engine, const std::filesystem::path& model,
                                                     const std::vector<ir::HostTensor>& parameters);

  // `prompt` and what the model writes behind it.
  Result<std::string> Continue(const std::string& prompt, const SampleOptions& options);

 private:
  TextSampler() = default;
  Result<int> NextByte(const std::string& text, const SampleOptions& options);

  std::unique_ptr<xla::Client> client_;
  std::unique_ptr<xla::Executable> executable_;
  std::vector<std::unique_ptr<xla::Array>> parameters_;
  cluster::Mesh mesh_;
  int64_t seq_ = 0;
  uint64_t random_ = 0;
};

}  // namespace alpa::driver
