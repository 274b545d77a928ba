// For the tests of this folder: folders that vanish, literal tensors, graphs written by hand.
#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alpa/base/file.h"
#include "alpa/ir/host_tensor.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"

namespace alpa::runtime {

// A new empty folder, removed at the end of its life.
class TempFolder {
 public:
  TempFolder() {
    static std::atomic<int> count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("alpa_runtime_test_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::filesystem::path Write(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

inline std::string Read(const std::filesystem::path& path) {
  auto bytes = ReadFile(path);
  ALPA_CHECK(bytes.ok(), path.string());
  return *std::move(bytes);
}

// A tensor with these elements, rounded to its type.
inline ir::HostTensor Tensor(ir::DType type, std::vector<int64_t> dims, const std::vector<double>& values) {
  ir::HostTensor tensor(ir::Shape{type, std::move(dims)});
  ALPA_CHECK(tensor.shape().elements() == static_cast<int64_t>(values.size()));
  for (size_t i = 0; i < values.size(); ++i) ir::SetElement(tensor, static_cast<int64_t>(i), values[i]);
  return tensor;
}
inline ir::HostTensor F32(std::vector<int64_t> dims, const std::vector<double>& values) {
  return Tensor(ir::DType::kF32, std::move(dims), values);
}
inline ir::HostTensor S32(std::vector<int64_t> dims, const std::vector<double>& values) {
  return Tensor(ir::DType::kS32, std::move(dims), values);
}

inline ir::Shape F32Shape(std::vector<int64_t> dims) { return {ir::DType::kF32, std::move(dims)}; }
inline ir::Shape S32Shape(std::vector<int64_t> dims) { return {ir::DType::kS32, std::move(dims)}; }

// Writes a graph op by op, and the roles of its inputs and outputs.
class StepBuilder {
 public:
  ir::ValueId Input(std::string name, ir::Shape shape, ir::InputRole role) {
    const ir::ValueId v = Op(ir::OpKind::kParameter, {}, std::move(shape));
    module.inputs.push_back(v);
    module.input_names.push_back(std::move(name));
    signature.inputs.push_back({role, -1, false});
    return v;
  }
  ir::ValueId Parameter(std::string name, ir::Shape shape) {
    return Input(std::move(name), std::move(shape), ir::InputRole::kParameter);
  }
  ir::ValueId State(std::string name, ir::Shape shape) {
    return Input(std::move(name), std::move(shape), ir::InputRole::kState);
  }
  ir::ValueId Batch(std::string name, ir::Shape shape) {
    return Input(std::move(name), std::move(shape), ir::InputRole::kBatch);
  }
  ir::ValueId Op(ir::OpKind kind, std::vector<ir::ValueId> operands, ir::Shape shape, ir::Attributes attributes = {}) {
    const auto id = static_cast<ir::OpId>(module.ops.size());
    const auto value = static_cast<ir::ValueId>(module.values.size());
    module.values.push_back({std::move(shape), id, 0});
    ir::Op op;
    op.kind = kind;
    op.name = std::string(ir::Name(kind)) + "." + std::to_string(id);
    op.operands = std::move(operands);
    op.results = {value};
    op.attributes = std::move(attributes);
    module.ops.push_back(std::move(op));
    return value;
  }
  // `value` is the next value of input number `input`.
  void Update(int32_t input, ir::ValueId value) {
    signature.inputs[static_cast<size_t>(input)].updated_by = static_cast<int32_t>(module.outputs.size());
    signature.outputs.push_back({ir::OutputRole::kUpdatedState, input});
    module.outputs.push_back(value);
  }
  void Result(ir::ValueId value) {
    signature.outputs.push_back({});
    module.outputs.push_back(value);
  }
  void Loss(ir::ValueId value) {
    signature.loss = static_cast<int32_t>(module.outputs.size());
    Result(value);
  }

  ir::Module module;
  ir::StepSignature signature;
};

// The step that fake_client.h runs: w f32[2] += sum of the rows of x f32[4, 2], count s32[] += 1, loss = sum of w.
inline StepBuilder SumStep(std::string name = "sum") {
  StepBuilder b;
  b.module.name = std::move(name);
  const auto w = b.Parameter("params.w", F32Shape({2}));
  const auto count = b.State("count", S32Shape({}));
  const auto x = b.Batch("batch.x", F32Shape({4, 2}));
  const auto rows = b.Op(ir::OpKind::kReduce, {x}, F32Shape({2}), ir::DimsAttr{{0}});
  b.Update(0, b.Op(ir::OpKind::kAdd, {w, rows}, F32Shape({2})));
  const auto one = b.Op(ir::OpKind::kConstant, {}, S32Shape({}), ir::ConstantAttr{1, true, 1});
  b.Update(1, b.Op(ir::OpKind::kAdd, {count, one}, S32Shape({})));
  b.Loss(b.Op(ir::OpKind::kReduce, {w}, F32Shape({}), ir::DimsAttr{{0}}));
  return b;
}

}  // namespace alpa::runtime
