#include "alpa/driver/session.h"

#include <fmt/format.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): setenv is POSIX

#include <functional>

#include "alpa/base/disk_cache.h"
#include "alpa/base/file.h"
#include "alpa/driver/microbatches.h"
#include "alpa/driver/one_stage.h"
#include "alpa/driver/pipeline_session.h"
#include "alpa/plan/data_parallel.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/plan/plan_family.h"
#include "alpa/runtime/pipeline_client.h"

namespace alpa::driver {
namespace {

constexpr const char* kDataParallel = "data-parallel";

// That the options say nothing else than the plan.
Status CheckContradictions(const plan::PipelinePlan& plan, const SessionOptions& options) {
  if (!options.backend.empty()) {
    return Error{Code::kUnsupported,
                 fmt::format("--backend with {}, a plan of several stages: not yet possible", options.plan),
                 "leave --backend out, or make a plan of one mesh (alpa plan MODEL --mesh)"};
  }
  if (options.devices != 0 && options.devices != plan::DeviceCount(plan)) {
    return Error{Code::kMismatch,
                 fmt::format("{} is a plan for {} devices, --devices says {}", options.plan, plan::DeviceCount(plan),
                             options.devices),
                 "leave --devices out, or make a plan for that many"};
  }
  if (options.microbatches > 1 && options.microbatches != plan.microbatches) {
    return Error{Code::kMismatch,
                 fmt::format("{} is a plan for {} microbatches, --microbatches says {}", options.plan,
                             plan.microbatches, options.microbatches),
                 "leave --microbatches out, or make a plan for that many"};
  }
  if (options.per_microbatch && !plan.per_microbatch) {
    return Error{Code::kMismatch, fmt::format("{} was made without --per-microbatch", options.plan),
                 "leave it out, or make the plan with it"};
  }
  return Ok();
}

// That a plan of several stages is for this model, and for these options.
Status CheckPipeline(const plan::PipelinePlan& plan, const LoadedStep& loaded, const SessionOptions& options) {
  if (plan.model_fingerprint != ir::Fingerprint(loaded.step.module)) {
    return Error{Code::kMismatch,
                 fmt::format("{}: the plan is for another model ('{}'{})", options.plan, plan.model,
                             plan.model == loaded.step.module.name ? ", which has the name of this one but other ops"
                                                                   : ", not '" + loaded.step.module.name + "'"),
                 "make a plan for this model"};
  }
  const int64_t batch = loaded.analysis.batch.batch_size;
  if (batch % plan.microbatches != 0) {
    return Error{
        Code::kInvalidInput,
        fmt::format("{}: {} microbatches, but {} examples in the batch", options.plan, plan.microbatches, batch),
        "make the plan anew: alpa plan MODEL --microbatches M with an M that divides the batch"};
  }
  return CheckContradictions(plan, options);
}

// What the trainer sees of a pipeline: arrays that it does not lay out.
plan::Plan WholeOnHost(const ir::Module& module) {
  plan::Plan plan = plan::Replicated(module, cluster::MakeMesh({1}));
  plan.method = "pipeline";
  return plan;
}

Result<plan::Plan> MakePlan(const LoadedStep& loaded, const SessionOptions& options, Session* session) {
  const ir::Module& module = loaded.step.module;
  if (options.plan == kDataParallel) {
    const int64_t least = options.processes == nullptr ? 1 : options.processes->size();
    const int64_t devices = options.devices == 0 ? least : options.devices;
    return plan::MakeDataParallel(module, loaded.analysis.signature, loaded.analysis.batch_dims(), devices);
  }
  auto text = ReadFile(options.plan);
  if (!text.ok()) {
    return Error{text.error().code, text.error().message, "--plan takes data-parallel, or the file of a plan"};
  }
  if (plan::IsFamily(*text)) {  // asked first: its members may look like plans of several stages
    const auto family = plan::FamilyFromJson(*text);
    if (!family.ok()) return InFile(options.plan, family.error());
    auto member = plan::PlanFor(*family, ir::Fingerprint(module));
    if (!member.ok()) return InFile(options.plan, member.error());
    session->family = plan::Fingerprints(*family);
    if (auto* const plan = std::get_if<plan::Plan>(&*member)) return std::move(*plan);
    session->pipeline = std::get<plan::PipelinePlan>(*std::move(member));
  } else if (plan::IsPipeline(*text)) {
    auto plan = plan::PipelineFromJson(*text);
    if (!plan.ok()) return InFile(options.plan, plan.error());
    session->pipeline = *std::move(plan);
  }
  if (session->pipeline) {
    ALPA_RETURN_IF_ERROR(CheckPipeline(*session->pipeline, loaded, options));
    return WholeOnHost(module);
  }
  auto plan = plan::FromJson(*text);
  if (!plan.ok()) return InFile(options.plan, plan.error());
  return plan;
}

// That the plan fits the module, and the devices that were asked for.
Status CheckPlan(const plan::Plan& plan, const ir::Module& module, const SessionOptions& options) {
  if (const Status fits = plan::Verify(plan, module); !fits.ok()) {
    return options.plan == kDataParallel ? fits.error() : InFile(options.plan, fits.error());
  }
  if (options.devices != 0 && plan.method != "pipeline" && options.devices != plan.mesh.size()) {
    return Error{
        Code::kMismatch,
        fmt::format("{} is a plan for {} devices, --devices says {}", options.plan, plan.mesh.size(), options.devices),
        "leave --devices out, or make a plan for that many"};
  }
  return Ok();
}

Status CheckDevices(int64_t devices) {
  if (devices >= 0 && devices <= cluster::kMaxDevices) return Ok();
  return Error{Code::kInvalidArgument,
               fmt::format("--devices {}: the number must be 1 to {}", devices, cluster::kMaxDevices), ""};
}

// Devices of this process's client when the mesh of `devices` spans the processes.
Result<int64_t> DevicesPerProcess(int64_t devices, const process::Group& processes) {
  if (devices % processes.size() == 0) return devices / processes.size();
  return Error{Code::kInvalidArgument,
               fmt::format("{} devices do not fall on {} processes alike", devices, processes.size()),
               "start another number of processes, or make a plan for a multiple of it"};
}

// A step on a mesh of several devices in microbatches is a plan of one stage. One device has a way of its own, which
// keeps what passes between microbatches in the program.
Status MakeOneStage(const SessionOptions& options, Session* session) {
  if (session->pipeline || options.microbatches <= 1 || session->plan.mesh.size() == 1) return Ok();
  if (!options.backend.empty()) {
    return Error{
        Code::kUnsupported,
        fmt::format("--backend with --microbatches on {} devices: not yet possible", session->plan.mesh.size()),
        "leave one of them out, or take --devices 1"};
  }
  OneStageOptions how;
  how.microbatches = options.microbatches;
  how.per_microbatch = options.per_microbatch;
  if (options.processes != nullptr) {
    ALPA_TRY(const int64_t devices, DevicesPerProcess(session->plan.mesh.size(), *options.processes));
    how.hosts = static_cast<int>(session->plan.mesh.size() / devices);
  }
  ALPA_TRY(session->pipeline, OneStage(session->loaded, session->plan, how));
  session->plan = WholeOnHost(session->module());
  return Ok();
}

}  // namespace

Result<Session> OpenSession(xla::Engine& engine, const SessionOptions& options, const Gate& gate) {
  ALPA_RETURN_IF_ERROR(CheckDevices(options.devices));
  Session session;
  if (!options.backend.empty()) {  // before the model is read: a plugin that does not load is found at once
    std::unique_ptr<process::Group> group;
    if (options.processes != nullptr) group = process::Duplicate(*options.processes, "plugin");
    ALPA_TRY(session.client, engine.CreatePluginClient(options.backend, std::move(group)));
  }
  ALPA_TRY(session.loaded, LoadStep(engine, options.load, gate));
  if (gate.Stops(Phase::kImport) || gate.Stops(Phase::kAnalyze)) return session;
  ALPA_TRY(session.plan, gate.Run<plan::Plan>(
                             Phase::kPlan, [&] { return MakePlan(session.loaded, options, &session); },
                             [&](const plan::Plan& plan) { return CheckPlan(plan, session.module(), options); }, "json",
                             [](const plan::Plan& plan) { return Result<std::string>(plan::ToJson(plan)); }));
  ALPA_RETURN_IF_ERROR(MakeOneStage(options, &session));
  if (!session.pipeline) {
    ALPA_TRY(session.microbatches, MakeMicrobatchSplit(session.loaded, options.microbatches, options.per_microbatch));
  }
  if (gate.Stops(Phase::kPlan)) return session;
  if (session.pipeline) {
    auto client = MakePipelineClient(engine, session.loaded, *session.pipeline, options.processes, options.watch);
    if (!client.ok() && options.plan == kDataParallel) return client.error();
    if (!client.ok()) return InFile(options.plan, client.error());
    session.client = *std::move(client);
  } else if (session.client != nullptr) {
    return session;  // behind a plugin
  } else if (options.processes != nullptr) {
    ALPA_TRY(const int64_t devices, DevicesPerProcess(session.plan.mesh.size(), *options.processes));
    ALPA_TRY(session.client, engine.CreateCpuClient(devices, process::Duplicate(*options.processes, "mesh")));
  } else {
    ALPA_TRY(session.client, engine.CreateCpuClient(session.plan.mesh.size()));
  }
  return session;
}

Result<std::unique_ptr<runtime::Trainer>> CompileSession(const Session& session, const runtime::InputProvider& initial,
                                                         const Gate& gate) {
  using TrainerPtr = std::unique_ptr<runtime::Trainer>;
  return gate.Run<TrainerPtr>(
      Phase::kCompile,
      [&] {
        std::function<bool(int32_t)> reads;
        if (const auto* stages = dynamic_cast<const runtime::PipelineClient*>(session.client.get())) {
          reads = [stages](int32_t input) { return stages->Reads(input); };
        }
        return runtime::Trainer::Create(*session.client, session.loaded.step, session.signature(), session.plan,
                                        initial, session.microbatches, reads);
      },
      [](const TrainerPtr&) { return Ok(); }, "hlo",
      [](const TrainerPtr& trainer) { return trainer->executable().HloText(); });
}

void KeepCompiled(bool use) {
  if (!use) {
    ::unsetenv("ALPA_COMPILED");
  } else if (const std::filesystem::path folder = CacheFolder("compiled"); !folder.empty()) {
    ::setenv("ALPA_COMPILED", folder.c_str(), /*overwrite=*/0);
  }
}

Throughput ThroughputOf(const Session& session) {
  const ir::Module& module = session.module();
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    const ir::Shape& shape = module.shape(module.inputs[i]);
    if (session.signature().inputs[i].role == ir::InputRole::kBatch && ir::IsInteger(shape.dtype) &&
        shape.rank() == 2) {
      return {"tokens", shape.elements()};
    }
  }
  return {"examples", session.loaded.analysis.batch.batch_size};
}

}  // namespace alpa::driver
