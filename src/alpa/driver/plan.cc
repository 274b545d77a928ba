#include "alpa/driver/plan.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>

#include "alpa/base/file.h"
#include "alpa/cluster/cluster.h"
#include "alpa/cluster/quantity.h"
#include "alpa/cost/model.h"
#include "alpa/driver/catch_interrupt.h"
#include "alpa/driver/microbatches.h"
#include "alpa/driver/solve.h"
#include "alpa/frontend/scale_batch.h"
#include "alpa/report/plan_table.h"

namespace alpa::driver {
namespace {

// The cluster's own mesh: hosts x devices per host, one axis where there is only one host.
Result<cluster::Mesh> OwnMesh(const cluster::Cluster& cluster) {
  const int64_t per_host = cluster.hosts.front().devices;
  for (const cluster::Host& host : cluster.hosts) {
    if (host.devices != per_host) {
      return Error{
          Code::kInvalidArgument,
          fmt::format("the hosts of {} have different numbers of devices, so it has no mesh of its own", cluster.name),
          "give one with --mesh"};
    }
  }
  const auto hosts = static_cast<int64_t>(cluster.hosts.size());
  return hosts == 1 ? cluster::MakeMesh({per_host}) : cluster::MakeMesh({hosts, per_host});
}

Result<std::optional<Bytes>> MemoryLimit(const PlanOptions& options, const cost::Model& model) {
  if (options.memory == "none") return std::optional<Bytes>();
  if (options.memory.empty()) return std::optional<Bytes>(model.device.memory);
  const Result<double> limit = cluster::ParseQuantity(options.memory, cluster::Dimension::kBytes);
  if (!limit.ok()) {
    return Error{Code::kInvalidArgument, "--memory: " + limit.error().message, "e.g. --memory 16GiB, or none"};
  }
  if (*limit <= 0) return Error{Code::kInvalidArgument, "--memory must be above 0", "e.g. --memory 16GiB, or none"};
  return std::optional<Bytes>(Bytes(static_cast<int64_t>(*limit)));
}

}  // namespace

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
  const std::vector<frontend::FlopCount> flops = frontend::CountFlops(input.module);
  for (size_t i = 0; i < input.module.ops.size(); ++i) {
    const ir::Op& op = input.module.ops[i];
    const bool update = analysis.phases[i] == frontend::OpPhase::kUpdate;
    intra::OpWork work{flops[i].dot_conv, flops[i].other, update ? 1 : microbatches, false};
    if (!op.results.empty()) {
      const frontend::BatchInfo& info = analysis.batch.value(op.results[0]);
      work.accumulates = info.kind == frontend::BatchKind::kPartial && info.origin == static_cast<ir::OpId>(i);
    }
    input.work.push_back(work);
    input.update_ops.push_back(update ? 1 : 0);
  }
  input.batch_dims = BatchDimsOfValues(loaded);
  return input;
}

Status Plan(const PlanOptions& options) {
  // What can be wrong with the options is said before the model is read.
  const std::optional<intra::Method> method = intra::MethodFromName(options.method);
  ALPA_CHECK(method.has_value());
  std::optional<cluster::Mesh> mesh;
  if (!options.mesh.empty()) {
    ALPA_TRY(mesh, ParseMesh(options.mesh));
  }
  ALPA_TRY(const cluster::Cluster cluster,
           cluster::LoadCluster(options.cluster.empty() ? "local" : options.cluster, mesh ? mesh->size() : 1));
  if (!mesh) {
    ALPA_TRY(mesh, OwnMesh(cluster));
  }
  ALPA_TRY(const cost::Model model, cost::MakeModel(cluster, *mesh));
  intra::PlanStepOptions plan_options;
  plan_options.method = *method;
  ALPA_TRY(plan_options.memory, MemoryLimit(options, model));
  for (const std::string& text : options.pins) {
    ALPA_TRY(intra::Pin pin, intra::ParsePin(text));
    plan_options.pins.push_back(std::move(pin));
  }
  plan_options.solve.time_limit = Seconds(options.time_limit);
  plan_options.solve.threads = options.threads;
  plan_options.solve.gap = options.gap;
  if (!options.out.empty()) ALPA_RETURN_IF_ERROR(CheckWritable(options.out));

  ALPA_TRY(xla::Engine* const engine, xla::LoadEngine());
  const Gate gate(options.gate);
  ALPA_TRY(const LoadedStep loaded, LoadStep(*engine, options.load, gate));
  if (gate.Stops(Phase::kImport) || gate.Stops(Phase::kAnalyze)) return Ok();
  const ir::Module& module = loaded.step.module;
  ALPA_TRY(const PlannerInput input, MakePlannerInput(loaded, options.microbatches, options.per_microbatch));
  const intra::StepToPlan step{input.module,     loaded.analysis.signature, input.work, ir::Fingerprint(module),
                               input.batch_dims, input.update_ops};
  const CatchInterrupt interrupt;
  plan_options.solve.cancelled = [&] { return interrupt.caught(); };
  SolveProgress progress(report::StderrScreen());
  if (!options.quiet) plan_options.solve.progress = [&](const solver::Progress& now) { progress.Update(now); };
  ALPA_TRY(intra::PlannedStep planned,
           gate.Run<intra::PlannedStep>(
               Phase::kPlan, [&] { return intra::PlanStep(step, model, plan_options); },
               [&](const intra::PlannedStep& p) { return plan::Verify(p.plan, module); }, "json",
               [](const intra::PlannedStep& p) { return Result<std::string>(plan::ToJson(p.plan)); }));
  planned.plan.prediction->cluster = cluster.name;
  if (!options.out.empty()) ALPA_RETURN_IF_ERROR(WriteFileAtomic(options.out, plan::ToJson(planned.plan)));
  const std::string text = options.json ? report::PlanJson(module, model, planned)
                                        : report::PlanText(module, loaded.analysis.signature, model, planned);
  std::fputs(text.c_str(), stdout);
  if (!options.out.empty() && !options.json)
    std::printf("\nplan written to %s; run it with: alpa run MODEL --plan %s\n", options.out.c_str(),
                options.out.c_str());
  return Ok();
}

}  // namespace alpa::driver
