#include "alpa/runtime/pipeline_executable.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "alpa/process/agree.h"
#include "alpa/runtime/exchange.h"
#include "alpa/runtime/mailbox.h"
#include "alpa/runtime/stage_plan.h"

namespace alpa::runtime {
namespace {

using schedule::Instruction;
using schedule::Op;
using xla::StageProgram;
using xla::StageValue;
using Kind = StageValue::Kind;
using ArrayPtr = std::shared_ptr<xla::Array>;
using Clock = std::chrono::steady_clock;

// ---- arrays of the step

class InHostMemory : public xla::Array {
 public:
  explicit InHostMemory(ir::HostTensor tensor) : tensor_(std::move(tensor)) {}
  const ir::Shape& shape() const override { return tensor_.shape(); }
  Status Wait() const override { return Ok(); }
  Result<ir::HostTensor> ToHost() const override { return tensor_; }
  Result<std::vector<ir::HostTensor>> ShardsToHost() const override { return std::vector<ir::HostTensor>{tensor_}; }
  const ir::HostTensor& tensor() const { return tensor_; }

 private:
  ir::HostTensor tensor_;
};

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
  int stage() const { return stage_; }
  const ArrayPtr& array() const { return array_; }

  // The whole array in all processes, as the one that answers for its mesh has it.
  static Result<ir::HostTensor> FromRoot(const xla::Array* array, const ir::Shape& shape, process::Group* group,
                                         int root) {
    if (group == nullptr) return array->ToHost();
    ir::HostTensor out;
    if (array != nullptr) {
      ALPA_TRY(out, array->ToHost());  // together with the other processes of its mesh
    }
    const bool here = group->rank() == root;
    ALPA_TRY(const std::string bytes, process::Broadcast(*group, root, here ? std::string(out.view()) : ""));
    if (here) return out;
    ir::HostTensor received(shape);
    ALPA_CHECK(bytes.size() == received.bytes().size(), ir::ToString(shape));
    std::memcpy(received.bytes().data(), bytes.data(), bytes.size());
    return received;
  }

 private:
  int stage_;
  ir::Shape shape_;
  ArrayPtr array_;
  process::Group* group_;
  int root_;
};

// ---- what is compiled

struct Compiled {
  const StageProgram* program = nullptr;  // null: nothing to do
  std::unique_ptr<xla::Executable> executable;
};

struct CompiledStage {
  Compiled begin, prologue, forward, backward, weight;
  std::vector<Compiled> once;
  std::set<StageValue> read_in_backward, read_in_weight;  // of each microbatch
};

class PipelineExecutable : public xla::Executable {
 public:
  PipelineExecutable(std::vector<xla::Client*> clients, const PipelineSetup& setup, const PipelineOptions& options)
      : clients_(std::move(clients)),
        setup_(setup),
        options_(options),
        exchange_(setup, options.group),
        stages_(setup.stages.size()) {
    for (int m = 0; m < setup.pipeline.meshes; ++m) {
      activities_.push_back(options.watch != nullptr && exchange_.IsHere(m) ? &options.watch->AddActivity() : nullptr);
    }
  }

  Status Compile() {
    const auto start = Clock::now();
    std::atomic<size_t> next{0};
    std::mutex mutex;
    std::optional<Error> error;
    const auto work = [&] {
      for (size_t s = next++; s < stages_.size(); s = next++) {
        const Status status = CompileStage(s);
        const std::lock_guard lock(mutex);
        if (!status.ok() && !error) {
          error =
              Error{status.error().code, fmt::format("stage {}: {}", s, status.error().message), status.error().hint};
        }
      }
    };
    std::vector<std::thread> threads;
    const auto count = std::min<size_t>(stages_.size(), std::max(1U, std::thread::hardware_concurrency()));
    for (size_t t = 1; t < count; ++t) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
    if (error) return *error;
    MakeRoutes();
    stats_.compile_time = Seconds(std::chrono::duration<double>(Clock::now() - start).count());
    return Ok();
  }

  Result<std::vector<std::unique_ptr<xla::Array>>> Run(const std::vector<xla::Array*>& arguments) override;

  const xla::ExecutableStats& stats() const override { return stats_; }

  Result<std::string> HloText() const override {
    std::string out;
    for (size_t s = 0; s < stages_.size(); ++s) {
      const CompiledStage& stage = stages_[s];
      std::vector<const Compiled*> all = {&stage.begin, &stage.prologue, &stage.forward, &stage.backward,
                                          &stage.weight};
      for (const Compiled& once : stage.once) all.push_back(&once);
      for (const Compiled* c : all) {
        if (c->program == nullptr) continue;
        ALPA_TRY(const std::string text, c->executable->HloText());
        out += fmt::format("// stage {}: {}\n{}\n", s, c->program->step.module.name, text);
      }
    }
    return out;
  }

 private:
  friend class StepRun;

  const PipelineStage& SetupOf(size_t s) const { return setup_.stages[s]; }
  bool IsHere(size_t s) const { return exchange_.IsHere(setup_.pipeline.stages[s].mesh); }
  xla::Client& ClientOf(size_t s) const { return *clients_[static_cast<size_t>(setup_.pipeline.stages[s].mesh)]; }

  Status CompileStage(size_t s) {
    if (!IsHere(s)) return Ok();
    const PipelineStage& setup = SetupOf(s);
    CompiledStage& stage = stages_[s];
    const xla::StagePrograms& p = setup.programs;
    ALPA_TRY(stage.begin, CompileProgram(s, p.begin));
    ALPA_TRY(stage.prologue, CompileProgram(s, p.prologue));
    ALPA_TRY(stage.forward, CompileProgram(s, p.forward));
    ALPA_TRY(stage.backward, CompileProgram(s, p.backward));
    ALPA_TRY(stage.weight, CompileProgram(s, p.weight));
    for (const StageProgram& once : p.once) {
      ALPA_TRY(Compiled compiled, CompileProgram(s, once));
      stage.once.push_back(std::move(compiled));
    }
    stage.read_in_backward.insert(p.backward.inputs.begin(), p.backward.inputs.end());
    stage.read_in_weight.insert(p.weight.inputs.begin(), p.weight.inputs.end());
    return Ok();
  }

  Result<Compiled> CompileProgram(size_t s, const StageProgram& program) {
    Compiled out;
    if (program.empty()) return out;
    xla::CompileOptions options;
    options.donate = DonationsOf(SetupOf(s), program);
    out.program = &program;
    ALPA_TRY(out.executable, ClientOf(s).Compile(program.step, PlanOf(SetupOf(s), program), options));
    const xla::ExecutableStats& stats = out.executable->stats();
    const std::lock_guard lock(stats_mutex_);
    stats_.temporary_bytes = std::max(stats_.temporary_bytes, stats.temporary_bytes);
    return out;
  }

  // Accumulators are overwritten, and state in the round that computes its new value.
  static std::vector<ir::Alias> DonationsOf(const PipelineStage& stage, const StageProgram& program) {
    std::vector<ir::Alias> out;
    for (size_t o = 0; o < program.outputs.size(); ++o) {
      StageValue from = program.outputs[o];
      if (from.kind == Kind::kOutput) {
        const int updates = stage.outputs[static_cast<size_t>(from.index)].updates;
        if (updates < 0) continue;
        if (!(stage.layout.inputs[static_cast<size_t>(updates)] ==
              stage.layout.outputs[static_cast<size_t>(from.index)])) {
          continue;
        }
        from = {Kind::kInput, updates};
      } else if (from.kind != Kind::kAccumulator) {
        continue;
      }
      const auto input = std::find(program.inputs.begin(), program.inputs.end(), from);
      if (input == program.inputs.end()) continue;
      out.push_back({static_cast<int32_t>(o), static_cast<int32_t>(input - program.inputs.begin())});
    }
    return out;
  }

  // ---- routes

  // The shape in which a value enters a stage: that of one microbatch.
  ir::Shape ShapeOfInput(size_t s, int input) const {
    const xla::StagePrograms& p = SetupOf(s).programs;
    std::vector<const StageProgram*> all = {&p.forward, &p.backward, &p.weight, &p.prologue};
    for (const StageProgram& once : p.once) all.push_back(&once);
    for (const StageProgram* program : all) {
      const auto at = std::find(program->inputs.begin(), program->inputs.end(), StageValue{Kind::kInput, input});
      if (at == program->inputs.end()) continue;
      const ir::Module& module = program->step.module;
      return module.shape(module.inputs[static_cast<size_t>(at - program->inputs.begin())]);
    }
    return {};
  }

  Route MakeRoute(int from_stage, int to_stage, const PassedValue& value) {
    const auto from = static_cast<size_t>(from_stage), to = static_cast<size_t>(to_stage);
    const ir::Shape shape = ShapeOfInput(to, value.input);
    return exchange_.MakeRoute(from_stage, to_stage, value, shape,
                               SpecOf(SetupOf(from), {Kind::kOutput, value.output}, shape),
                               SpecOf(SetupOf(to), {Kind::kInput, value.input}, shape));
  }

  void MakeRoutes() {
    const schedule::Pipeline& p = setup_.pipeline;
    for (size_t e = 0; e < p.edges.size(); ++e) {
      auto& forward = forward_.emplace_back();
      auto& backward = backward_.emplace_back();
      for (const PassedValue& v : setup_.edges[e].forward) {
        forward.push_back(MakeRoute(p.edges[e].from, p.edges[e].to, v));
      }
      for (const PassedValue& v : setup_.edges[e].backward) {
        backward.push_back(MakeRoute(p.edges[e].to, p.edges[e].from, v));
      }
    }
    for (size_t e = 0; e < p.step_edges.size(); ++e) {
      auto& step = step_.emplace_back();
      for (const PassedValue& v : setup_.step_edges[e].forward) {
        step.push_back(MakeRoute(p.step_edges[e].from, p.step_edges[e].to, v));
      }
    }
  }

  std::vector<xla::Client*> clients_;
  const PipelineSetup& setup_;
  const PipelineOptions options_;
  Exchange exchange_;
  std::vector<process::Activity*> activities_;  // by mesh; null: not here, or nobody watches
  int64_t step_number_ = 0;
  std::vector<CompiledStage> stages_;
  std::vector<std::vector<Route>> forward_, backward_, step_;  // by edge, edge, step edge
  xla::ExecutableStats stats_;
  std::mutex stats_mutex_;
  // Shared state as the stages that do not own it have it, by (stage, input), with the owner's array it goes with.
  struct SharedCopy {
    const xla::Array* owner = nullptr;
    ArrayPtr array;
  };
  std::map<std::pair<int, int>, SharedCopy> shared_;
};

// One execution of a step.
class StepRun {
 public:
  StepRun(PipelineExecutable& parent, const std::vector<xla::Array*>& arguments)
      : parent_(parent),
        setup_(parent.setup_),
        exchange_(parent.exchange_),
        arguments_(arguments),
        stages_(setup_.stages.size()),
        outboxes_(static_cast<size_t>(setup_.pipeline.meshes)),
        timeline_(static_cast<size_t>(setup_.pipeline.meshes)),
        times_(static_cast<size_t>(setup_.pipeline.meshes)) {
    for (int m = 0; m < setup_.pipeline.meshes; ++m) times_[static_cast<size_t>(m)].here = exchange_.IsHere(m);
  }

  Result<std::vector<std::unique_ptr<xla::Array>>> Run() {
    start_ = Clock::now();
    ++parent_.step_number_;
    for (size_t s = 0; s < stages_.size(); ++s) {
      stages_[s].results.resize(setup_.stages[s].outputs.size());
      stages_[s].examples.resize(setup_.stages[s].outputs.size());
      if (parent_.IsHere(s)) ALPA_RETURN_IF_ERROR(Prepare(s));
    }
    std::vector<std::thread> threads;
    for (size_t m = 0; m < outboxes_.size(); ++m) {
      if (!exchange_.IsHere(static_cast<int>(m))) continue;
      threads.emplace_back([this, m] { Work(m); });
      threads.emplace_back([this, m] { Deliver(m); });
      if (exchange_.group() != nullptr) threads.emplace_back([this, m] { Collect(m); });
    }
    for (std::thread& thread : threads) thread.join();
    if (exchange_.group() != nullptr && !mailbox_.error()) {
      if (const Status status = exchange_.Flush(stopped_); !status.ok()) return status.error();
    }
    if (const auto error = mailbox_.error()) return *error;
    return Finish();
  }

 private:
  struct StageState {
    std::vector<ArrayPtr> once;                        // by input: what comes once per step
    std::map<std::pair<int, int64_t>, ArrayPtr> each;  // by input and microbatch
    std::map<int64_t, std::vector<ArrayPtr>> kept, given;
    std::vector<ArrayPtr> accumulators;
    // Outputs that wait to be sent, by microbatch (-1: once), and to how many.
    std::map<std::pair<int, int64_t>, std::pair<ArrayPtr, int>> to_send;
    std::vector<ArrayPtr> results;                          // by output: once per step
    std::vector<std::unique_ptr<ir::HostTensor>> examples;  // by output
    bool begun = false, summed = false;
  };

  struct Job {
    const Route* route = nullptr;
    ArrayPtr value;
    int64_t microbatch = -1;
  };
  struct Outbox {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Job> jobs;
    bool closed = false;
  };

  size_t MeshOf(size_t stage) const { return static_cast<size_t>(setup_.pipeline.stages[stage].mesh); }
  double Now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  // ---- before the step

  // State and what else comes once per step.
  Status Prepare(size_t s) {
    const PipelineStage& setup = setup_.stages[s];
    StageState& state = stages_[s];
    state.once.resize(setup.inputs.size());
    state.accumulators.resize(setup.programs.accumulated.size());
    for (size_t k = 0; k < setup.inputs.size(); ++k) {
      const StageInput& input = setup.inputs[k];
      if (input.step_input < 0 || input.batch_dim >= 0) continue;
      xla::Array* argument = arguments_[static_cast<size_t>(input.step_input)];
      auto* on_stage = dynamic_cast<OnStage*>(argument);
      if (!input.shared && on_stage != nullptr && on_stage->stage() == static_cast<int>(s)) {
        state.once[k] = on_stage->array();
        continue;
      }
      const auto at = parent_.shared_.find({static_cast<int>(s), static_cast<int>(k)});
      if (input.shared && at != parent_.shared_.end() && at->second.owner == argument) {
        state.once[k] = at->second.array;
        continue;
      }
      const ir::Shape& shape = setup.module.shape(setup.module.inputs[k]);
      ALPA_TRY(const ir::HostTensor tensor, argument->ToHost());
      ALPA_TRY(std::unique_ptr<xla::Array> array,
               parent_.ClientOf(s).Put(tensor, SpecOf(setup, {Kind::kInput, static_cast<int>(k)}, shape),
                                       setup.layout.mesh));
      state.once[k] = std::move(array);
    }
    return Ok();
  }

  // ---- instructions

  void Work(size_t mesh) {
    for (const Instruction& instruction : setup_.program.meshes[mesh]) {
      const double start = Now();
      if (process::Activity* activity = parent_.activities_[mesh]; activity != nullptr) {
        activity->Set(fmt::format("step {}, mesh {}, {}", parent_.step_number_, mesh, schedule::ToString(instruction)),
                      schedule::IsReceive(instruction.op));
      }
      if (const Status status = Execute(instruction); !status.ok()) {
        mailbox_.Fail(status.error());
        break;
      }
      if (mailbox_.error()) break;
      if (parent_.options_.timeline != nullptr) timeline_[mesh].push_back({instruction, start, Now()});
    }
    if (process::Activity* activity = parent_.activities_[mesh]; activity != nullptr) {
      activity->Set(fmt::format("step {}, mesh {}, done", parent_.step_number_, mesh), true);
    }
    Outbox& outbox = outboxes_[mesh];
    const std::lock_guard lock(outbox.mutex);
    outbox.closed = true;
    outbox.changed.notify_all();
  }

  Status Execute(const Instruction& i) {
    const auto index = static_cast<size_t>(i.index);
    switch (i.op) {
      case Op::kForward:
        return Forward(index, i.microbatch);
      case Op::kBackward:
      case Op::kBackwardInput:
        return Pass(index, parent_.stages_[index].backward, i.microbatch);
      case Op::kBackwardWeight:
        return Pass(index, parent_.stages_[index].weight, i.microbatch);
      case Op::kUpdate:
        ALPA_RETURN_IF_ERROR(SumUp(index));
        return Pass(index, parent_.stages_[index].once[static_cast<size_t>(i.microbatch) + 1], -1);
      case Op::kSendActivation:
        return Send(parent_.forward_[index], i.microbatch);
      case Op::kSendCotangent:
        return Send(parent_.backward_[index], i.microbatch);
      case Op::kSendStep:
        ALPA_RETURN_IF_ERROR(SumUp(static_cast<size_t>(setup_.pipeline.step_edges[index].from)));
        return Send(parent_.step_[index], -1);
      case Op::kReceiveActivation:
        return Receive(parent_.forward_[index], i.microbatch);
      case Op::kReceiveCotangent:
        return Receive(parent_.backward_[index], i.microbatch);
      case Op::kReceiveStep:
        return Receive(parent_.step_[index], -1);
      case Op::kFreeInput:
        FreeInputs(parent_.forward_[index], i.microbatch, /*after_backward=*/false);
        return Ok();
      case Op::kFreeCotangent:
        FreeInputs(parent_.backward_[index], i.microbatch, /*after_backward=*/true);
        return Ok();
      case Op::kFreeActivations:
        FreeMicrobatch(index, i.microbatch, !schedule::SplitsBackward(setup_.pipeline.kind));
        return Ok();
      case Op::kFreeWeightInputs:
        FreeMicrobatch(index, i.microbatch, true);
        return Ok();
      case Op::kFreeStep:
        return Ok();
    }
    return Ok();
  }

  Status Forward(size_t s, int64_t microbatch) {
    StageState& state = stages_[s];
    if (!state.begun) {
      state.begun = true;
      ALPA_RETURN_IF_ERROR(Pass(s, parent_.stages_[s].begin, -1));
      if (parent_.stages_[s].prologue.program != nullptr) {
        for (int64_t k = 0; k < setup_.pipeline.microbatches; ++k) {
          ALPA_RETURN_IF_ERROR(Pass(s, parent_.stages_[s].prologue, k));
        }
      }
    }
    return Pass(s, parent_.stages_[s].forward, microbatch);
  }

  // What is done between the last microbatch and the update.
  Status SumUp(size_t s) {
    StageState& state = stages_[s];
    if (state.summed) return Ok();
    state.summed = true;
    return Pass(s, parent_.stages_[s].once[0], -1);
  }

  // Runs a program and takes what it gives. Waits for it: launched ahead, programs would all hold their temporary
  // memory at once.
  Status Pass(size_t s, const Compiled& compiled, int64_t microbatch) {
    if (compiled.program == nullptr) return Ok();
    const StageProgram& program = *compiled.program;
    std::vector<ArrayPtr> inputs;
    std::vector<xla::Array*> arguments;
    for (size_t k = 0; k < program.inputs.size(); ++k) {
      const ir::Module& module = program.step.module;
      ALPA_TRY(ArrayPtr input, Find(s, program.inputs[k], microbatch, module.shape(module.inputs[k])));
      arguments.push_back(input.get());
      inputs.push_back(std::move(input));
    }
    const double start = Now();
    ALPA_TRY(auto results, compiled.executable->Run(arguments));
    for (const auto& result : results) ALPA_RETURN_IF_ERROR(result->Wait());
    times_[MeshOf(s)].computing += Now() - start;
    for (size_t o = 0; o < results.size(); ++o) {
      ALPA_RETURN_IF_ERROR(Keep(s, program.outputs[o], microbatch, std::move(results[o])));
    }
    return Ok();
  }

  Result<ArrayPtr> Find(size_t s, const StageValue& value, int64_t microbatch, const ir::Shape& shape) {
    StageState& state = stages_[s];
    const auto index = static_cast<size_t>(value.index);
    switch (value.kind) {
      case Kind::kKept:
        return state.kept.at(microbatch)[index];
      case Kind::kGiven:
        return state.given.at(microbatch)[index];
      case Kind::kAccumulator:
        return state.accumulators[index];
      case Kind::kNumber: {
        ir::HostTensor number(shape);
        number.as<uint32_t>()[0] = static_cast<uint32_t>(microbatch);
        return PutOn(s, number, {});
      }
      case Kind::kInput:
        break;
      case Kind::kOutput:
        ALPA_CHECK(false, "no program reads outputs");
    }
    const StageInput& input = setup_.stages[s].inputs[index];
    if (input.batch_dim >= 0) return BatchBlock(s, value, microbatch, shape);
    if (!input.each) {
      if (state.once[index] == nullptr) {
        state.once[index] = Await(static_cast<int>(s), value.index, -1);
        if (state.once[index] == nullptr) return Stopped();
      }
      return state.once[index];
    }
    ArrayPtr& each = state.each[{value.index, microbatch}];
    if (each == nullptr) each = Await(static_cast<int>(s), value.index, microbatch);
    if (each == nullptr) return Stopped();
    return each;
  }

  ArrayPtr Await(int stage, int input, int64_t microbatch) {
    const double start = Now();
    ArrayPtr value = mailbox_.Take({stage, input, microbatch});
    times_[MeshOf(static_cast<size_t>(stage))].waiting += Now() - start;
    return value;
  }
  Error Stopped() const { return *mailbox_.error(); }

  Result<ArrayPtr> PutOn(size_t s, const ir::HostTensor& tensor, const sharding::Spec& spec) {
    ALPA_TRY(std::unique_ptr<xla::Array> array, parent_.ClientOf(s).Put(tensor, spec, setup_.stages[s].layout.mesh));
    return ArrayPtr(std::move(array));
  }

  // The microbatch's block of a batch input, kept until the microbatch is through.
  Result<ArrayPtr> BatchBlock(size_t s, const StageValue& value, int64_t microbatch, const ir::Shape& shape) {
    ArrayPtr& block = stages_[s].each[{value.index, microbatch}];
    if (block != nullptr) return block;
    const StageInput& input = setup_.stages[s].inputs[static_cast<size_t>(value.index)];
    const auto* argument = dynamic_cast<InHostMemory*>(arguments_[static_cast<size_t>(input.step_input)]);
    ALPA_CHECK(argument != nullptr, "batches are given in host memory");
    std::vector<int64_t> start(shape.dims.size(), 0);
    const auto dim = static_cast<size_t>(input.batch_dim);
    start[dim] = microbatch * shape.dims[dim];
    ALPA_TRY(block,
             PutOn(s, ir::SliceBlock(argument->tensor(), start, shape.dims), SpecOf(setup_.stages[s], value, shape)));
    return block;
  }

  Status Keep(size_t s, const StageValue& value, int64_t microbatch, std::unique_ptr<xla::Array> result) {
    StageState& state = stages_[s];
    const auto index = static_cast<size_t>(value.index);
    const auto put = [&](std::vector<ArrayPtr>& list, size_t size) {
      list.resize(size);
      list[index] = std::move(result);
    };
    switch (value.kind) {
      case Kind::kKept:
        put(state.kept[microbatch], setup_.stages[s].programs.kept.size());
        return Ok();
      case Kind::kGiven:
        put(state.given[microbatch], setup_.stages[s].programs.given.size());
        return Ok();
      case Kind::kAccumulator:
        state.accumulators[index] = std::move(result);
        return Ok();
      case Kind::kOutput:
        return KeepOutput(s, value.index, microbatch, std::move(result));
      default:
        ALPA_CHECK(false, "no program gives inputs");
    }
    return Ok();
  }

  Status KeepOutput(size_t s, int output, int64_t microbatch, ArrayPtr result) {
    StageState& state = stages_[s];
    const StageOutput& about = setup_.stages[s].outputs[static_cast<size_t>(output)];
    if (about.examples_dim >= 0) return KeepExamples(s, output, microbatch, *result);
    if (microbatch < 0) state.results[static_cast<size_t>(output)] = result;
    // Values that stay on this mesh are delivered at once, the others when the list says so.
    int waiting = 0;
    for (const auto* routes : {&parent_.forward_, &parent_.backward_, &parent_.step_}) {
      for (const auto& edge : *routes) {
        for (const Route& route : edge) {
          if (route.from_stage != static_cast<int>(s) || route.output != output) continue;
          if (MeshOf(static_cast<size_t>(route.to_stage)) == MeshOf(s)) {
            ALPA_RETURN_IF_ERROR(DeliverOne({&route, result, microbatch}));
          } else {
            ++waiting;
          }
        }
      }
    }
    if (waiting > 0) state.to_send[{output, microbatch}] = {std::move(result), waiting};
    return Ok();
  }

  Status KeepExamples(size_t s, int output, int64_t microbatch, const xla::Array& result) {
    const StageOutput& about = setup_.stages[s].outputs[static_cast<size_t>(output)];
    ALPA_TRY(const ir::HostTensor block, result.ToHost());
    const auto dim = static_cast<size_t>(about.examples_dim);
    auto& whole = stages_[s].examples[static_cast<size_t>(output)];
    if (whole == nullptr) {
      ir::Shape shape = block.shape();
      shape.dims[dim] *= setup_.pipeline.microbatches;
      whole = std::make_unique<ir::HostTensor>(shape);
    }
    std::vector<int64_t> start(block.shape().dims.size(), 0);
    start[dim] = microbatch * block.shape().dims[dim];
    ir::PasteBlock(*whole, block, start);
    return Ok();
  }

  // ---- between stages

  Status Send(const std::vector<Route>& routes, int64_t microbatch) {
    for (const Route& route : routes) {
      const auto s = static_cast<size_t>(route.from_stage);
      const auto at = stages_[s].to_send.find({route.output, microbatch});
      ALPA_CHECK(at != stages_[s].to_send.end(), fmt::format("output {} of stage {}", route.output, s));
      ArrayPtr value = at->second.first;
      if (--at->second.second == 0) stages_[s].to_send.erase(at);
      Outbox& outbox = outboxes_[MeshOf(s)];
      const std::lock_guard lock(outbox.mutex);
      outbox.jobs.push_back({&route, std::move(value), microbatch});
      outbox.changed.notify_all();
    }
    return Ok();
  }

  Status Receive(const std::vector<Route>& routes, int64_t microbatch) {
    for (const Route& route : routes) {
      StageState& state = stages_[static_cast<size_t>(route.to_stage)];
      ArrayPtr value = Await(route.to_stage, route.input, microbatch);
      if (value == nullptr) return Stopped();
      if (microbatch >= 0) {
        state.each[{route.input, microbatch}] = std::move(value);
      } else {
        state.once[static_cast<size_t>(route.input)] = std::move(value);
      }
    }
    return Ok();
  }

  void Deliver(size_t mesh) {
    Outbox& outbox = outboxes_[mesh];
    while (true) {
      Job job;
      {
        std::unique_lock lock(outbox.mutex);
        outbox.changed.wait(lock, [&] { return outbox.closed || !outbox.jobs.empty(); });
        if (outbox.jobs.empty()) return;
        job = std::move(outbox.jobs.front());
        outbox.jobs.pop_front();
      }
      if (const Status status = DeliverOne(job); !status.ok()) {
        mailbox_.Fail(status.error());
        return;
      }
    }
  }

  Status DeliverOne(const Job& job) {
    const Route& route = *job.route;
    const auto to = static_cast<size_t>(route.to_stage);
    ArrayPtr value = job.value;
    const bool stays = MeshOf(static_cast<size_t>(route.from_stage)) == MeshOf(to);
    if (exchange_.group() == nullptr) {
      if (!route.same) {
        ALPA_TRY(value, exchange_.Copy(route, *value, parent_.ClientOf(to)));
      }
    } else if (!route.same) {
      ALPA_RETURN_IF_ERROR(exchange_.Send(route, *value));
      if (!stays) return Ok();  // the mesh it is for collects it
      ALPA_TRY(value, exchange_.Collect(route, parent_.ClientOf(to), stopped_));
    }
    mailbox_.Put({route.to_stage, route.input, job.microbatch}, std::move(value));
    return Ok();
  }

  // Takes in what comes from other meshes in the order in which the mesh wants it.
  void Collect(size_t mesh) {
    for (const Instruction& i : setup_.program.meshes[mesh]) {
      if (!schedule::IsReceive(i.op)) continue;
      const auto index = static_cast<size_t>(i.index);
      const auto& routes = i.op == Op::kReceiveActivation  ? parent_.forward_[index]
                           : i.op == Op::kReceiveCotangent ? parent_.backward_[index]
                                                           : parent_.step_[index];
      const int64_t microbatch = i.op == Op::kReceiveStep ? -1 : i.microbatch;
      for (const Route& route : routes) {
        auto value = exchange_.Collect(route, parent_.ClientOf(static_cast<size_t>(route.to_stage)), stopped_);
        if (!value.ok()) return mailbox_.Fail(value.error());
        mailbox_.Put({route.to_stage, route.input, microbatch}, *std::move(value));
      }
    }
  }

  // ---- freeing

  // What backward programs read of a microbatch stays until it is through.
  void FreeInputs(const std::vector<Route>& routes, int64_t microbatch, bool after_backward) {
    for (const Route& route : routes) {
      const auto s = static_cast<size_t>(route.to_stage);
      const StageValue value{Kind::kInput, route.input};
      const CompiledStage& compiled = parent_.stages_[s];
      const bool needed =
          compiled.read_in_weight.count(value) > 0 || (!after_backward && compiled.read_in_backward.count(value) > 0);
      if (!needed) stages_[s].each.erase({route.input, microbatch});
    }
  }

  void FreeMicrobatch(size_t s, int64_t microbatch, bool all) {
    StageState& state = stages_[s];
    const CompiledStage& compiled = parent_.stages_[s];
    for (auto it = state.each.begin(); it != state.each.end();) {
      const bool needed = !all && compiled.read_in_weight.count({Kind::kInput, it->first.first}) > 0;
      it = it->first.second == microbatch && !needed ? state.each.erase(it) : std::next(it);
    }
    if (all) {
      state.kept.erase(microbatch);
      state.given.erase(microbatch);
      return;
    }
    if (const auto at = state.kept.find(microbatch); at != state.kept.end()) {
      for (size_t k = 0; k < at->second.size(); ++k) {
        if (compiled.read_in_weight.count({Kind::kKept, static_cast<int>(k)}) == 0) at->second[k].reset();
      }
    }
  }

  // ---- behind the step

  Result<std::vector<std::unique_ptr<xla::Array>>> Finish() {
    size_t count = 0;
    for (const PipelineStage& stage : setup_.stages) {
      for (const StageOutput& o : stage.outputs) count = std::max(count, static_cast<size_t>(o.step_output + 1));
    }
    std::vector<std::unique_ptr<xla::Array>> out(count);
    std::map<int, const xla::Array*> new_state;  // by input of the step
    for (size_t s = 0; s < stages_.size(); ++s) {
      const PipelineStage& setup = setup_.stages[s];
      for (size_t o = 0; o < setup.outputs.size(); ++o) {
        const StageOutput& about = setup.outputs[o];
        if (about.step_output < 0) continue;
        auto& slot = out[static_cast<size_t>(about.step_output)];
        ALPA_TRY(slot, Output(s, o));
        if (about.updates >= 0) new_state[setup.inputs[static_cast<size_t>(about.updates)].step_input] = slot.get();
      }
    }
    KeepShared(new_state);
    if (parent_.options_.timeline != nullptr) {
      parent_.options_.timeline->meshes = std::move(timeline_);
      parent_.options_.timeline->times = times_;
      parent_.options_.timeline->wall = Now();
    }
    return out;
  }

  // An output of the step. Results are brought to all processes; state stays where it is.
  Result<std::unique_ptr<xla::Array>> Output(size_t s, size_t o) {
    const PipelineStage& setup = setup_.stages[s];
    StageState& state = stages_[s];
    const ir::Shape& shape = setup.module.shape(setup.module.outputs[o]);
    process::Group* group = exchange_.group();
    const int root = exchange_.RootOf(setup_.pipeline.stages[s].mesh);
    if (parent_.IsHere(s)) {
      const bool there = state.results[o] != nullptr || state.examples[o] != nullptr;
      ALPA_CHECK(there, fmt::format("output {} of stage {}", o, s));
    }
    if (setup.outputs[o].updates >= 0 || (group == nullptr && state.examples[o] == nullptr)) {
      return std::unique_ptr<xla::Array>(
          std::make_unique<OnStage>(static_cast<int>(s), shape, state.results[o], group, root));
    }
    ArrayPtr array = state.results[o];
    if (state.examples[o] != nullptr) array = HostArray(std::move(*state.examples[o]));
    ALPA_TRY(ir::HostTensor tensor, OnStage::FromRoot(array.get(), shape, group, root));
    return HostArray(std::move(tensor));
  }

  // Copies of shared state for the next step: those that came behind the last round.
  void KeepShared(const std::map<int, const xla::Array*>& new_state) {
    for (size_t s = 0; s < stages_.size(); ++s) {
      if (!parent_.IsHere(s)) continue;
      const PipelineStage& setup = setup_.stages[s];
      for (size_t k = 0; k < setup.inputs.size(); ++k) {
        if (!setup.inputs[k].shared) continue;
        // What was delivered on the same mesh, without an instruction.
        if (ArrayPtr value = mailbox_.TryTake({static_cast<int>(s), static_cast<int>(k), -1})) {
          stages_[s].once[k] = std::move(value);
        }
        const auto at = new_state.find(setup.inputs[k].step_input);
        const xla::Array* owner =
            at != new_state.end() ? at->second : arguments_[static_cast<size_t>(setup.inputs[k].step_input)];
        parent_.shared_[{static_cast<int>(s), static_cast<int>(k)}] = {owner, stages_[s].once[k]};
      }
    }
  }

  PipelineExecutable& parent_;
  const PipelineSetup& setup_;
  Exchange& exchange_;
  const std::vector<xla::Array*>& arguments_;
  const std::function<bool()> stopped_ = [this] { return mailbox_.error().has_value(); };
  Clock::time_point start_;
  std::vector<StageState> stages_;
  std::deque<Outbox> outboxes_;  // by mesh
  Mailbox mailbox_;
  std::vector<std::vector<TimedInstruction>> timeline_;
  std::vector<MeshTimes> times_;
};

Result<std::vector<std::unique_ptr<xla::Array>>> PipelineExecutable::Run(const std::vector<xla::Array*>& arguments) {
  return StepRun(*this, arguments).Run();
}

}  // namespace

double StepTimeline::overhead() const {
  double most = 0;
  for (size_t m = 0; m < meshes.size(); ++m) {
    if (!times[m].here || meshes[m].empty() || wall <= 0) continue;
    // From the first instruction to the last one of the mesh.
    const double busy = meshes[m].back().end - meshes[m].front().start;
    most = std::max(most, (busy - times[m].computing - times[m].waiting) / wall);
  }
  return most;
}

double StepTimeline::bubble() const {
  double idle = 0, here = 0;
  for (const MeshTimes& mesh : times) {
    if (!mesh.here || wall <= 0) continue;
    idle += 1 - mesh.computing / wall;
    ++here;
  }
  return here > 0 ? idle / here : 0;
}

Result<std::unique_ptr<xla::Executable>> MakePipelineExecutable(const std::vector<xla::Client*>& clients,
                                                                const PipelineSetup& setup,
                                                                const PipelineOptions& options) {
  auto executable = std::make_unique<PipelineExecutable>(clients, setup, options);
  ALPA_RETURN_IF_ERROR(executable->Compile());
  return std::unique_ptr<xla::Executable>(std::move(executable));
}

std::unique_ptr<xla::Array> HostArray(ir::HostTensor tensor) {
  return std::make_unique<InHostMemory>(std::move(tensor));
}

}  // namespace alpa::runtime
