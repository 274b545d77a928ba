#include "alpa/runtime/compiled_pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "alpa/plan/collective_totals.h"
#include "alpa/runtime/stage_plan.h"

namespace alpa::runtime {
namespace {

using Kind = xla::StageValue::Kind;
using schedule::Op;

// Accumulators are overwritten, and state in the round that computes its new value.
std::vector<ir::Alias> DonationsOf(const PipelineStage& stage, const xla::StageProgram& program) {
  std::vector<ir::Alias> out;
  for (size_t o = 0; o < program.outputs.size(); ++o) {
    xla::StageValue from = program.outputs[o];
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

// What the programs of `stage` communicate within its mesh in one step.
std::vector<plan::CollectiveTotal> CollectivesOf(const CompiledStage& stage, int64_t microbatches) {
  plan::CollectiveTotals totals;
  const auto add = [&](const CompiledProgram& program, int64_t runs) {
    if (program.executable != nullptr) totals.Add(program.executable->stats().collectives, runs);
  };
  add(stage.begin, 1);
  for (const CompiledProgram* run : {&stage.prologue, &stage.forward, &stage.backward, &stage.weight})
    add(*run, microbatches);
  for (const CompiledProgram& once : stage.once) add(once, 1);
  return totals.Get();
}

}  // namespace

Status CompiledPipeline::Compile() {
  const auto start = std::chrono::steady_clock::now();
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::optional<Error> error;
  const auto work = [&] {
    for (size_t s = next++; s < stages_.size(); s = next++) {
      const Status status = CompileStage(s);
      const std::lock_guard lock(mutex);
      if (!status.ok() && !error) {
        error = Error{status.error().code, fmt::format("stage {}: {}", s, status.error().message), status.error().hint};
      }
    }
  };
  std::vector<std::thread> threads;
  const auto count = std::min<size_t>(stages_.size(), std::max(1U, std::thread::hardware_concurrency()));
  for (size_t t = 1; t < count; ++t) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (error) return *error;
  MakeAllRoutes();
  stats_.compile_time = Seconds(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return Ok();
}

Status CompiledPipeline::CompileStage(size_t s) {
  if (!IsHere(s)) return Ok();
  const PipelineStage& setup = setup_.stages[s];
  CompiledStage& stage = stages_[s];
  const xla::StagePrograms& p = setup.programs;
  ALPA_TRY(stage.begin, CompileProgram(s, p.begin, {}));
  ALPA_TRY(stage.prologue, CompileProgram(s, p.prologue, {}));  // each microbatch reads what it sums up
  PartsOfSums parts;
  ALPA_TRY(stage.forward, CompileRun(s, p.forward, &parts));
  ALPA_TRY(stage.backward, CompileRun(s, p.backward, &parts));
  ALPA_TRY(stage.weight, CompileRun(s, p.weight, &parts));
  for (const xla::StageProgram& once : p.once) {
    xla::CompileOptions options;
    for (size_t k = 0; k < once.inputs.size(); ++k) {
      const auto at = parts.find(once.inputs[k]);
      if (at != parts.end()) options.parts.push_back({static_cast<int32_t>(k), at->second});
    }
    ALPA_TRY(CompiledProgram compiled, CompileProgram(s, once, std::move(options)));
    stage.once.push_back(std::move(compiled));
  }
  stage.collectives = CollectivesOf(stage, setup_.pipeline.microbatches);
  stage.read_in_backward.insert(p.backward.inputs.begin(), p.backward.inputs.end());
  stage.read_in_weight.insert(p.weight.inputs.begin(), p.weight.inputs.end());
  return Ok();
}

Result<CompiledProgram> CompiledPipeline::CompileRun(size_t s, const xla::StageProgram& program, PartsOfSums* parts) {
  xla::CompileOptions options;
  for (const ir::Alias& alias : DonationsOf(setup_.stages[s], program)) {
    const bool sum = program.outputs[static_cast<size_t>(alias.output)].kind == Kind::kAccumulator;
    if (sum) options.accumulate.push_back(alias);
  }
  ALPA_TRY(CompiledProgram out, CompileProgram(s, program, options));
  for (size_t k = 0; k < options.accumulate.size(); ++k) {
    const std::vector<int>& axes = out.executable->stats().parts[k];
    if (!axes.empty()) (*parts)[program.outputs[static_cast<size_t>(options.accumulate[k].output)]] = axes;
  }
  return out;
}

Result<CompiledProgram> CompiledPipeline::CompileProgram(size_t s, const xla::StageProgram& program,
                                                         xla::CompileOptions options) {
  CompiledProgram out;
  if (program.empty()) return out;
  options.donate = DonationsOf(setup_.stages[s], program);
  out.program = &program;
  out.donated = options.donate;
  const plan::Plan plan = PlanOf(setup_.stages[s], program);
  ALPA_TRY(out.executable, ClientOf(s).Compile(program.step, plan, options));
  const xla::ExecutableStats& stats = out.executable->stats();
  out.beside = stats.temporary_bytes;
  const ir::Module& module = program.step.module;
  for (size_t o = 0; o < module.outputs.size(); ++o) {
    out.outputs.push_back(sharding::ShardShape(plan.outputs[o], module.shape(module.outputs[o]), plan.mesh).bytes());
    out.beside += out.outputs.back();
  }
  for (const ir::Alias& alias : out.donated) out.beside -= out.outputs[static_cast<size_t>(alias.output)];
  const std::lock_guard lock(stats_mutex_);
  stats_.temporary_bytes = std::max(stats_.temporary_bytes, stats.temporary_bytes);
  return out;
}

// The shape in which a value enters a stage: that of one microbatch.
ir::Shape CompiledPipeline::ShapeOfInput(size_t s, int input) const {
  const xla::StagePrograms& p = setup_.stages[s].programs;
  std::vector<const xla::StageProgram*> all = {&p.forward, &p.backward, &p.weight, &p.prologue};
  for (const xla::StageProgram& once : p.once) all.push_back(&once);
  for (const xla::StageProgram* program : all) {
    const auto at = std::find(program->inputs.begin(), program->inputs.end(), xla::StageValue{Kind::kInput, input});
    if (at == program->inputs.end()) continue;
    const ir::Module& module = program->step.module;
    return module.shape(module.inputs[static_cast<size_t>(at - program->inputs.begin())]);
  }
  return {};
}

std::vector<Route> CompiledPipeline::MakeRoutes(int from_stage, int to_stage, const std::vector<PassedValue>& values) {
  const PipelineStage& from = setup_.stages[static_cast<size_t>(from_stage)];
  const PipelineStage& to = setup_.stages[static_cast<size_t>(to_stage)];
  std::vector<Route> routes;
  for (const PassedValue& value : values) {
    const ir::Shape shape = ShapeOfInput(static_cast<size_t>(to_stage), value.input);
    routes.push_back(exchange_.MakeRoute(from_stage, to_stage, value, shape,
                                         SpecOf(from, {Kind::kOutput, value.output}, shape),
                                         SpecOf(to, {Kind::kInput, value.input}, shape)));
  }
  return routes;
}

void CompiledPipeline::MakeAllRoutes() {
  const schedule::Pipeline& p = setup_.pipeline;
  for (size_t e = 0; e < p.edges.size(); ++e) {
    forward_.push_back(MakeRoutes(p.edges[e].from, p.edges[e].to, setup_.edges[e].forward));
    backward_.push_back(MakeRoutes(p.edges[e].to, p.edges[e].from, setup_.edges[e].backward));
  }
  for (size_t e = 0; e < p.step_edges.size(); ++e) {
    step_.push_back(MakeRoutes(p.step_edges[e].from, p.step_edges[e].to, setup_.step_edges[e].forward));
  }
  for (const PipelineStage& stage : setup_.stages) from_.emplace_back(stage.outputs.size());
  for (const auto* routes : {&forward_, &backward_, &step_}) {
    for (const std::vector<Route>& edge : *routes) {
      for (const Route& route : edge) {
        from_[static_cast<size_t>(route.from_stage)][static_cast<size_t>(route.output)].push_back(&route);
      }
    }
  }
}

const std::vector<Route>& CompiledPipeline::RoutesOf(const schedule::Instruction& instruction) const {
  const auto index = static_cast<size_t>(instruction.index);
  switch (instruction.op) {
    case Op::kSendActivation:
    case Op::kReceiveActivation:
    case Op::kFreeInput:
      return forward_[index];
    case Op::kSendCotangent:
    case Op::kReceiveCotangent:
    case Op::kFreeCotangent:
      return backward_[index];
    default:
      ALPA_CHECK(schedule::OperandOf(instruction.op) == schedule::Operand::kStepEdge, schedule::ToString(instruction));
      return step_[index];
  }
}

Result<std::string> CompiledPipeline::HloText() const {
  std::string out;
  for (size_t s = 0; s < stages_.size(); ++s) {
    const CompiledStage& stage = stages_[s];
    std::vector<const CompiledProgram*> all = {&stage.begin, &stage.prologue, &stage.forward, &stage.backward,
                                               &stage.weight};
    for (const CompiledProgram& once : stage.once) all.push_back(&once);
    for (const CompiledProgram* c : all) {
      if (c->program == nullptr) continue;
      ALPA_TRY(const std::string text, c->executable->HloText());
      out += fmt::format("// stage {}: {}\n{}\n", s, c->program->step.module.name, text);
    }
  }
  return out;
}

}  // namespace alpa::runtime
