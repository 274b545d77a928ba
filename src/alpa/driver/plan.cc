#include "alpa/driver/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "alpa/base/file.h"
#include "alpa/cluster/cluster.h"
#include "alpa/cost/model.h"
#include "alpa/driver/catch_interrupt.h"
#include "alpa/driver/choose_plan.h"
#include "alpa/driver/microbatches.h"
#include "alpa/driver/plan_family.h"
#include "alpa/driver/plan_notes.h"
#include "alpa/driver/plan_pipeline.h"
#include "alpa/driver/random_pipeline.h"
#include "alpa/driver/solve.h"
#include "alpa/driver/solve_on_mesh.h"
#include "alpa/frontend/scale_batch.h"
#include "alpa/report/plan_table.h"
#include "alpa/report/text_timeline.h"

namespace alpa::driver {
Result<cluster::Mesh> ParseMesh(const std::string& text) {
  const auto bad = [&] {
    return Error{Code::kInvalidArgument, fmt::format("mesh '{}': not of the form 2x4 or 8", text), ""};
  };
  std::vector<int64_t> shape;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    int64_t extent = 0;
    const auto [next, error] = std::from_chars(at, end, extent);
    if (error != std::errc() || extent < 1) return bad();
    shape.push_back(extent);
    if (next == end) break;
    if (*next != 'x') return bad();
    at = next + 1;
  }
  if (shape.size() > 3) return bad();
  cluster::Mesh mesh = cluster::MakeMesh(std::move(shape));
  ALPA_RETURN_IF_ERROR(cluster::Verify(mesh));
  return mesh;
}

Result<PlannerInput> MakePlannerInput(const LoadedStep& loaded, int64_t microbatches, bool per_microbatch) {
  const frontend::StepAnalysis& analysis = loaded.analysis;
  PlannerInput input;
  ALPA_RETURN_IF_ERROR(CheckMicrobatches(loaded, microbatches, per_microbatch));
  ALPA_TRY(input.module, frontend::ScaleBatch(loaded.step.module, analysis.batch, microbatches));
  input.work = WorkOfOps(input.module, analysis.phases, microbatches, [&](ir::OpId op) {
    const frontend::BatchInfo& info = analysis.batch.value(input.module.op(op).results[0]);
    return info.kind == frontend::BatchKind::kPartial && info.origin == op;
  });
  for (const frontend::OpPhase phase : analysis.phases)
    input.update_ops.push_back(phase == frontend::OpPhase::kUpdate ? 1 : 0);
  input.batch_dims = BatchDimsOfValues(loaded);
  return input;
}

namespace {

// What another method comes to; no seconds where it has no plan.
struct MethodPlanned {
  std::string name;
  std::optional<Seconds> step;
  Bytes memory;
  std::string why_not;
};
std::vector<MethodPlanned> PlanByMethods(const PlanOptions& options, const FindPipelineOptions& find,
                                         const LoadedStep& loaded, const cost::Model& model,
                                         const intra::PlanStepOptions& how) {
  std::vector<MethodPlanned> out;
  for (int m = 1; m < intra::kMethodCount; ++m) {
    PlanOptions other = options;
    other.method = intra::Name(static_cast<intra::Method>(m));
    const Result<intra::PlannedStep> planned = SolveOnMesh(loaded, model, other, find, how);
    out.push_back({other.method, std::nullopt, Bytes(0), planned.ok() ? "" : planned.error().message});
    if (!planned.ok()) continue;
    const plan::Prediction& p = *planned->plan.prediction;
    out.back().step = p.compute + p.communication;
    out.back().memory = p.memory;
  }
  return out;
}

std::string MethodsText(const std::vector<MethodPlanned>& methods, const plan::Prediction& chosen) {
  if (methods.empty()) return "";
  const Seconds best = chosen.compute + chosen.communication;
  std::string out = fmt::format("\n{:<22}{:>12}{:>11}{:>14}\n", "By hand", "step time", "", "memory");
  for (const MethodPlanned& m : methods) {
    out += m.step ? fmt::format("  {:<20}{:>12}{:>11}{:>14}\n", m.name, ToString(*m.step),
                                fmt::format("{:+.1f} %", 100 * (*m.step / best - 1)), ToString(m.memory))
                  : fmt::format("  {:<20}{}\n", m.name, m.why_not);
  }
  return out;
}

Status PlanOnMesh(const PlanOptions& options, const FindPipelineOptions& find, const LoadedStep& loaded,
                  const cluster::Cluster& cluster, const cluster::Mesh& mesh, const Gate& gate) {
  ALPA_TRY(const cost::Model model, cost::MakeModel(cluster, mesh));
  const ir::Module& module = loaded.step.module;
  const CatchInterrupt interrupt;
  intra::PlanStepOptions how;
  how.solve.cancelled = [&] { return interrupt.caught(); };
  SolveProgress progress(report::StderrScreen());
  if (!options.quiet) how.solve.progress = [&](const solver::Progress& now) { progress.Update(now); };
  ALPA_TRY(intra::PlannedStep planned,
           gate.Run<intra::PlannedStep>(
               Phase::kPlan, [&] { return SolveOnMesh(loaded, model, options, find, how); },
               [&](const intra::PlannedStep& p) { return plan::Verify(p.plan, module); }, "json",
               [](const intra::PlannedStep& p) { return Result<std::string>(plan::ToJson(p.plan)); }));
  planned.plan.prediction->cluster = cluster.name;
  ALPA_TRY(plan::Notes notes, MeshNotes(loaded, model, planned, find.microbatches.empty() ? 1 : find.microbatches[0],
                                        options.per_microbatch));
  const std::optional<Bytes> limit = MemoryLimit(model.device, find);
  notes.memory_limits.clear();
  if (limit) notes.memory_limits.emplace_back(model.device.name, *limit);
  std::vector<MethodPlanned> methods;
  if (options.methods) {
    how.solve.progress = nullptr;
    methods = PlanByMethods(options, find, loaded, model, how);
  }
  for (const MethodPlanned& m : methods) {
    if (m.step)
      notes.ways.push_back(
          {m.name, find.microbatches.empty() ? 1 : find.microbatches[0], cluster::ToString(mesh), *m.step});
  }
  std::stable_sort(notes.ways.begin(), notes.ways.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  if (!options.out.empty())
    ALPA_RETURN_IF_ERROR(WriteFileAtomic(options.out, plan::WithNotes(plan::ToJson(planned.plan), notes)));
  const std::string text = options.json ? report::PlanJson(module, model, planned)
                                        : report::PlanText(module, loaded.analysis.signature, model, planned, limit) +
                                              MethodsText(methods, *planned.plan.prediction) +
                                              report::OpsTimelineText(notes.ops);
  std::fputs(text.c_str(), stdout);
  if (!options.out.empty() && !options.json)
    std::printf("\nplan written to %s; run it with: alpa run MODEL --plan %s; look at it with: alpa report %s\n",
                options.out.c_str(), options.out.c_str(), options.out.c_str());
  return Ok();
}

// Options that only plans of one mesh have.
Status CheckPipelineOptions(const PlanOptions& options) {
  const auto only_with_mesh = [](const std::string& option) {
    return Error{Code::kInvalidArgument, option + " needs --mesh: it is about plans of one mesh", "e.g. --mesh 2x4"};
  };
  if (options.method != "auto") return only_with_mesh("--method");
  if (!options.pins.empty()) return only_with_mesh("--pin");
  if (options.methods) return only_with_mesh("--methods");
  return Ok();
}

Status CheckMeshOptions(const PlanOptions& options) {
  if (options.methods && (options.method != "auto" || options.models.size() > 1))
    return Error{Code::kInvalidArgument, "--methods compares the best plan of one model with all methods",
                 "leave out --method, and give one model"};
  for (const auto& [option, set] :
       {std::pair("--stages", options.stages != "auto"), std::pair("--schedule", options.schedule != "auto"),
        std::pair("--layers", options.layers != 0)}) {
    if (set)
      return Error{Code::kInvalidArgument,
                   fmt::format("{} does not go together with --mesh: one mesh has one stage", option),
                   "leave one of them out"};
  }
  return Ok();
}

// Writes a random plan and says in a line what it is.
Status PlanAtRandom(const PlanOptions& options, const FindPipelineOptions& find, const LoadedStep& loaded,
                    const cluster::Cluster& cluster, const Gate& gate) {
  const RandomPipelineOptions random{*options.random, options.per_microbatch,
                                     find.microbatches.empty() ? 0 : find.microbatches.front()};
  ALPA_TRY(const plan::PipelinePlan plan,
           gate.Run<plan::PipelinePlan>(
               Phase::kPlan, [&] { return RandomPipeline(loaded, cluster, random); },
               [](const plan::PipelinePlan& p) { return plan::Verify(p); }, "json",
               [](const plan::PipelinePlan& p) { return Result<std::string>(plan::ToJson(p)); }));
  if (!options.out.empty()) ALPA_RETURN_IF_ERROR(WriteFileAtomic(options.out, plan::ToJson(plan)));
  std::printf("%s\n", DescribeInLine(plan).c_str());
  return Ok();
}

// What runs fastest here. Only a model and this machine's profile go with it.
Status PlanByMeasuring(const PlanOptions& options) {
  if (!options.mesh.empty() || !options.out.empty() || options.models.size() > 1 || options.json)
    return Error{Code::kInvalidArgument, "--measure takes one model, and --cluster with what alpa profile wrote",
                 "alpa run MODEL --plan auto then runs the fastest plan"};
  ALPA_TRY(xla::Engine* const engine, xla::LoadEngine());
  ChooseOptions how{options.load, options.cluster};
  how.again = options.measure_again;
  how.quiet = options.quiet;
  ALPA_TRY(const MeasuredChoice choice, ChoosePlan(*engine, how));
  fmt::print("{}{}\nrun the first with: alpa run MODEL --plan auto{}\n", ChoicesText(choice),
             choice.remembered ? "(measured earlier)\n" : "",
             options.cluster.empty() ? "" : " --cluster " + options.cluster);
  return Ok();
}

}  // namespace

Status Plan(const PlanOptions& options) {
  if (options.measure) return PlanByMeasuring(options);
  // What can be wrong with the options is said before the model is read.
  std::optional<cluster::Mesh> mesh;
  if (!options.mesh.empty()) {
    ALPA_TRY(mesh, ParseMesh(options.mesh));
  }
  ALPA_TRY(const cluster::Cluster cluster,
           cluster::LoadCluster(options.cluster.empty() ? "local" : options.cluster, mesh ? mesh->size() : 1));
  ALPA_TRY(const FindPipelineOptions find, ReadPipelineOptions(options));
  ALPA_RETURN_IF_ERROR(mesh ? CheckMeshOptions(options) : CheckPipelineOptions(options));
  if (mesh) {
    ALPA_TRY(const cost::Model model, cost::MakeModel(cluster, *mesh));
    for (const std::string& text : options.pins) {
      ALPA_TRY(const intra::Pin pin, intra::ParsePin(text));
    }
  }
  if (options.random && (mesh || options.models.size() > 1 || options.stages != "auto" || options.schedule != "auto"))
    return Error{Code::kInvalidArgument, "--random goes together with --cluster and --microbatches only",
                 "e.g. --random 1 --cluster local:1x8"};
  if (!options.out.empty()) ALPA_RETURN_IF_ERROR(CheckWritable(options.out));

  if (options.models.size() > 1) return PlanShapes(options, cluster, mesh, find);
  if (!options.frequency.empty())
    return Error{Code::kInvalidArgument, "--frequency needs several models: one number for each", ""};
  ALPA_TRY(xla::Engine* const engine, xla::LoadEngine());
  const Gate gate(options.gate);
  ALPA_TRY(const LoadedStep loaded, LoadStep(*engine, options.load, gate));
  if (gate.Stops(Phase::kImport) || gate.Stops(Phase::kAnalyze)) return Ok();
  if (options.random) return PlanAtRandom(options, find, loaded, cluster, gate);
  if (mesh) return PlanOnMesh(options, find, loaded, cluster, *mesh, gate);
  ALPA_TRY(FoundPipeline found,
           gate.Run<FoundPipeline>(
               Phase::kPlan, [&] { return FindWithProgress(loaded, cluster, find, options.quiet); },
               [&](const FoundPipeline& f) { return plan::Verify(f.plan); }, "json",
               [](const FoundPipeline& f) { return Result<std::string>(plan::ToJson(f.plan)); }));
  // As it was given, so that the plan can be simulated: the name inside a file says nothing about where it lies.
  if (!options.cluster.empty()) found.plan.cluster = options.cluster;
  const plan::PipelineStage& first = found.plan.stages.front();
  if (found.plan.stages.size() == 1 && found.plan.microbatches == 1 && first.placement.first_host == 0 &&
      first.placement.first_device == 0)
    return PlanOnMesh(options, find, loaded, cluster, first.layout.mesh, gate);
  return ShowPipeline(loaded, cluster, found, options);
}

}  // namespace alpa::driver
