#include "alpa/simulate/costs.h"

#include <fmt/format.h>

#include <cmath>
#include <initializer_list>
#include <string>
#include <utility>

namespace alpa::simulate {

using schedule::Instruction;
using schedule::Op;
using schedule::Pipeline;
using schedule::StageEdges;

namespace {

Error Bad(const std::string& message) { return Error{Code::kInvalidArgument, "simulation: " + message, ""}; }

// Finite and not negative.
Status VerifyNumbers(const std::string& where, std::initializer_list<std::pair<const char*, double>> numbers) {
  for (const auto& [name, value] : numbers) {
    if (!std::isfinite(value) || value < 0) return Bad(fmt::format("{}: {} is {}", where, name, value));
  }
  return Ok();
}

Status VerifyMeshes(const Costs& costs) {
  for (size_t mesh = 0; mesh < costs.meshes.size(); ++mesh) {
    if (costs.meshes[mesh].empty()) return Bad(fmt::format("mesh {} has no devices", mesh));
    for (const HostShare& share : costs.meshes[mesh]) {
      if (share.host < 0 || share.host >= static_cast<int32_t>(costs.hosts.size()))
        return Bad(fmt::format("mesh {} lies on host {} of {}", mesh, share.host, costs.hosts.size()));
      if (share.devices < 1)
        return Bad(fmt::format("mesh {} has {} devices of host {}", mesh, share.devices, share.host));
    }
  }
  return Ok();
}

EdgeCost CostOfEdge(const Costs& costs, int32_t edge) {
  return costs.edges.empty() ? EdgeCost{} : costs.edges[static_cast<size_t>(edge)];
}

}  // namespace

Costs WithoutTransfers(const Pipeline& pipeline, std::vector<StageCost> stages) {
  Costs costs;
  costs.stages = std::move(stages);
  costs.hosts.resize(1);
  costs.hosts[0].devices = pipeline.meshes;
  costs.meshes.assign(static_cast<size_t>(pipeline.meshes), {HostShare{0, 1}});
  return costs;
}

Status Verify(const Costs& costs, const Pipeline& pipeline) {
  if (costs.stages.size() != pipeline.stages.size())
    return Bad(fmt::format("costs of {} stages for {}", costs.stages.size(), pipeline.stages.size()));
  if (!costs.edges.empty() && costs.edges.size() != pipeline.edges.size())
    return Bad(fmt::format("costs of {} edges for {}", costs.edges.size(), pipeline.edges.size()));
  if (costs.meshes.size() != static_cast<size_t>(pipeline.meshes))
    return Bad(fmt::format("places of {} meshes for {}", costs.meshes.size(), pipeline.meshes));
  for (size_t s = 0; s < costs.stages.size(); ++s) {
    const StageCost& c = costs.stages[s];
    ALPA_RETURN_IF_ERROR(VerifyNumbers(fmt::format("stage {}", s), {{"forward", c.forward},
                                                                    {"backward_input", c.backward_input},
                                                                    {"backward_weight", c.backward_weight},
                                                                    {"update", c.update},
                                                                    {"state", c.state},
                                                                    {"activation", c.activation},
                                                                    {"weight_input", c.weight_input},
                                                                    {"workspace", c.workspace}}));
  }
  for (size_t e = 0; e < costs.edges.size(); ++e) {
    const EdgeCost& c = costs.edges[e];
    ALPA_RETURN_IF_ERROR(VerifyNumbers(fmt::format("edge {}", e), {{"forward_gather", c.forward_gather},
                                                                   {"backward_gather", c.backward_gather},
                                                                   {"forward_buffer", c.forward_buffer},
                                                                   {"backward_buffer", c.backward_buffer}}));
  }
  for (size_t h = 0; h < costs.hosts.size(); ++h) {
    const cluster::Host& host = costs.hosts[h];
    ALPA_RETURN_IF_ERROR(
        VerifyNumbers(fmt::format("host {}", h), {{"latency within", host.intra.alpha.value},
                                                  {"seconds per byte within", host.intra.beta},
                                                  {"network latency", host.network.alpha.value},
                                                  {"network seconds per byte", host.network.beta},
                                                  {"network seconds per byte of a device", host.device_network_beta}}));
  }
  return VerifyMeshes(costs);
}

double SecondsOf(const Pipeline& pipeline, const Costs& costs, const Instruction& compute) {
  const StageCost& cost = costs.stages[static_cast<size_t>(compute.index)];
  switch (compute.op) {
    case Op::kForward:
      return cost.forward;
    case Op::kBackward:
      return cost.backward_input + cost.backward_weight;
    case Op::kBackwardInput:
      return cost.backward_input;
    case Op::kBackwardWeight:
      return cost.backward_weight;
    default:
      return compute.microbatch == pipeline.update_rounds - 1 ? cost.update : 0;
  }
}

int64_t WorkspaceOf(const Costs& costs, const Instruction& compute) {
  return compute.op == Op::kUpdate ? 0 : costs.stages[static_cast<size_t>(compute.index)].workspace;
}

int64_t BytesWritten(const Pipeline& pipeline, const Costs& costs, const StageEdges& edges,
                     const Instruction& compute) {
  const auto s = static_cast<size_t>(compute.index);
  int64_t bytes = 0;
  if (compute.op == Op::kForward) {
    if (HasBackward(pipeline.kind)) bytes += costs.stages[s].activation;
    for (const int32_t e : edges.out[s]) bytes += CostOfEdge(costs, e).forward_buffer;
  } else if (compute.op == Op::kBackward || compute.op == Op::kBackwardInput) {
    for (const int32_t e : edges.in[s]) {
      if (pipeline.edges[static_cast<size_t>(e)].cotangent) bytes += CostOfEdge(costs, e).backward_buffer;
    }
  }
  return bytes;
}

int64_t BytesFreed(const Pipeline& pipeline, const Costs& costs, const Instruction& free) {
  const auto i = static_cast<size_t>(free.index);
  switch (free.op) {
    case Op::kFreeInput:
      return CostOfEdge(costs, free.index).forward_buffer;
    case Op::kFreeCotangent:
      return CostOfEdge(costs, free.index).backward_buffer;
    case Op::kFreeActivations:  // what the weight gradients need stays
      return costs.stages[i].activation - (SplitsBackward(pipeline.kind) ? costs.stages[i].weight_input : 0);
    case Op::kFreeWeightInputs:
      return costs.stages[i].weight_input;
    default:
      return 0;
  }
}

int64_t BufferBytes(const Costs& costs, const Instruction& send) {
  if (send.op == Op::kSendActivation) return CostOfEdge(costs, send.index).forward_buffer;
  return send.op == Op::kSendCotangent ? CostOfEdge(costs, send.index).backward_buffer : 0;
}

double GatherSeconds(const Costs& costs, const Instruction& send) {
  if (send.op == Op::kSendActivation) return CostOfEdge(costs, send.index).forward_gather;
  return send.op == Op::kSendCotangent ? CostOfEdge(costs, send.index).backward_gather : 0;
}

}  // namespace alpa::simulate
