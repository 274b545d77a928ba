#include "alpa/driver/pipeline_session.h"

#include <utility>

#include "alpa/driver/cut_stages.h"
#include "alpa/driver/find_pipeline.h"
#include "alpa/frontend/unstack.h"

namespace alpa::driver {
namespace {

std::vector<runtime::PartOf> PartsOf(const std::vector<frontend::StackPart>& parts) {
  std::vector<runtime::PartOf> out;
  for (const frontend::StackPart& p : parts) out.push_back({p.whole, p.part});
  return out;
}

}  // namespace

Result<std::unique_ptr<runtime::PipelineClient>> MakePipelineClient(xla::Engine& engine, const LoadedStep& loaded,
                                                                    const plan::PipelinePlan& plan) {
  runtime::PartsOfStep parts;
  runtime::PipelineSetup setup;
  if (plan.unstacked) {
    ALPA_TRY(const std::optional<LoadedStep> apart, TakeApart(loaded));
    if (!apart) {
      return Error{Code::kMismatch, "the plan is for stacked parameters taken apart, the model has none",
                   "make the plan anew with this version of alpa"};
    }
    ALPA_TRY(const frontend::Unstacked unstacked,
             frontend::UnstackParameters(loaded.step.module, loaded.analysis.signature));
    parts = {PartsOf(unstacked.inputs), PartsOf(unstacked.outputs)};
    ALPA_TRY(setup, CutStages(engine, *apart, loaded.step.hlo, plan));
  } else {
    ALPA_TRY(setup, CutStages(engine, loaded, loaded.step.hlo, plan));
  }
  // One client per mesh: what one client launches runs one after the other.
  std::vector<std::unique_ptr<xla::Client>> clients(static_cast<size_t>(setup.pipeline.meshes));
  for (size_t s = 0; s < setup.stages.size(); ++s) {
    auto& client = clients[static_cast<size_t>(setup.pipeline.stages[s].mesh)];
    if (client != nullptr) continue;
    ALPA_TRY(client, engine.CreateCpuClient(setup.stages[s].layout.mesh.size()));
  }
  return std::make_unique<runtime::PipelineClient>(std::move(clients), std::move(setup), std::move(parts));
}

}  // namespace alpa::driver
