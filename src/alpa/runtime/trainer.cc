#include "alpa/runtime/trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "alpa/runtime/input_names.h"
#include "alpa/runtime/stage_arrays.h"

namespace alpa::runtime {
namespace {

size_t Index(int32_t i) { return static_cast<size_t>(i); }

// The input-output pairs that share memory.
std::vector<ir::Alias> Donations(const ir::StepSignature& signature) {
  std::vector<ir::Alias> out;
  for (size_t i = 0; i < signature.inputs.size(); ++i) {
    if (signature.inputs[i].role == ir::InputRole::kBatch) continue;
    out.push_back({signature.inputs[i].updated_by, static_cast<int32_t>(i)});
  }
  return out;
}

// An update becomes the next step's input as it lies, so both need one layout.
Status CheckLayouts(const plan::Plan& plan, const std::vector<ir::Alias>& donations,
                    const std::vector<std::string>& names) {
  for (const ir::Alias& a : donations) {
    const sharding::Spec& in = plan.inputs[Index(a.input)];
    const sharding::Spec& out = plan.outputs[Index(a.output)];
    if (in == out || (in.replicated() && out.replicated())) continue;
    return Error{Code::kInvalidInput,
                 fmt::format("the plan lays out state '{}' as {} but its update as {}", names[Index(a.input)],
                             sharding::ToString(in, plan.mesh), sharding::ToString(out, plan.mesh)),
                 "give both the same layout"};
  }
  return Ok();
}

// As one block, when these are all of the array.
std::vector<xla::ArrayBlock> JoinWhole(std::vector<xla::ArrayBlock> blocks, const ir::Shape& shape) {
  int64_t elements = 0;
  for (const xla::ArrayBlock& b : blocks) elements += sharding::Elements(b.block);
  if (blocks.size() <= 1 || elements != shape.elements()) return blocks;
  ir::HostTensor whole(shape);
  for (const xla::ArrayBlock& b : blocks) ir::PasteBlock(whole, b.value, b.block.start);
  blocks.clear();
  blocks.push_back({sharding::WholeBlock(shape), std::move(whole)});
  return blocks;
}

}  // namespace

Trainer::Trainer(xla::Client& client, const xla::ImportedStep& step, ir::StepSignature signature, plan::Plan plan)
    : client_(client),
      signature_(std::move(signature)),
      plan_(std::move(plan)),
      input_names_(UniqueInputNames(step.module)),
      arguments_(step.module.inputs.size(), nullptr) {
  for (const ir::ValueId v : step.module.inputs) input_shapes_.push_back(step.module.shape(v));
  for (size_t i = 0; i < signature_.inputs.size(); ++i) {
    const bool batch = signature_.inputs[i].role == ir::InputRole::kBatch;
    (batch ? batch_inputs_ : state_inputs_).push_back(static_cast<int32_t>(i));
  }
  for (size_t o = 0; o < signature_.outputs.size(); ++o) {
    if (signature_.outputs[o].role == ir::OutputRole::kResult) result_outputs_.push_back(static_cast<int32_t>(o));
  }
}

Result<std::unique_ptr<Trainer>> Trainer::Create(xla::Client& client, const xla::ImportedStep& step,
                                                 const ir::StepSignature& signature, const plan::Plan& plan,
                                                 const InputProvider& initial, const xla::MicrobatchSplit& microbatches,
                                                 std::function<bool(int32_t input)> reads) {
  ALPA_RETURN_IF_ERROR(ir::Verify(signature, step.module));
  ALPA_RETURN_IF_ERROR(plan::Verify(plan, step.module));
  if (signature.loss >= 0) {
    const ir::Shape& loss = step.module.shape(step.module.outputs[Index(signature.loss)]);
    if (loss.elements() != 1) {
      return Error{Code::kInvalidInput,
                   fmt::format("the loss (output {}) is {}, not a single number", signature.loss, ir::ToString(loss)),
                   ""};
    }
  }
  std::unique_ptr<Trainer> trainer(new Trainer(client, step, signature, plan));
  trainer->reads_ = std::move(reads);
  xla::CompileOptions options;
  options.donate = Donations(signature);
  ALPA_RETURN_IF_ERROR(CheckLayouts(plan, options.donate, trainer->input_names_));
  if (microbatches.count == 1) {
    ALPA_TRY(trainer->executable_, client.Compile(step, plan, options));
  } else {
    if (plan.mesh.size() > 1) {
      return Error{Code::kInvalidArgument,
                   fmt::format("{} microbatches on {} devices: not yet possible", microbatches.count, plan.mesh.size()),
                   "microbatches need a plan for one device"};
    }
    ALPA_TRY(trainer->executable_, client.CompileMicrobatched(step, microbatches, options));
  }
  ALPA_RETURN_IF_ERROR(trainer->SetState(initial));
  return trainer;
}

Status Trainer::SetState(const InputProvider& values) {
  state_lost_ = true;
  state_.clear();
  state_.resize(state_inputs_.size());
  for (size_t s = 0; s < state_inputs_.size(); ++s) {
    const size_t i = Index(state_inputs_[s]);
    if (reads_ != nullptr && !reads_(state_inputs_[s])) {
      state_[s] = std::make_unique<Elsewhere>(input_shapes_[i]);
      arguments_[i] = state_[s].get();
      continue;
    }
    ALPA_TRY(const ir::HostTensor value, values(state_inputs_[s]));
    ALPA_RETURN_IF_ERROR(CheckState(i, value));
    ALPA_TRY(state_[s], client_.Put(value, plan_.inputs[i], plan_.mesh));
    arguments_[i] = state_[s].get();
  }
  state_lost_ = false;
  return Ok();
}

Status Trainer::SetState(size_t index, const ir::HostTensor& value) {
  ALPA_CHECK(index < state_inputs_.size());
  if (state_lost_) return Error{Code::kEnvironment, "the state was lost in an earlier step that failed", ""};
  const size_t i = Index(state_inputs_[index]);
  ALPA_RETURN_IF_ERROR(CheckState(i, value));
  // The old array lives until the new one is there: who remembers it must not take the new one for it.
  ALPA_TRY(auto array, client_.Put(value, plan_.inputs[i], plan_.mesh));
  state_[index] = std::move(array);
  arguments_[i] = state_[index].get();
  return Ok();
}

Status Trainer::CheckState(size_t input, const ir::HostTensor& value) const {
  if (value.shape() == input_shapes_[input]) return Ok();
  return Error{Code::kMismatch,
               fmt::format("the value of state '{}' is {}, the model needs {}", input_names_[input],
                           ir::ToString(value.shape()), ir::ToString(input_shapes_[input])),
               ""};
}

Status Trainer::CheckBatch(const std::vector<xla::Array*>& batch) const {
  if (batch.size() != batch_inputs_.size()) {
    return Error{Code::kMismatch,
                 fmt::format("a batch of {} arrays, the step has {} batch inputs", batch.size(), batch_inputs_.size()),
                 ""};
  }
  for (size_t b = 0; b < batch.size(); ++b) {
    const size_t i = Index(batch_inputs_[b]);
    if (batch[b]->shape() == input_shapes_[i]) continue;
    return Error{Code::kMismatch,
                 fmt::format("batch input '{}' is {}, the step needs {}", input_names_[i],
                             ir::ToString(batch[b]->shape()), ir::ToString(input_shapes_[i])),
                 ""};
  }
  return Ok();
}

Result<StepResult> Trainer::Step(const std::vector<xla::Array*>& batch) {
  const auto start = std::chrono::steady_clock::now();
  if (state_lost_) {
    return Error{Code::kEnvironment, "the state was lost in an earlier step that failed",
                 "go on from the last checkpoint"};
  }
  ALPA_RETURN_IF_ERROR(CheckBatch(batch));
  for (size_t b = 0; b < batch.size(); ++b) arguments_[Index(batch_inputs_[b])] = batch[b];
  state_lost_ = true;
  ALPA_TRY(std::vector<std::unique_ptr<xla::Array>> outputs, executable_->Run(arguments_));
  ALPA_CHECK(outputs.size() == signature_.outputs.size());
  for (size_t s = 0; s < state_inputs_.size(); ++s) {
    const size_t i = Index(state_inputs_[s]);
    state_[s] = std::move(outputs[Index(signature_.inputs[i].updated_by)]);
    arguments_[i] = state_[s].get();
  }
  StepResult result;
  for (const int32_t o : result_outputs_) result.results.push_back(std::move(outputs[Index(o)]));
  ALPA_RETURN_IF_ERROR(Finish(result));
  state_lost_ = false;
  result.wall = Seconds(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return result;
}

// Waits for the step. All outputs of a step are there at once, so fetching the loss is enough.
Status Trainer::Finish(StepResult& result) {
  for (size_t r = 0; r < result_outputs_.size(); ++r) {
    if (result_outputs_[r] != signature_.loss) continue;
    ALPA_TRY(const ir::HostTensor loss, result.results[r]->ToHost());
    result.loss = ir::ElementAsDouble(loss, 0);
    return Ok();
  }
  for (const auto& array : result.results) ALPA_RETURN_IF_ERROR(array->Wait());
  if (!result.results.empty()) return Ok();
  for (const auto& array : state_) ALPA_RETURN_IF_ERROR(array->Wait());
  return Ok();
}

Result<std::vector<ir::HostTensor>> Trainer::StateToHost() const {
  std::vector<ir::HostTensor> out;
  for (size_t s = 0; s < state_inputs_.size(); ++s) {
    ALPA_TRY(ir::HostTensor tensor, StateToHost(s));
    out.push_back(std::move(tensor));
  }
  return out;
}

Result<ir::HostTensor> Trainer::StateToHost(size_t index) const {
  ALPA_CHECK(index < state_inputs_.size());
  if (state_lost_) return Error{Code::kEnvironment, "the state was lost in an earlier step that failed", ""};
  return state_[index]->ToHost();
}

Result<std::vector<StateValue>> Trainer::OwnStateToHost() const {
  if (state_lost_) return Error{Code::kEnvironment, "the state was lost in an earlier step that failed", ""};
  std::vector<StateValue> out;
  for (size_t s = 0; s < state_.size(); ++s) {
    ALPA_TRY(std::vector<xla::ArrayBlock> blocks, state_[s]->OwnBlocksToHost(s));
    for (xla::ArrayBlock& b : JoinWhole(std::move(blocks), state_[s]->shape())) {
      out.push_back({s, std::move(b.block), std::move(b.value)});
    }
  }
  return out;
}

std::vector<sharding::Spec> Trainer::batch_specs() const {
  std::vector<sharding::Spec> out;
  for (const int32_t i : batch_inputs_) out.push_back(plan_.inputs[Index(i)]);
  return out;
}

}  // namespace alpa::runtime
