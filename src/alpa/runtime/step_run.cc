#include "alpa/runtime/step_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "alpa/runtime/mailbox.h"
#include "alpa/runtime/stage_plan.h"

namespace alpa::runtime {
namespace {

using schedule::Instruction;
using schedule::Op;
using xla::StageProgram;
using xla::StageValue;
using Kind = StageValue::Kind;
using Clock = std::chrono::steady_clock;

class StepRun {
 public:
  StepRun(CompiledPipeline& compiled, RunContext& context, const std::vector<xla::Array*>& arguments)
      : compiled_(compiled),
        context_(context),
        setup_(compiled.setup()),
        exchange_(compiled.exchange()),
        arguments_(arguments),
        stages_(setup_.stages.size()),
        outboxes_(static_cast<size_t>(setup_.pipeline.meshes)),
        timeline_(static_cast<size_t>(setup_.pipeline.meshes)),
        times_(static_cast<size_t>(setup_.pipeline.meshes)) {
    for (int m = 0; m < setup_.pipeline.meshes; ++m) times_[static_cast<size_t>(m)].here = exchange_.IsHere(m);
  }

  Result<std::vector<std::unique_ptr<xla::Array>>> Run() {
    start_ = Clock::now();
    ++context_.step;
    for (size_t s = 0; s < stages_.size(); ++s) {
      stages_[s].results.resize(setup_.stages[s].outputs.size());
      stages_[s].examples.resize(setup_.stages[s].outputs.size());
      if (compiled_.IsHere(s)) ALPA_RETURN_IF_ERROR(Prepare(s));
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
  MemoryMeter& MemoryOf(size_t stage) const { return *context_.memory[MeshOf(stage)]; }
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
      const auto at = context_.shared.find({static_cast<int>(s), static_cast<int>(k)});
      if (input.shared && at != context_.shared.end() && at->second.owner == argument) {
        state.once[k] = at->second.array;
        continue;
      }
      const ir::Shape& shape = setup.module.shape(setup.module.inputs[k]);
      ALPA_TRY(const ir::HostTensor tensor, argument->ToHost());
      ALPA_TRY(state.once[k], PutOn(s, tensor, SpecOf(setup, {Kind::kInput, static_cast<int>(k)}, shape)));
    }
    return Ok();
  }

  // ---- instructions

  void Work(size_t mesh) {
    for (const Instruction& instruction : setup_.program.meshes[mesh]) {
      const double start = Now();
      if (process::Activity* activity = context_.activities[mesh]; activity != nullptr) {
        activity->Set(fmt::format("step {}, mesh {}, {}", context_.step, mesh, schedule::ToString(instruction)),
                      schedule::IsReceive(instruction.op));
      }
      if (const Status status = Execute(instruction); !status.ok()) {
        mailbox_.Fail(status.error());
        break;
      }
      if (mailbox_.error()) break;
      if (context_.timeline != nullptr) timeline_[mesh].push_back({instruction, start, Now()});
    }
    if (process::Activity* activity = context_.activities[mesh]; activity != nullptr) {
      activity->Set(fmt::format("step {}, mesh {}, done", context_.step, mesh), true);
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
        return Pass(index, compiled_.stage(index).backward, i.microbatch);
      case Op::kBackwardWeight:
        return Pass(index, compiled_.stage(index).weight, i.microbatch);
      case Op::kUpdate:
        ALPA_RETURN_IF_ERROR(SumUp(index));
        return Pass(index, compiled_.stage(index).once[static_cast<size_t>(i.microbatch) + 1], -1);
      case Op::kSendStep:
        ALPA_RETURN_IF_ERROR(SumUp(static_cast<size_t>(setup_.pipeline.step_edges[index].from)));
        return Send(i);
      case Op::kSendActivation:
      case Op::kSendCotangent:
        return Send(i);
      case Op::kReceiveActivation:
      case Op::kReceiveCotangent:
      case Op::kReceiveStep:
        return Receive(i);
      case Op::kFreeInput:
      case Op::kFreeCotangent:
        FreeInputs(i);
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
      ALPA_RETURN_IF_ERROR(Pass(s, compiled_.stage(s).begin, -1));
      if (compiled_.stage(s).prologue.program != nullptr) {
        for (int64_t k = 0; k < setup_.pipeline.microbatches; ++k) {
          ALPA_RETURN_IF_ERROR(Pass(s, compiled_.stage(s).prologue, k));
        }
      }
    }
    return Pass(s, compiled_.stage(s).forward, microbatch);
  }

  // What is done between the last microbatch and the update.
  Status SumUp(size_t s) {
    StageState& state = stages_[s];
    if (state.summed) return Ok();
    state.summed = true;
    return Pass(s, compiled_.stage(s).once[0], -1);
  }

  // Runs a program and takes what it gives. Waits for it: launched ahead, programs would all hold their temporary
  // memory at once.
  Status Pass(size_t s, const CompiledProgram& compiled, int64_t microbatch) {
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
    MemoryOf(s).Run(compiled.beside);
    ALPA_TRY(auto results, compiled.executable->Run(arguments));
    for (const auto& result : results) ALPA_RETURN_IF_ERROR(result->Wait());
    times_[MeshOf(s)].computing += Now() - start;
    for (const ir::Alias& alias : compiled.donated) MemoryOf(s).Release(arguments[static_cast<size_t>(alias.input)]);
    for (size_t o = 0; o < results.size(); ++o) {
      ArrayPtr result = MemoryOf(s).Own(std::move(results[o]), compiled.outputs[o]);
      ALPA_RETURN_IF_ERROR(Keep(s, program.outputs[o], microbatch, std::move(result)));
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
    const cluster::Mesh& mesh = setup_.stages[s].layout.mesh;
    ALPA_TRY(std::unique_ptr<xla::Array> array, compiled_.ClientOf(s).Put(tensor, spec, mesh));
    return MemoryOf(s).Own(std::move(array), sharding::ShardShape(spec, tensor.shape(), mesh).bytes());
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

  Status Keep(size_t s, const StageValue& value, int64_t microbatch, ArrayPtr result) {
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
    for (const Route* route : compiled_.RoutesFrom(s, output)) {
      if (MeshOf(static_cast<size_t>(route->to_stage)) == MeshOf(s)) {
        ALPA_RETURN_IF_ERROR(DeliverOne({route, result, microbatch}));
      } else {
        ++waiting;
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

  // The microbatch of what an instruction sends or receives; -1: once per step.
  static int64_t MicrobatchOf(const Instruction& i) {
    return schedule::OperandOf(i.op) == schedule::Operand::kStepEdge ? -1 : i.microbatch;
  }

  Status Send(const Instruction& i) {
    const int64_t microbatch = MicrobatchOf(i);
    for (const Route& route : compiled_.RoutesOf(i)) {
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

  Status Receive(const Instruction& i) {
    const int64_t microbatch = MicrobatchOf(i);
    for (const Route& route : compiled_.RoutesOf(i)) {
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
        ALPA_TRY(auto copy, exchange_.Copy(route, *value, compiled_.ClientOf(to)));
        value = MemoryOf(to).Own(std::move(copy), route.part.bytes());
      }
    } else if (!route.same) {
      ALPA_RETURN_IF_ERROR(exchange_.Send(route, *value));
      if (!stays) return Ok();  // the mesh it is for collects it
      ALPA_TRY(auto collected, exchange_.Collect(route, compiled_.ClientOf(to), stopped_));
      value = MemoryOf(to).Own(std::move(collected), route.part.bytes());
    }
    mailbox_.Put({route.to_stage, route.input, job.microbatch}, std::move(value));
    return Ok();
  }

  // Takes in what comes from other meshes in the order in which the mesh wants it.
  void Collect(size_t mesh) {
    for (const Instruction& i : setup_.program.meshes[mesh]) {
      if (!schedule::IsReceive(i.op)) continue;
      for (const Route& route : compiled_.RoutesOf(i)) {
        auto value = exchange_.Collect(route, compiled_.ClientOf(static_cast<size_t>(route.to_stage)), stopped_);
        if (!value.ok()) return mailbox_.Fail(value.error());
        ArrayPtr array = MemoryOf(static_cast<size_t>(route.to_stage)).Own(*std::move(value), route.part.bytes());
        mailbox_.Put({route.to_stage, route.input, MicrobatchOf(i)}, std::move(array));
      }
    }
  }

  // ---- freeing

  // What backward programs read of a microbatch stays until it is through.
  void FreeInputs(const Instruction& i) {
    const bool after_backward = i.op == Op::kFreeCotangent;
    for (const Route& route : compiled_.RoutesOf(i)) {
      const auto s = static_cast<size_t>(route.to_stage);
      const StageValue value{Kind::kInput, route.input};
      const CompiledStage& compiled = compiled_.stage(s);
      const bool needed =
          compiled.read_in_weight.count(value) > 0 || (!after_backward && compiled.read_in_backward.count(value) > 0);
      if (!needed) stages_[s].each.erase({route.input, i.microbatch});
    }
  }

  void FreeMicrobatch(size_t s, int64_t microbatch, bool all) {
    StageState& state = stages_[s];
    const CompiledStage& compiled = compiled_.stage(s);
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
    for (size_t m = 0; m < times_.size(); ++m) times_[m].memory = context_.memory[m]->TakePeak();
    if (context_.timeline != nullptr) {
      context_.timeline->meshes = std::move(timeline_);
      context_.timeline->times = times_;
      context_.timeline->wall = Now();
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
    if (compiled_.IsHere(s)) {
      const bool there = state.results[o] != nullptr || state.examples[o] != nullptr;
      ALPA_CHECK(there, fmt::format("output {} of stage {}", o, s));
    }
    if (setup.outputs[o].updates >= 0 || (group == nullptr && state.examples[o] == nullptr)) {
      return std::unique_ptr<xla::Array>(
          std::make_unique<OnStage>(static_cast<int>(s), shape, state.results[o], group, root));
    }
    ArrayPtr array = state.results[o];
    if (state.examples[o] != nullptr) array = HostArray(std::move(*state.examples[o]));
    ALPA_TRY(ir::HostTensor tensor, FromRoot(array.get(), shape, group, root));
    return HostArray(std::move(tensor), group == nullptr || group->rank() == root);
  }

  // Copies of shared state for the next step: those that came behind the last round.
  void KeepShared(const std::map<int, const xla::Array*>& new_state) {
    for (size_t s = 0; s < stages_.size(); ++s) {
      if (!compiled_.IsHere(s)) continue;
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
        context_.shared[{static_cast<int>(s), static_cast<int>(k)}] = {owner, stages_[s].once[k]};
      }
    }
  }

  CompiledPipeline& compiled_;
  RunContext& context_;
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

}  // namespace

Result<std::vector<std::unique_ptr<xla::Array>>> RunStep(CompiledPipeline& compiled, RunContext& context,
                                                         const std::vector<xla::Array*>& arguments) {
  return StepRun(compiled, context, arguments).Run();
}

}  // namespace alpa::runtime
