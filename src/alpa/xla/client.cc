#include "alpa/xla/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>

#include "alpa/base/disk_cache.h"
#include "alpa/xla/array.h"
#include "alpa/xla/compiled_key.h"
#include "alpa/xla/count_collectives.h"
#include "alpa/xla/microbatched.h"
#include "alpa/xla/partition.h"
#include "alpa/xla/status.h"
#include "alpa/xla/xla_pch.h"
#include "xla/ffi/ffi_api.h"
#include "xla/pjrt/plugin/xla_cpu/cpu_topology.h"
#include "xla/service/custom_call_target_registry.h"

namespace alpa::xla {
namespace {

Seconds Since(std::chrono::steady_clock::time_point start) {
  return Seconds(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

class PjrtExecutable : public Executable {
 public:
  PjrtExecutable(std::shared_ptr<::xla::PjRtClient> client, std::shared_ptr<process::Group> group, int32_t launch_id,
                 std::unique_ptr<::xla::PjRtLoadedExecutable> loaded, plan::Plan plan, std::vector<ir::Shape> outputs,
                 ExecutableStats stats)
      : client_(std::move(client)),
        group_(std::move(group)),
        launch_id_(launch_id),
        loaded_(std::move(loaded)),
        plan_(std::move(plan)),
        outputs_(std::move(outputs)),
        stats_(std::move(stats)) {
    arguments_.resize(loaded_->addressable_devices().size());
  }

  Result<std::vector<std::unique_ptr<Array>>> Run(const std::vector<Array*>& arguments) override {
    ALPA_CHECK(arguments.size() == plan_.inputs.size());
    for (size_t d = 0; d < arguments_.size(); ++d) {
      arguments_[d].clear();
      for (const Array* a : arguments) arguments_[d].push_back(static_cast<const PjrtArray*>(a)->buffer(d));
    }
    ::xla::ExecuteOptions options;
    options.launch_id = launch_id_;
    if (group_ != nullptr) options.execution_mode = ::xla::ExecuteOptions::ExecutionMode::kAsynchronous;
    auto results = loaded_->Execute(absl::MakeSpan(arguments_), options);
    if (!results.ok()) return FromStatus(results.status(), Code::kEnvironment, "the step failed");
    std::vector<std::unique_ptr<Array>> out;
    for (size_t o = 0; o < outputs_.size(); ++o) {
      PjrtArray::Buffers buffers;
      for (auto& device : *results) buffers.push_back(std::move(device[o]));
      out.push_back(
          std::make_unique<PjrtArray>(client_, outputs_[o], plan_.outputs[o], plan_.mesh, std::move(buffers), group_));
    }
    return out;
  }

  const ExecutableStats& stats() const override { return stats_; }

  Result<std::string> HloText() const override {
    auto modules = loaded_->GetHloModules();
    if (!modules.ok()) return FromStatus(modules.status(), Code::kEnvironment, "optimized HLO");
    return (*modules)[0]->ToString();
  }

 private:
  std::shared_ptr<::xla::PjRtClient> client_;
  std::shared_ptr<process::Group> group_;  // null: one process
  const int32_t launch_id_;
  std::unique_ptr<::xla::PjRtLoadedExecutable> loaded_;
  plan::Plan plan_;
  std::vector<ir::Shape> outputs_;
  ExecutableStats stats_;
  std::vector<std::vector<::xla::PjRtBuffer*>> arguments_;  // by device; kept to spare an allocation per step
};

// Calls that XLA's own pipeline takes away or implements, and are thus in no registry.
constexpr std::array<std::string_view, 5> kBuiltInCalls = {"Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape",
                                                           "TopK", "annotate_device_placement"};

Status CheckCustomCalls(const ir::Module& module, const std::string& platform) {
  for (const ir::Op& op : module.ops) {
    for (const ir::Module& region : op.regions) ALPA_RETURN_IF_ERROR(CheckCustomCalls(region, platform));
    const auto* call = std::get_if<ir::CustomCallAttr>(&op.attributes);
    if (call == nullptr) continue;
    const bool built_in = std::find(kBuiltInCalls.begin(), kBuiltInCalls.end(), call->target) != kBuiltInCalls.end();
    const bool registered = ::xla::CustomCallTargetRegistry::Global()->Lookup(call->target, platform) != nullptr ||
                            ::xla::ffi::FindHandler(call->target, platform).ok();
    if (!built_in && !registered) {
      return Error{Code::kUnsupported,
                   fmt::format("custom call '{}' ({}) has no implementation on {}", call->target,
                               ir::Describe(module, op), platform),
                   "it calls a kernel that is not part of XLA; write that piece with ordinary jax.numpy operations"};
    }
  }
  return Ok();
}

bool HasReducedPrecision(const ir::Module& module) {
  return std::any_of(module.values.begin(), module.values.end(),
                     [](const ir::Value& v) { return ir::IsFloat(v.shape.dtype) && ir::Bits(v.shape.dtype) < 32; });
}

// Which ops the CPU back end hands to its YNNPACK kernels. Products, reductions and element-wise chains win 7 to 14 %
// of a step of GPT, MoE and wide ResNet; convolutions win nothing and are less accurate. Fused groups around products
// of mixed precision abort inside XLA (a CHECK on element types in its ynn_emitter), so steps with 16-bit floats get
// single products only. What the user says in XLA_FLAGS stays.
void ChooseKernels(const ir::Module& module, ::xla::CompileOptions* options) {
  constexpr const char* kOption = "xla_cpu_experimental_ynn_fusion_type";
  const char* given = std::getenv("XLA_FLAGS");
  if (given != nullptr && std::string_view(given).find(kOption) != std::string_view::npos) return;
  options->env_option_overrides.emplace_back(
      kOption, std::string(HasReducedPrecision(module) ? "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
                                                       : "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,"
                                                         "LIBRARY_FUSION_TYPE_ELTWISE,LIBRARY_FUSION_TYPE_REDUCE"));
}

class PjrtClientAdapter : public Client {
 public:
  PjrtClientAdapter(std::shared_ptr<::xla::PjRtClient> client, std::shared_ptr<process::Group> group)
      : client_(std::move(client)), group_(std::move(group)), launch_id_(group_ == nullptr ? NextLaunchId() : 0) {}

  std::string platform() const override { return std::string(client_->platform_name()); }
  int64_t device_count() const override { return local_device_count() * (group_ == nullptr ? 1 : group_->size()); }
  int64_t first_local_device() const override { return group_ == nullptr ? 0 : group_->rank() * local_device_count(); }
  int64_t local_device_count() const override { return client_->addressable_device_count(); }

  Result<std::unique_ptr<Executable>> Compile(const ImportedStep& step, const plan::Plan& plan,
                                              const CompileOptions& options) override {
    ALPA_RETURN_IF_ERROR(plan::Verify(plan, step.module));
    if (plan.mesh.size() > device_count()) {
      return Error{Code::kInvalidArgument,
                   fmt::format("the plan needs {} devices, {} has {}", plan.mesh.size(), platform(), device_count()),
                   ""};
    }
    if (group_ != nullptr && plan.mesh.size() != device_count()) {
      return Error{Code::kInvalidArgument,
                   fmt::format("the plan is for {} devices, the {} processes have {}", plan.mesh.size(), group_->size(),
                               device_count()),
                   "a mesh that spans processes has all devices of each"};
    }
    if (platform() == "cpu") ALPA_RETURN_IF_ERROR(CheckCustomCalls(step.module, "Host"));
    const auto start = std::chrono::steady_clock::now();
    ALPA_TRY(const PartitionedStep partitioned, PartitionStep(step, plan, options));
    ALPA_TRY(auto loaded, CompileModule(*partitioned.module, step.module, plan.mesh, options.donate));
    std::vector<ir::Shape> outputs;
    for (const ir::ValueId v : step.module.outputs) outputs.push_back(step.module.shape(v));
    ExecutableStats stats = Stats(*loaded, plan.mesh, Since(start));
    stats.collectives = partitioned.collectives;
    stats.parts = partitioned.parts;
    return std::unique_ptr<Executable>(std::make_unique<PjrtExecutable>(client_, group_, launch_id_, std::move(loaded),
                                                                        plan, std::move(outputs), std::move(stats)));
  }

  Result<std::unique_ptr<Executable>> CompileMicrobatched(const ImportedStep& step, const MicrobatchSplit& split,
                                                          const CompileOptions& options) override {
    if (platform() == "cpu") ALPA_RETURN_IF_ERROR(CheckCustomCalls(step.module, "Host"));
    if (group_ != nullptr) {
      return Error{Code::kUnsupported, "microbatches on a mesh that spans processes",
                   "run it in one process, or without microbatches"};
    }
    const cluster::Mesh mesh = cluster::MakeMesh({1});
    if (split.count == 1) return Compile(step, plan::Replicated(step.module, mesh), options);
    return MakeMicrobatched(client_, step, split, options,
                            [&](::xla::HloModule& module, const std::vector<ir::Alias>& donate) {
                              return CompileModule(module, step.module, mesh, donate);
                            });
  }

  Result<std::unique_ptr<Array>> Put(const ir::HostTensor& tensor, const sharding::Spec& spec,
                                     const cluster::Mesh& mesh) override {
    ALPA_TRY(std::unique_ptr<PjrtArray> array, PutOnDevices(client_, group_, tensor, spec, mesh));
    return std::unique_ptr<Array>(std::move(array));
  }

  Result<std::unique_ptr<Array>> PutParts(std::vector<ir::HostTensor> parts, const ir::Shape& shape,
                                          const sharding::Spec& spec, const cluster::Mesh& mesh) override {
    ALPA_TRY(std::unique_ptr<PjrtArray> array, AdoptParts(client_, group_, std::move(parts), shape, spec, mesh));
    return std::unique_ptr<Array>(std::move(array));
  }

 private:
  // Devices of different clients have the same numbers, and where devices of one launch meet is known by these and the
  // number of the launch in all the process: so each client has launches of its own. Clients that span processes meet
  // by their groups.
  static int32_t NextLaunchId() {
    static std::atomic<int32_t> next{0};
    return ++next;
  }

  // `module` is the program of one device of `mesh`, or a part of it, made from `step`.
  Result<std::unique_ptr<::xla::PjRtLoadedExecutable>> CompileModule(::xla::HloModule& module, const ir::Module& step,
                                                                     const cluster::Mesh& mesh,
                                                                     const std::vector<ir::Alias>& donate) {
    ::xla::CompileOptions options = Options(mesh);
    if (platform() == "cpu") ChooseKernels(step, &options);
    const ::xla::XlaComputation computation(ToCompile(module, mesh, donate));
    // Programs of several processes meet by code of ours that a file cannot name.
    const bool keep = platform() == "cpu" && group_ == nullptr;
    const DiskCache cache{keep ? CompiledFolder() : std::filesystem::path()};
    const std::string key = cache.folder.empty() ? "" : CompiledKey(computation.proto(), options);
    if (const auto bytes = ReadCached(cache, key)) {
      auto loaded = client_->LoadSerializedExecutable(*bytes, std::nullopt, {});
      if (loaded.ok()) return std::move(*loaded);
    }
    auto loaded = client_->CompileAndLoad(computation, std::move(options));
    if (!loaded.ok()) return FromStatus(loaded.status(), Code::kUnsupported, "XLA cannot compile the step");
    if (!cache.folder.empty()) {
      if (const auto bytes = (*loaded)->SerializeExecutable(); bytes.ok()) WriteCached(cache, key, *bytes);
    }
    return std::move(*loaded);
  }

  static ExecutableStats Stats(const ::xla::PjRtLoadedExecutable& loaded, const cluster::Mesh& mesh,
                               Seconds compile_time) {
    ExecutableStats stats;
    stats.compile_time = compile_time;
    if (auto memory = loaded.GetCompiledMemoryStats(); memory.ok()) {
      stats.argument_bytes = Bytes(memory->argument_size_in_bytes);
      stats.output_bytes = Bytes(memory->output_size_in_bytes);
      stats.temporary_bytes = Bytes(memory->temp_size_in_bytes);
    }
    if (auto modules = loaded.GetHloModules(); modules.ok() && !modules->empty()) {
      stats.executed = CountCollectives(*(*modules)[0], mesh);
    }
    return stats;
  }

  ::xla::CompileOptions Options(const cluster::Mesh& mesh) const {
    ::xla::CompileOptions options;
    auto& build = options.executable_build_options;
    const auto n = static_cast<int>(mesh.size());
    build.set_num_replicas(1);
    build.set_num_partitions(n);
    build.set_use_spmd_partitioning(n > 1);
    ::xla::DeviceAssignment assignment(1, n);
    for (int d = 0; d < n; ++d) assignment(0, d) = DeviceNumber(d);
    build.set_device_assignment(assignment);
    return options;
  }

  // XLA's number of device d of the mesh.
  int DeviceNumber(int d) const {
    if (group_ == nullptr) return static_cast<int>(client_->addressable_devices()[d]->global_device_id().value());
    const auto local = static_cast<int>(local_device_count());
    if (platform() == "cpu") return static_cast<int>(::xla::PackCpuDeviceId(d / local, d % local).value());
    std::vector<int> of_process;  // behind a plugin the client numbers them
    for (const ::xla::PjRtDevice* const device : client_->devices()) {
      if (device->process_index() == d / local)
        of_process.push_back(static_cast<int>(device->global_device_id().value()));
    }
    std::sort(of_process.begin(), of_process.end());
    return of_process.at(static_cast<size_t>(d % local));
  }

  std::shared_ptr<::xla::PjRtClient> client_;
  std::shared_ptr<process::Group> group_;  // null: one process
  const int32_t launch_id_;
};

}  // namespace

std::unique_ptr<Client> MakeClient(std::shared_ptr<::xla::PjRtClient> client, std::shared_ptr<process::Group> group) {
  return std::make_unique<PjrtClientAdapter>(std::move(client), std::move(group));
}

}  // namespace alpa::xla
