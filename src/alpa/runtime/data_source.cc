#include "alpa/runtime/data_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "alpa/runtime/array_data.h"
#include "alpa/runtime/text_data.h"

namespace alpa::runtime {
namespace {

class FixedBatch : public DataSource {
 public:
  FixedBatch(std::vector<ir::HostTensor> batch, std::string description)
      : batch_(std::move(batch)), description_(std::move(description)) {}

  std::string Describe() const override { return description_; }
  int64_t batches_per_epoch() const override { return 1; }
  bool constant() const override { return true; }

 protected:
  Result<std::vector<ir::HostTensor>> Batch(int64_t) override { return batch_; }

 private:
  std::vector<ir::HostTensor> batch_;
  std::string description_;
};

}  // namespace

std::vector<BatchInput> BatchInputs(const ir::Module& module, const ir::StepSignature& signature,
                                    const std::vector<int>& batch_dims) {
  ALPA_CHECK(signature.inputs.size() == module.inputs.size() && batch_dims.size() == module.inputs.size());
  std::vector<BatchInput> out;
  for (size_t i = 0; i < signature.inputs.size(); ++i) {
    if (signature.inputs[i].role != ir::InputRole::kBatch) continue;
    out.push_back({static_cast<int32_t>(i), module.input_names.empty() ? "" : module.input_names[i],
                   module.shape(module.inputs[i]), std::max(batch_dims[i], -1)});
  }
  return out;
}

Result<std::vector<ir::HostTensor>> DataSource::Next() {
  auto batch = Batch(position_);
  if (batch.ok()) ++position_;
  return batch;
}

Status DataSource::Seek(int64_t position) {
  if (position < 0) {
    return Error{Code::kInvalidArgument, fmt::format("data position {}: must be at least 0", position), ""};
  }
  position_ = position;
  return Ok();
}

int64_t PositionInBatchesOf(int64_t position, int64_t per_epoch, int64_t other_per_epoch) {
  ALPA_CHECK(position >= 0 && per_epoch > 0 && other_per_epoch > 0);
  const int64_t epoch = position / per_epoch;
  const int64_t within = (position % per_epoch * other_per_epoch + per_epoch - 1) / per_epoch;
  return epoch * other_per_epoch + within;
}

std::unique_ptr<DataSource> MakeFixedBatch(std::vector<ir::HostTensor> batch, std::string description) {
  return std::make_unique<FixedBatch>(std::move(batch), std::move(description));
}

Result<std::unique_ptr<DataSource>> OpenData(const std::vector<std::string>& paths, const ir::Module& module,
                                             const ir::StepSignature& signature, const std::vector<int>& batch_dims,
                                             const DataOptions& options) {
  if (paths.empty()) return Error{Code::kInvalidArgument, "no data is given", ""};
  std::vector<BatchInput> inputs = BatchInputs(module, signature, batch_dims);
  if (inputs.empty()) {
    return Error{Code::kMismatch, fmt::format("the model '{}' has no batch inputs, it takes no data", module.name), ""};
  }
  const auto arrays = std::count_if(paths.begin(), paths.end(), [](const std::string& path) {
    const std::string extension = std::filesystem::path(path).extension().string();
    return extension == ".npz" || extension == ".npy";
  });
  if (arrays == static_cast<int64_t>(paths.size())) return OpenArrayData(paths, std::move(inputs), options);
  if (arrays == 0) return OpenTextData(paths, inputs, module, options);
  return Error{Code::kInvalidArgument, "arrays (.npz, .npy) and text are given together as data", "give one kind"};
}

}  // namespace alpa::runtime
