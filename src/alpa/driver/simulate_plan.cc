#include "alpa/driver/simulate_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "alpa/schedule/check.h"
#include "alpa/schedule/make_instructions.h"

namespace alpa::driver {
namespace {

// The mesh of each stage: stages on the same devices share one.
std::vector<int32_t> MeshOfStage(const plan::PipelinePlan& plan) {
  std::vector<int32_t> mesh;
  std::vector<plan::StagePlacement> placements;
  for (const plan::PipelineStage& stage : plan.stages) {
    const auto it = std::find(placements.begin(), placements.end(), stage.placement);
    mesh.push_back(static_cast<int32_t>(it - placements.begin()));
    if (it == placements.end()) placements.push_back(stage.placement);
  }
  return mesh;
}

}  // namespace

Result<schedule::Pipeline> MakePipeline(const plan::PipelinePlan& plan) {
  schedule::Pipeline pipeline;
  ALPA_TRY(pipeline.kind, schedule::ParseKind(plan.schedule));
  pipeline.microbatches = static_cast<int32_t>(plan.microbatches);
  pipeline.update_rounds = plan.update_rounds;
  const std::vector<int32_t> meshes = MeshOfStage(plan);
  pipeline.meshes = meshes.empty() ? 0 : *std::max_element(meshes.begin(), meshes.end()) + 1;
  for (size_t s = 0; s < plan.stages.size(); ++s)
    pipeline.stages.push_back({meshes[s], plan.stages[s].chunk, plan.stages[s].recompute});
  for (const plan::PipelineEdge& edge : plan.edges) {
    pipeline.edges.push_back(
        {edge.from, edge.to, edge.activation.value, edge.cotangent.value, edge.cotangent.value > 0});
  }
  for (const plan::PipelineStepEdge& edge : plan.step_edges)
    pipeline.step_edges.push_back({edge.from, edge.to, edge.round, edge.bytes.value});
  ALPA_RETURN_IF_ERROR(schedule::Verify(pipeline));
  return pipeline;
}

Result<simulate::Costs> MakeCosts(const plan::PipelinePlan& plan, const cluster::Cluster& cluster) {
  simulate::Costs costs;
  costs.hosts = cluster.hosts;
  // Weight gradients need what the forward pass kept.
  ALPA_TRY(const schedule::Kind kind, schedule::ParseKind(plan.schedule));
  const bool splits = schedule::SplitsBackward(kind);
  const std::vector<int32_t> meshes = MeshOfStage(plan);
  for (size_t s = 0; s < plan.stages.size(); ++s) {
    const plan::PipelineStage& stage = plan.stages[s];
    const plan::StagePrediction& p = stage.prediction;
    const plan::StagePlacement& at = stage.placement;
    const auto hosts = static_cast<int>(cluster.hosts.size());
    if (at.first_host + at.hosts > hosts)
      return Error{Code::kMismatch,
                   fmt::format("stage {} of the plan needs hosts {} to {}, {} has {}", s, at.first_host,
                               at.first_host + at.hosts - 1, cluster.name, hosts),
                   "simulate it with the cluster it was made for, or plan again"};
    for (int h = at.first_host; h < at.first_host + at.hosts; ++h) {
      const cluster::Host& host = cluster.hosts[static_cast<size_t>(h)];
      if (at.first_device + at.devices > host.devices)
        return Error{Code::kMismatch,
                     fmt::format("stage {} of the plan needs devices {} to {} of host {}, which has {}", s,
                                 at.first_device, at.first_device + at.devices - 1, h, host.devices),
                     "simulate it with the cluster it was made for, or plan again"};
    }
    costs.stages.push_back({p.forward.value, p.backward.value - p.weight.value, p.weight.value, p.per_step.value,
                            p.state.value, p.activation.value, splits ? p.activation.value : 0, p.workspace.value});
    const auto mesh = static_cast<size_t>(meshes[s]);
    if (mesh == costs.meshes.size()) {
      costs.meshes.emplace_back();
      for (int h = at.first_host; h < at.first_host + at.hosts; ++h) costs.meshes.back().push_back({h, at.devices});
    }
  }
  for (const plan::PipelineEdge& edge : plan.edges)
    costs.edges.push_back({edge.forward_gather.value, edge.backward_gather.value, 0, 0});
  return costs;
}

Result<SimulatedPlan> SimulatePlan(const plan::PipelinePlan& plan, const cluster::Cluster& cluster,
                                   const simulate::Options& options) {
  SimulatedPlan out;
  ALPA_TRY(out.pipeline, MakePipeline(plan));
  ALPA_TRY(out.program, schedule::MakeInstructions(out.pipeline));
  ALPA_TRY(const simulate::Costs costs, MakeCosts(plan, cluster));
  ALPA_TRY(out.timeline, simulate::Simulate(out.program, out.pipeline, costs, options));
  return out;
}

}  // namespace alpa::driver
