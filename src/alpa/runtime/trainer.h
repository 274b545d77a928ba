// Runs a compiled training step again and again, its state on the devices.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/ir/host_tensor.h"
#include "alpa/ir/step.h"
#include "alpa/plan/plan.h"
#include "alpa/sharding/block.h"
#include "alpa/xla/engine.h"

namespace alpa::runtime {

// Gives the value of input `input` of the module when it is needed.
using InputProvider = std::function<Result<ir::HostTensor>(int32_t input)>;

// A block of state tensor number `tensor` (of Trainer::state_inputs()), on the host.
struct StateValue {
  size_t tensor = 0;
  sharding::Block block;
  ir::HostTensor value;
};

// What one step gave.
struct StepResult {
  std::optional<double> loss;  // nothing when the step has none
  Seconds wall;                // from the call until the loss, or else every result, was there
  std::vector<std::unique_ptr<xla::Array>>
      results;  // as Trainer::result_outputs(), the loss among them; on the devices
};

// A step on its devices. Not thread-safe.
class Trainer {
 public:
  // Compiles the step as `plan` says, donating each state input to its update, and puts the state onto the devices,
  // taking one input after the other from `initial`. kInvalidInput when the plan gives a state input and its update
  // different layouts, or the loss is not a single number; kMismatch for a plan of another model or values of another
  // shape; errors of the engine and of `initial`. `client` must outlive the result. With `microbatches` above one, each
  // step runs in that many pieces, the plan being for one device (kInvalidArgument otherwise). Of state inputs that
  // `reads` denies (null: none) this process gets no value: others have the devices that they are for.
  static Result<std::unique_ptr<Trainer>> Create(xla::Client& client, const xla::ImportedStep& step,
                                                 const ir::StepSignature& signature, const plan::Plan& plan,
                                                 const InputProvider& initial,
                                                 const xla::MicrobatchSplit& microbatches = {},
                                                 std::function<bool(int32_t input)> reads = nullptr);

  // Runs one step on `batch` (one array per batch input, in order) and keeps the updated state. kMismatch when the
  // arrays are not of the inputs' shapes: nothing happened. After any other error the state is lost (its memory was
  // handed over), and every further step fails with kEnvironment until SetState.
  Result<StepResult> Step(const std::vector<xla::Array*>& batch);

  // The state on the host, in the order of state_inputs().
  Result<std::vector<ir::HostTensor>> StateToHost() const;
  // One state tensor, number `index` of state_inputs().
  Result<ir::HostTensor> StateToHost(size_t index) const;
  // What this process is to save: of all processes together each element of the state once, tensor after tensor; one
  // block where it has all of a tensor. Without messages.
  Result<std::vector<StateValue>> OwnStateToHost() const;
  // Replaces the whole state. When it fails, the state is lost as after a failed step.
  Status SetState(const InputProvider& values);
  // Replaces one state tensor, number `index` of state_inputs(). kMismatch for another shape: nothing happened.
  Status SetState(size_t index, const ir::HostTensor& value);

  // Which inputs of the module are state and batch, and which outputs are results.
  const std::vector<int32_t>& state_inputs() const { return state_inputs_; }
  const std::vector<int32_t>& batch_inputs() const { return batch_inputs_; }
  const std::vector<int32_t>& result_outputs() const { return result_outputs_; }
  // Layouts of the batch inputs, for the Prefetcher.
  std::vector<sharding::Spec> batch_specs() const;
  const cluster::Mesh& mesh() const { return plan_.mesh; }
  const xla::Executable& executable() const { return *executable_; }

 private:
  Trainer(xla::Client& client, const xla::ImportedStep& step, ir::StepSignature signature, plan::Plan plan);
  Status CheckState(size_t input, const ir::HostTensor& value) const;
  Status CheckBatch(const std::vector<xla::Array*>& batch) const;
  Status Finish(StepResult& result);

  xla::Client& client_;
  const ir::StepSignature signature_;
  const plan::Plan plan_;
  std::function<bool(int32_t input)> reads_;
  std::vector<ir::Shape> input_shapes_;
  std::vector<std::string> input_names_;
  std::vector<int32_t> state_inputs_, batch_inputs_, result_outputs_;
  std::unique_ptr<xla::Executable> executable_;
  std::vector<std::unique_ptr<xla::Array>> state_;  // as state_inputs_
  std::vector<xla::Array*> arguments_;              // as the module's inputs; the state's are always current
  bool state_lost_ = true;
};

}  // namespace alpa::runtime
