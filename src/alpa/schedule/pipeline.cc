#include "alpa/schedule/pipeline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace alpa::schedule {
namespace {

constexpr std::array<std::string_view, kKindCount> kNames = {"gpipe", "1f1b", "interleaved", "zb-h1", "inference"};

Error Bad(const std::string& message, const std::string& hint = "") {
  return Error{Code::kInvalidArgument, message, hint};
}

Status VerifyStages(const Pipeline& pipeline) {
  if (pipeline.microbatches < 1) return Bad(fmt::format("a pipeline of {} microbatches", pipeline.microbatches));
  if (pipeline.stages.empty()) return Bad("a pipeline without stages");
  const auto stages = static_cast<int64_t>(pipeline.stages.size());
  const auto edges = static_cast<int64_t>(pipeline.edges.size());
  if ((stages + edges) * pipeline.microbatches > kMaxStageMicrobatches)
    return Bad(fmt::format("{} stages and {} edges times {} microbatches are more than {}", stages, edges,
                           pipeline.microbatches, kMaxStageMicrobatches));
  if (pipeline.meshes < 1 || pipeline.meshes > stages)
    return Bad(fmt::format("a pipeline of {} stages on {} meshes", stages, pipeline.meshes));
  std::vector<int32_t> stages_of(static_cast<size_t>(pipeline.meshes), 0);
  for (size_t s = 0; s < pipeline.stages.size(); ++s) {
    const Stage& stage = pipeline.stages[s];
    if (stage.mesh < 0 || stage.mesh >= pipeline.meshes)
      return Bad(fmt::format("stage {} lies on mesh {} of {}", s, stage.mesh, pipeline.meshes));
    if (stage.chunk != stages_of[static_cast<size_t>(stage.mesh)]++)
      return Bad(fmt::format("stage {} is chunk {} of mesh {}, where the next one is chunk {}", s, stage.chunk,
                             stage.mesh, stages_of[static_cast<size_t>(stage.mesh)] - 1));
  }
  for (size_t mesh = 0; mesh < stages_of.size(); ++mesh) {
    if (stages_of[mesh] == 0) return Bad(fmt::format("mesh {} has no stage", mesh));
    if (stages_of[mesh] > 1 && pipeline.kind != Kind::kInterleaved)
      return Bad(fmt::format("schedule {}: mesh {} has {} stages", Name(pipeline.kind), mesh, stages_of[mesh]),
                 "only the interleaved schedule runs several stages on one mesh");
  }
  return Ok();
}

Status VerifyEdges(const Pipeline& pipeline) {
  const auto stages = static_cast<int32_t>(pipeline.stages.size());
  std::set<std::pair<int32_t, int32_t>> seen;
  for (size_t e = 0; e < pipeline.edges.size(); ++e) {
    const Edge& edge = pipeline.edges[e];
    const std::string name = fmt::format("edge {} from stage {} to stage {}", e, edge.from, edge.to);
    if (edge.from < 0 || edge.to >= stages) return Bad(fmt::format("{}: there are {} stages", name, stages));
    if (edge.from >= edge.to) return Bad(name + ": stages are numbered in topological order");
    if (!seen.insert({edge.from, edge.to}).second) return Bad(name + " is there twice");
    if (edge.forward_bytes < 0 || edge.backward_bytes < 0) return Bad(name + ": negative bytes");
  }
  return Ok();
}

Status VerifyStepEdges(const Pipeline& pipeline) {
  const auto stages = static_cast<int32_t>(pipeline.stages.size());
  if (pipeline.update_rounds < 0) return Bad(fmt::format("{} rounds of updates", pipeline.update_rounds));
  if (pipeline.kind == Kind::kInference && (pipeline.update_rounds > 0 || !pipeline.step_edges.empty()))
    return Bad(fmt::format("schedule inference: {} rounds of updates and {} edges per step, but nothing is updated",
                           pipeline.update_rounds, pipeline.step_edges.size()));
  for (size_t x = 0; x < pipeline.step_edges.size(); ++x) {
    const StepEdge& edge = pipeline.step_edges[x];
    const std::string name = fmt::format("step edge {} from stage {} to stage {}", x, edge.from, edge.to);
    if (std::min(edge.from, edge.to) < 0 || std::max(edge.from, edge.to) >= stages)
      return Bad(fmt::format("{}: there are {} stages", name, stages));
    if (edge.from == edge.to) return Bad(name + ": the stage has the value already");
    if (edge.round < 0 || edge.round > pipeline.update_rounds)
      return Bad(fmt::format("{}: round {} of {}", name, edge.round, pipeline.update_rounds));
    if (edge.bytes < 0) return Bad(name + ": negative bytes");
  }
  return Ok();
}

// Stage j on mesh j % p; microbatches in groups of p; each stage feeds the next.
Status VerifyInterleaved(const Pipeline& pipeline) {
  const auto stages = static_cast<int32_t>(pipeline.stages.size());
  const int32_t meshes = pipeline.meshes;
  if (stages % meshes != 0)
    return Bad(fmt::format("schedule interleaved: {} stages on {} meshes; all need equally many", stages, meshes));
  if (pipeline.microbatches % meshes != 0)
    return Bad(fmt::format("schedule interleaved: {} microbatches on {} meshes", pipeline.microbatches, meshes),
               "the number of microbatches must be divisible by the number of meshes");
  std::vector<bool> feeds(static_cast<size_t>(stages), false);
  // A step without gradients has no cotangents at all, and its backwards, which do nothing, wait for nothing.
  const bool trains =
      std::any_of(pipeline.edges.begin(), pipeline.edges.end(), [](const Edge& e) { return e.cotangent; });
  for (const Edge& edge : pipeline.edges) {
    if (edge.to == edge.from + 1 && (edge.cotangent || !trains)) feeds[static_cast<size_t>(edge.from)] = true;
  }
  for (int32_t s = 0; s < stages; ++s) {
    if (pipeline.stages[static_cast<size_t>(s)].mesh != s % meshes)
      return Bad(fmt::format("schedule interleaved: stage {} lies on mesh {}, not {}", s,
                             pipeline.stages[static_cast<size_t>(s)].mesh, s % meshes));
    if (s + 1 < stages && !feeds[static_cast<size_t>(s)])
      return Bad(
          fmt::format("schedule interleaved: stage {} does not pass activations and cotangents to stage {}", s, s + 1),
          "stages with parallel branches need gpipe, 1f1b or zb-h1");
  }
  return Ok();
}

}  // namespace

std::string_view Name(Kind kind) { return kNames[static_cast<size_t>(kind)]; }

Result<Kind> ParseKind(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Kind>(i);
  }
  return Bad(fmt::format("there is no schedule '{}'", name), fmt::format("one of {}", fmt::join(kNames, ", ")));
}

bool IsLocal(const Pipeline& pipeline, const Edge& edge) {
  return pipeline.stages[static_cast<size_t>(edge.from)].mesh == pipeline.stages[static_cast<size_t>(edge.to)].mesh;
}

bool IsLocal(const Pipeline& pipeline, const StepEdge& edge) {
  return pipeline.stages[static_cast<size_t>(edge.from)].mesh == pipeline.stages[static_cast<size_t>(edge.to)].mesh;
}

Status Verify(const Pipeline& pipeline) {
  ALPA_RETURN_IF_ERROR(VerifyStages(pipeline));
  ALPA_RETURN_IF_ERROR(VerifyEdges(pipeline));
  ALPA_RETURN_IF_ERROR(VerifyStepEdges(pipeline));
  if (pipeline.kind == Kind::kInterleaved) ALPA_RETURN_IF_ERROR(VerifyInterleaved(pipeline));
  return Ok();
}

std::vector<int32_t> StagesToEnd(const Pipeline& pipeline) {
  std::vector<std::vector<int32_t>> next(pipeline.stages.size());
  for (const Edge& edge : pipeline.edges) next[static_cast<size_t>(edge.from)].push_back(edge.to);
  std::vector<int32_t> length(pipeline.stages.size(), 1);
  for (size_t s = pipeline.stages.size(); s-- > 0;) {
    for (const int32_t t : next[s]) length[s] = std::max(length[s], length[static_cast<size_t>(t)] + 1);
  }
  return length;
}

InFlight InFlightBounds(const Pipeline& pipeline) {
  InFlight bounds;
  const int64_t m = pipeline.microbatches;
  const auto meshes = static_cast<size_t>(pipeline.meshes);
  bounds.activations.assign(meshes, pipeline.kind == Kind::kInference ? 0 : m);
  if (pipeline.kind == Kind::kInterleaved) {
    const int64_t p = pipeline.meshes;
    const int64_t v = static_cast<int64_t>(pipeline.stages.size()) / p;
    for (int64_t r = 0; r < p; ++r)
      bounds.activations[static_cast<size_t>(r)] = std::min(m * v, 2 * (p - r - 1) + (v - 1) * p + 1);
  }
  bounds.weight_inputs = bounds.activations;
  if (pipeline.kind != Kind::k1F1B && pipeline.kind != Kind::kZbH1) return bounds;
  const std::vector<int32_t> length = StagesToEnd(pipeline);
  for (size_t s = 0; s < length.size(); ++s)
    bounds.activations[static_cast<size_t>(pipeline.stages[s].mesh)] = std::min<int64_t>(m, length[s]);
  bounds.weight_inputs = bounds.activations;
  if (pipeline.kind == Kind::kZbH1)
    bounds.weight_inputs.assign(meshes, std::min<int64_t>(m, *std::max_element(length.begin(), length.end())));
  return bounds;
}

std::string ToString(const Pipeline& pipeline) {
  std::string out = fmt::format("pipeline {}: {} microbatches, {} meshes, {} update rounds\n", Name(pipeline.kind),
                                pipeline.microbatches, pipeline.meshes, pipeline.update_rounds);
  for (size_t s = 0; s < pipeline.stages.size(); ++s) {
    const Stage& stage = pipeline.stages[s];
    out += fmt::format("stage {}: mesh {}, chunk {}{}\n", s, stage.mesh, stage.chunk,
                       stage.recompute ? ", recompute" : "");
  }
  for (size_t e = 0; e < pipeline.edges.size(); ++e) {
    const Edge& edge = pipeline.edges[e];
    out += fmt::format("edge {}: stage {} -> {}, {} B forward, {}\n", e, edge.from, edge.to, edge.forward_bytes,
                       edge.cotangent ? fmt::format("{} B backward", edge.backward_bytes) : "nothing back");
  }
  for (size_t x = 0; x < pipeline.step_edges.size(); ++x) {
    const StepEdge& edge = pipeline.step_edges[x];
    out += fmt::format("step edge {}: stage {} -> {}, round {}, {} B\n", x, edge.from, edge.to, edge.round, edge.bytes);
  }
  return out;
}

}  // namespace alpa::schedule
