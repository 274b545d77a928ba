// The engine behind the waist, and the one symbol by which it is found.
#include <fmt/format.h>

#include "alpa/xla/client.h"
#include "alpa/xla/engine.h"
#include "alpa/xla/import.h"
#include "alpa/xla/partition.h"
#include "alpa/xla/plugin.h"
#include "alpa/xla/process_collectives.h"
#include "alpa/xla/split_stage.h"
#include "alpa/xla/status.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

class EngineImpl : public Engine {
 public:
  Result<ImportedStep> Import(std::string_view bytes, const ImportOptions& options) override {
    return ImportStep(bytes, options);
  }

  Result<std::vector<plan::CollectiveTotal>> CountCollectives(const ImportedStep& step,
                                                              const plan::Plan& plan) override {
    ALPA_RETURN_IF_ERROR(plan::Verify(plan, step.module));
    ALPA_TRY(const PartitionedStep partitioned, PartitionStep(step, plan, {}));
    return partitioned.collectives;
  }

  Result<StagePrograms> CutStage(const ImportedStep& step, const StageCut& cut) override {
    return SplitStage(step, cut);
  }

  Result<std::unique_ptr<Client>> CreateCpuClient(int64_t devices) override { return StartCpuClient(devices, nullptr); }

  Result<std::unique_ptr<Client>> CreateCpuClient(int64_t devices, std::unique_ptr<process::Group> group) override {
    return StartCpuClient(devices, std::move(group));
  }

  Result<std::unique_ptr<Client>> CreatePluginClient(const std::filesystem::path& plugin,
                                                     std::unique_ptr<process::Group> group) override {
    const std::shared_ptr<process::Group> shared = std::move(group);
    ALPA_TRY(std::shared_ptr<::xla::PjRtClient> client, OpenPlugin(plugin, shared));
    return MakeClient(std::move(client), shared);
  }

 private:
  static Result<std::unique_ptr<Client>> StartCpuClient(int64_t devices, std::shared_ptr<process::Group> group) {
    if (devices < 1 || devices > cluster::kMaxDevices) {
      return Error{Code::kInvalidArgument,
                   fmt::format("{} virtual devices: the number must be 1 to {}", devices, cluster::kMaxDevices), ""};
    }
    ::xla::CpuClientOptions options;
    options.cpu_device_count = static_cast<int>(devices);
    if (group != nullptr) {
      options.process_id = group->rank();
      options.collectives = MakeProcessCollectives(group);
    }
    auto client = ::xla::GetXlaPjrtCpuClient(options);
    if (!client.ok()) return FromStatus(client.status(), Code::kEnvironment, "XLA's CPU client does not start");
    return MakeClient(std::move(*client), std::move(group));
  }
};

}  // namespace
}  // namespace alpa::xla

extern "C" __attribute__((visibility("default"))) alpa::xla::Engine* alpa_xla_engine() {
  static auto* const kEngine = new alpa::xla::EngineImpl();
  return kEngine;
}
