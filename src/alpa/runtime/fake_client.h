// For the tests of this folder: an engine that keeps arrays in host memory and runs a C++ function.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "alpa/runtime/test_support.h"
#include "alpa/xla/engine.h"

namespace alpa::runtime {

class FakeArray : public xla::Array {
 public:
  FakeArray(ir::HostTensor value, sharding::Spec spec, cluster::Mesh mesh)
      : value_(std::move(value)), spec_(std::move(spec)), mesh_(std::move(mesh)) {}

  const ir::Shape& shape() const override { return value_.shape(); }
  Status Wait() const override { return failure ? Status(*failure) : Ok(); }
  Result<ir::HostTensor> ToHost() const override {
    if (failure) return *failure;
    if (donated) return Error{Code::kEnvironment, "the array was donated", ""};
    return value_;
  }
  Result<std::vector<ir::HostTensor>> ShardsToHost() const override {
    std::vector<ir::HostTensor> out;
    const ir::Shape shard = sharding::ShardShape(spec_, shape(), mesh_);
    for (int64_t d = 0; d < mesh_.size(); ++d) {
      out.push_back(ir::SliceBlock(value_, sharding::ShardStart(spec_, shape(), mesh_, d), shard.dims));
    }
    return out;
  }
  Result<std::vector<xla::ArrayBlock>> OwnBlocksToHost(size_t number) const override {
    ALPA_TRY(const ir::HostTensor whole, ToHost());
    std::vector<xla::ArrayBlock> out;
    for (const auto& owned : sharding::OwnedBlocks(number, shape(), spec_, mesh_)) {
      out.push_back({owned.block, ir::SliceBlock(whole, owned.block.start, owned.block.extent)});
    }
    return out;
  }

  bool donated = false;
  std::optional<Error> failure;

 private:
  ir::HostTensor value_;
  sharding::Spec spec_;
  cluster::Mesh mesh_;
};

// Arguments in the module's order -> outputs in its order.
using FakeStep = std::function<Result<std::vector<ir::HostTensor>>(const std::vector<ir::HostTensor>&)>;

// What SumStep() says.
inline Result<std::vector<ir::HostTensor>> RunSumStep(const std::vector<ir::HostTensor>& arguments) {
  std::vector<ir::HostTensor> out = {arguments[0], arguments[1], ir::HostTensor(F32Shape({}))};
  const auto x = arguments[2].as<float>();
  for (size_t i = 0; i < x.size(); ++i) out[0].as<float>()[i % 2] += x[i];
  out[1].as<int32_t>()[0] += 1;
  out[2].as<float>()[0] = out[0].as<float>()[0] + out[0].as<float>()[1];
  return out;
}

class FakeExecutable : public xla::Executable {
 public:
  FakeExecutable(FakeStep step, xla::CompileOptions options, plan::Plan plan)
      : step_(std::move(step)), options_(std::move(options)), plan_(std::move(plan)) {}

  Result<std::vector<std::unique_ptr<xla::Array>>> Run(const std::vector<xla::Array*>& arguments) override {
    std::vector<ir::HostTensor> values;
    for (const xla::Array* argument : arguments) {
      ALPA_TRY(ir::HostTensor value, argument->ToHost());
      values.push_back(std::move(value));
    }
    for (const ir::Alias& a : options_.donate) {
      dynamic_cast<FakeArray*>(arguments[static_cast<size_t>(a.input)])->donated = true;
    }
    ALPA_TRY(std::vector<ir::HostTensor> results, step_(values));
    std::vector<std::unique_ptr<xla::Array>> out;
    for (size_t o = 0; o < results.size(); ++o) {
      out.push_back(std::make_unique<FakeArray>(std::move(results[o]), plan_.outputs[o], plan_.mesh));
    }
    return out;
  }
  const xla::ExecutableStats& stats() const override { return stats_; }
  Result<std::string> HloText() const override { return std::string("fake"); }

 private:
  FakeStep step_;
  xla::CompileOptions options_;
  plan::Plan plan_;
  xla::ExecutableStats stats_;
};

class FakeClient : public xla::Client {
 public:
  explicit FakeClient(FakeStep run = RunSumStep) : step(std::move(run)) {}

  std::string platform() const override { return "fake"; }
  int64_t device_count() const override { return 8; }
  Result<std::unique_ptr<xla::Executable>> Compile(const xla::ImportedStep&, const plan::Plan& plan,
                                                   const xla::CompileOptions& options) override {
    donated = options.donate;
    return std::unique_ptr<xla::Executable>(std::make_unique<FakeExecutable>(step, options, plan));
  }
  Result<std::unique_ptr<xla::Executable>> CompileMicrobatched(const xla::ImportedStep& imported,
                                                               const xla::MicrobatchSplit& split,
                                                               const xla::CompileOptions& options) override {
    microbatches = split.count;
    plan::Plan plan;
    plan.mesh = cluster::MakeMesh({1});
    plan.outputs.resize(imported.module.outputs.size());
    return Compile(imported, plan, options);
  }
  Result<std::unique_ptr<xla::Array>> Put(const ir::HostTensor& tensor, const sharding::Spec& spec,
                                          const cluster::Mesh& mesh) override {
    ++puts;
    if (puts > fail_after) return Error{Code::kEnvironment, "out of device memory", ""};
    return std::unique_ptr<xla::Array>(std::make_unique<FakeArray>(tensor, spec, mesh));
  }
  Result<std::unique_ptr<xla::Array>> PutParts(std::vector<ir::HostTensor>, const ir::Shape&, const sharding::Spec&,
                                               const cluster::Mesh&) override {
    return Error{Code::kUnsupported, "the fake client takes whole arrays", ""};
  }

  std::atomic<int> puts = 0;
  std::atomic<int> fail_after = 1'000'000;
  std::vector<ir::Alias> donated;
  int64_t microbatches = 0;  // of the last CompileMicrobatched()
  FakeStep step;             // what the next Compile() compiles
};

}  // namespace alpa::runtime
