#include "alpa/driver/one_stage.h"

#include <fmt/format.h>

#include <algorithm>

#include "alpa/cluster/cluster.h"
#include "alpa/cost/model.h"
#include "alpa/driver/microbatches.h"
#include "alpa/driver/stage_program.h"

namespace alpa::driver {
namespace {

constexpr double kSolveSeconds = 5;

// Into how many parts the plan splits the batch at most.
int64_t BatchParts(const LoadedStep& loaded, const plan::Plan& plan) {
  int64_t most = 1;
  const std::vector<int> dims = loaded.analysis.batch_dims();
  for (size_t i = 0; i < plan.inputs.size(); ++i) {
    if (dims[i] >= 0 && loaded.analysis.signature.inputs[i].role == ir::InputRole::kBatch &&
        dims[i] < static_cast<int>(plan.inputs[i].dims.size()))
      most = std::max(most, sharding::Parts(plan.inputs[i], dims[i], plan.mesh));
  }
  return most;
}

}  // namespace

Result<plan::PipelinePlan> OneStage(const LoadedStep& loaded, const plan::Plan& plan, const OneStageOptions& options) {
  ALPA_RETURN_IF_ERROR(CheckMicrobatches(loaded, options.microbatches, options.per_microbatch));
  const int64_t examples = loaded.analysis.batch.batch_size / options.microbatches;
  const int64_t parts = BatchParts(loaded, plan);
  if (examples % parts != 0) {
    return Error{Code::kInvalidArgument,
                 fmt::format("{} microbatches have {} examples each, which cannot be split over {} devices",
                             options.microbatches, examples, parts),
                 "ask for fewer microbatches, or fewer devices"};
  }
  frontend::LayerOptions one_layer;
  one_layer.count = 1;
  ALPA_TRY(const frontend::Layering layering, frontend::FindLayers(loaded.step.module, loaded.analysis, one_layer));
  StageProgram program;
  program.segment = frontend::ExtractSegment(loaded.step.module, loaded.analysis, layering, 0, layering.count - 1,
                                             /*recompute=*/false);
  ALPA_RETURN_IF_ERROR(SizeProgram(loaded, options.microbatches, options.microbatches, /*half_sums=*/false, &program));
  const auto devices = static_cast<int>(plan.mesh.size() / options.hosts);
  ALPA_TRY(const cluster::Cluster cluster, cluster::LoadCluster(fmt::format("local:{}x{}", options.hosts, devices)));
  ALPA_TRY(const cost::Model model, cost::MakeModel(cluster, plan.mesh));
  intra::PlanStepOptions how;
  how.explain = 0;
  how.solve.time_limit = Seconds(kSolveSeconds);
  how.solve.gap = 0.01;
  const std::vector<ir::ValueId>& inputs = loaded.step.module.inputs;
  for (size_t i = 0; i < program.segment.module.inputs.size(); ++i) {
    const ir::ValueId origin = program.segment.value_origin[static_cast<size_t>(program.segment.module.inputs[i])];
    const auto at = std::find(inputs.begin(), inputs.end(), origin);
    ALPA_CHECK(at != inputs.end(), "the inputs of the only stage are those of the step");
    how.inputs[static_cast<int32_t>(i)] = plan.inputs[static_cast<size_t>(at - inputs.begin())];
  }
  ALPA_TRY(intra::PlannedStep planned, PlanStage(program, model, /*batch_axes=*/0, 1, how));
  plan::PipelinePlan out;
  out.model = loaded.step.module.name;
  out.model_fingerprint = ir::Fingerprint(loaded.step.module);
  out.cluster = cluster.name;
  out.microbatches = options.microbatches;
  out.per_microbatch = options.per_microbatch;
  out.schedule = "1f1b";
  out.layers = layering.count;
  plan::PipelineStage stage;
  stage.last_layer = layering.count - 1;
  stage.placement = {0, options.hosts, 0, devices, cluster.hosts[0].device_type};
  const auto bytes = [](double b) { return Bytes(static_cast<int64_t>(b)); };
  stage.prediction.state = bytes(planned.stage.state);
  stage.prediction.activation = bytes(planned.stage.activation);
  stage.prediction.workspace = bytes(planned.stage.workspace);
  stage.prediction.peak = planned.plan.prediction->memory;
  stage.layout = std::move(planned.plan);
  out.stages.push_back(std::move(stage));
  return out;
}

}  // namespace alpa::driver
