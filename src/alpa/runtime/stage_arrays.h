// Arrays of a step that runs as a pipeline: what its arguments and results are.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/host_tensor.h"
#include "alpa/process/group.h"
#include "alpa/xla/engine.h"

namespace alpa::runtime {

using ArrayPtr = std::shared_ptr<xla::Array>;

// A whole array in host memory. Of several processes that have the same, one answers for it (OwnBlocksToHost).
class InHostMemory : public xla::Array {
 public:
  InHostMemory(ir::HostTensor tensor, bool answers) : tensor_(std::move(tensor)), answers_(answers) {}
  const ir::Shape& shape() const override { return tensor_.shape(); }
  Status Wait() const override { return Ok(); }
  Result<ir::HostTensor> ToHost() const override { return tensor_; }
  Result<std::vector<ir::HostTensor>> ShardsToHost() const override { return std::vector<ir::HostTensor>{tensor_}; }
  Result<std::vector<xla::ArrayBlock>> OwnBlocksToHost(size_t number) const override;
  const ir::HostTensor& tensor() const { return tensor_; }

 private:
  ir::HostTensor tensor_;
  bool answers_;
};

// The same, as an argument of a step.
std::unique_ptr<xla::Array> HostArray(ir::HostTensor tensor, bool answers = true);

// State of which this process has nothing and that no stage of it reads; where it is, it begins.
class Elsewhere : public xla::Array {
 public:
  explicit Elsewhere(ir::Shape shape) : shape_(std::move(shape)) {}
  const ir::Shape& shape() const override { return shape_; }
  Status Wait() const override { return Ok(); }
  Result<ir::HostTensor> ToHost() const override;  // kEnvironment
  Result<std::vector<ir::HostTensor>> ShardsToHost() const override { return std::vector<ir::HostTensor>(); }
  Result<std::vector<xla::ArrayBlock>> OwnBlocksToHost(size_t) const override { return std::vector<xla::ArrayBlock>(); }

 private:
  ir::Shape shape_;
};

// The whole of `array` in all processes of `group`, as process `root` has it; `array` is null where there is nothing of
// it. All processes call it together; `group` null: there is one process.
Result<ir::HostTensor> FromRoot(const xla::Array* array, const ir::Shape& shape, process::Group* group, int root);

// State on the devices of a stage, perhaps of other processes: then ToHost is called by all of them together.
class OnStage : public xla::Array {
 public:
  // `array`: null in processes that have no devices of the stage.
  OnStage(int stage, ir::Shape shape, ArrayPtr array, process::Group* group, int root)
      : stage_(stage), shape_(std::move(shape)), array_(std::move(array)), group_(group), root_(root) {}
  const ir::Shape& shape() const override { return shape_; }
  Status Wait() const override { return array_ == nullptr ? Ok() : array_->Wait(); }
  Result<ir::HostTensor> ToHost() const override { return FromRoot(array_.get(), shape_, group_, root_); }
  Result<std::vector<ir::HostTensor>> ShardsToHost() const override {
    if (array_ == nullptr) return std::vector<ir::HostTensor>();
    return array_->ShardsToHost();
  }
  Result<std::vector<xla::ArrayBlock>> OwnBlocksToHost(size_t number) const override {
    if (array_ == nullptr) return std::vector<xla::ArrayBlock>();
    return array_->OwnBlocksToHost(number);
  }
  int stage() const { return stage_; }
  const ArrayPtr& array() const { return array_; }

 private:
  int stage_;
  ir::Shape shape_;
  ArrayPtr array_;
  process::Group* group_;
  int root_;
};

}  // namespace alpa::runtime
