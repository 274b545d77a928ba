#include "alpa/driver/state_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "alpa/frontend/segment.h"

namespace alpa::driver {
namespace {

// A piece of an array: [start, start + extent) in each dimension.
struct Box {
  std::vector<int64_t> start, extent;
  bool operator<(const Box& o) const { return start < o.start; }
};

Box BoxOf(const StatePart& part, const ir::Shape& shape, int64_t device) {
  return {sharding::ShardStart(part.spec, shape, part.mesh, device),
          sharding::ShardShape(part.spec, shape, part.mesh).dims};
}

double Volume(const Box& box) {
  double volume = 1;
  for (const int64_t e : box.extent) volume *= static_cast<double>(e);
  return volume;
}

double Overlap(const Box& a, const Box& b) {
  double volume = 1;
  for (size_t d = 0; d < a.start.size(); ++d) {
    const int64_t low = std::max(a.start[d], b.start[d]);
    const int64_t high = std::min(a.start[d] + a.extent[d], b.start[d] + b.extent[d]);
    if (high <= low) return 0;
    volume *= static_cast<double>(high - low);
  }
  return volume;
}

// Elements of `wanted` that the device has, and that its host has; both from the part that gives most of it.
std::pair<double, double> Held(const std::vector<StatePart>& parts, const ir::Shape& shape, const Box& wanted,
                               int64_t device, const std::vector<int>& host_of) {
  double own = 0, host = 0;
  for (const StatePart& part : parts) {
    std::set<Box> on_host;  // copies count once
    for (size_t k = 0; k < part.devices.size(); ++k) {
      if (host_of[static_cast<size_t>(part.devices[k])] != host_of[static_cast<size_t>(device)]) continue;
      Box box = BoxOf(part, shape, static_cast<int64_t>(k));
      if (part.devices[k] == device) own = std::max(own, Overlap(box, wanted));
      on_host.insert(std::move(box));
    }
    double sum = 0;
    for (const Box& box : on_host) sum += Overlap(box, wanted);
    host = std::max(host, sum);
  }
  return {own, host};
}

std::vector<int64_t> DevicesOf(const cluster::Cluster& cluster, const plan::StagePlacement& at) {
  std::vector<int64_t> devices;
  for (int h = at.first_host; h < at.first_host + at.hosts; ++h) {
    const int64_t first = cluster.first_device(h) + at.first_device;
    for (int d = 0; d < at.devices; ++d) devices.push_back(first + d);
  }
  return devices;
}

sharding::Spec Padded(sharding::Spec spec, const ir::Shape& shape) {
  spec.dims.resize(static_cast<size_t>(shape.rank()));
  return spec;
}

bool IsState(const LoadedStep& loaded, size_t input) {
  return loaded.analysis.signature.inputs[input].role != ir::InputRole::kBatch;
}

}  // namespace

StateLayout LayoutOf(const LoadedStep& loaded, const plan::Plan& plan) {
  const ir::Module& module = loaded.step.module;
  StateLayout layout(module.inputs.size());
  std::vector<int64_t> devices(static_cast<size_t>(plan.mesh.size()));
  for (size_t d = 0; d < devices.size(); ++d) devices[d] = static_cast<int64_t>(d);
  for (size_t i = 0; i < layout.size(); ++i) {
    if (IsState(loaded, i)) layout[i] = {{plan.mesh, Padded(plan.inputs[i], module.shape(module.inputs[i])), devices}};
  }
  return layout;
}

std::vector<std::map<int32_t, int32_t>> StateInputs(const LoadedStep& loaded, const frontend::Layering& layering,
                                                    const plan::PipelinePlan& plan) {
  const ir::Module& module = loaded.step.module;
  std::map<ir::ValueId, int32_t> input_of;
  for (size_t i = 0; i < module.inputs.size(); ++i) input_of[module.inputs[i]] = static_cast<int32_t>(i);
  std::vector<std::map<int32_t, int32_t>> out;
  for (const plan::PipelineStage& stage : plan.stages) {
    const frontend::Segment segment = frontend::ExtractSegment(module, loaded.analysis, layering, stage.first_layer,
                                                               stage.last_layer, stage.recompute);
    out.emplace_back();
    for (size_t i = 0; i < segment.module.inputs.size(); ++i) {
      if (segment.input_kinds[i] != frontend::BorderKind::kOwn) continue;
      const auto at = input_of.find(segment.value_origin[static_cast<size_t>(segment.module.inputs[i])]);
      if (at != input_of.end() && IsState(loaded, static_cast<size_t>(at->second)))
        out.back()[static_cast<int32_t>(i)] = at->second;
    }
  }
  return out;
}

std::vector<std::map<int32_t, sharding::Spec>> StageStates(const LoadedStep& loaded, const frontend::Layering& layering,
                                                           const plan::PipelinePlan& plan) {
  const auto inputs = StateInputs(loaded, layering, plan);
  std::vector<std::map<int32_t, sharding::Spec>> out(inputs.size());
  for (size_t s = 0; s < inputs.size(); ++s) {
    for (const auto& [own, step] : inputs[s]) out[s][own] = plan.stages[s].layout.inputs[static_cast<size_t>(own)];
  }
  return out;
}

StateLayout LayoutOf(const LoadedStep& loaded, const frontend::Layering& layering, const cluster::Cluster& cluster,
                     const plan::PipelinePlan& plan) {
  const ir::Module& module = loaded.step.module;
  StateLayout layout(module.inputs.size());
  const auto inputs = StateInputs(loaded, layering, plan);
  for (size_t s = 0; s < plan.stages.size(); ++s) {
    const plan::PipelineStage& stage = plan.stages[s];
    for (const auto& [own, step] : inputs[s]) {
      const ir::Shape& shape = module.shape(module.inputs[static_cast<size_t>(step)]);
      layout[static_cast<size_t>(step)].push_back({stage.layout.mesh,
                                                   Padded(stage.layout.inputs[static_cast<size_t>(own)], shape),
                                                   DevicesOf(cluster, stage.placement)});
    }
  }
  return layout;
}

Seconds SwitchTime(const StateLayout& from, const StateLayout& to, const std::vector<ir::Shape>& shapes,
                   const cluster::Cluster& cluster) {
  const std::vector<int> host_of = cluster.HostOfDevice();
  std::vector<double> near(host_of.size(), 0), far(host_of.size(), 0);  // bytes that each device receives
  for (size_t a = 0; a < to.size(); ++a) {
    if (from[a] == to[a] || shapes[a].elements() == 0) continue;
    const double element = static_cast<double>(shapes[a].bytes().value) / static_cast<double>(shapes[a].elements());
    for (const StatePart& part : to[a]) {
      for (size_t k = 0; k < part.devices.size(); ++k) {
        const Box wanted = BoxOf(part, shapes[a], static_cast<int64_t>(k));
        const auto device = static_cast<size_t>(part.devices[k]);
        const auto [own, host] = Held(from[a], shapes[a], wanted, part.devices[k], host_of);
        near[device] += (std::max(host, own) - own) * element;
        far[device] += (Volume(wanted) - std::max(host, own)) * element;
      }
    }
  }
  double seconds = 0;
  size_t device = 0;
  for (const cluster::Host& host : cluster.hosts) {
    double most_near = 0, most_far = 0, all_far = 0;
    for (int64_t d = 0; d < host.devices; ++d, ++device) {
      most_near = std::max(most_near, near[device]);
      most_far = std::max(most_far, far[device]);
      all_far += far[device];
    }
    double time = most_near > 0 ? host.intra.alpha.value + host.intra.beta * most_near : 0;
    if (all_far > 0)
      time += host.network.alpha.value + std::max(host.network.beta * all_far, host.device_network_beta * most_far);
    seconds = std::max(seconds, time);
  }
  return Seconds(seconds);
}

Status CheckSameState(const LoadedStep& first, const std::string& first_file, const LoadedStep& other,
                      const std::string& other_file) {
  const auto states = [](const LoadedStep& loaded) {
    std::vector<std::string> out;
    const ir::Module& module = loaded.step.module;
    for (size_t i = 0; i < module.inputs.size(); ++i) {
      if (IsState(loaded, i))
        out.push_back(fmt::format("{} {}", i < module.input_names.size() ? module.input_names[i] : "",
                                  ir::ToString(module.shape(module.inputs[i]))));
    }
    return out;
  };
  const std::vector<std::string> a = states(first), b = states(other);
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    if (i < a.size() && i < b.size() && a[i] == b[i]) continue;
    return Error{Code::kMismatch,
                 fmt::format("no family: state {} is {} in {}, {} in {}", i, i < a.size() ? a[i] : "not there",
                             first_file, i < b.size() ? b[i] : "not there", other_file),
                 "a family is one model exported at several batch or sequence sizes, with equal parameters and "
                 "optimizer state"};
  }
  return Ok();
}

}  // namespace alpa::driver
