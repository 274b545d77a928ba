// A plan of several stages: which layers run on which devices, each stage with a layout of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/plan/plan.h"

namespace alpa::plan {

inline constexpr int kPipelineVersion = 1;

// Where a stage's devices lie: `devices` of each of `hosts` hosts of the cluster, from `first_host` on; on a host from
// `first_device` on.
struct StagePlacement {
  int first_host = 0, hosts = 1;
  int first_device = 0, devices = 1;
  std::string device_type;
  bool operator==(const StagePlacement&) const = default;
};

// What the planner expects of a stage; per device where it is about bytes.
struct StagePrediction {
  Seconds forward, backward, weight;   // per microbatch; backward includes recomputation and weight gradients
  Seconds per_step;                    // gradient synchronization and update
  Bytes state, activation, workspace;  // parameters, optimizer state and gradients; per microbatch in flight; the rest
  Bytes peak;                          // with in_flight microbatches
  int64_t in_flight = 1;
  bool operator==(const StagePrediction&) const = default;
};

struct PipelineStage {
  int first_layer = 0, last_layer = 0;
  int chunk = 0;           // of several stages on the same devices (interleaved), from 0
  bool recompute = false;  // forward is computed again in front of backward, layer by layer
  StagePlacement placement;
  Plan layout;  // of the stage's own program, for one microbatch: borders are inputs and outputs
  StagePrediction prediction;
  bool operator==(const PipelineStage&) const = default;
};

// Values that go from one stage to another for each microbatch: activations forth and cotangents back. Bytes of whole
// arrays. Seconds of what the receiving mesh does afterwards to copy them to all its devices that want them.
struct PipelineEdge {
  int from = 0, to = 0;
  Bytes activation, cotangent;
  Seconds forward_gather, backward_gather;
  bool operator==(const PipelineEdge&) const = default;
};

// Values that go from one stage to another once per step, in any direction, in front of round `round` of the update
// (see schedule::StepEdge): sums of gradients of shared parameters (0), partial norms (1), the norm (2), and behind the
// last round new values of shared parameters.
struct PipelineStepEdge {
  int from = 0, to = 0;
  int round = 0;
  Bytes bytes;
  bool operator==(const PipelineStepEdge&) const = default;
};

struct PipelinePrediction {
  Seconds step;         // simulated
  Seconds closed_form;  // by which the search compared plans
  Seconds bound;        // no plan of the search space, interleaved ones left out, has a smaller closed form
  Flops flops;          // of a step, without what is computed again
  bool operator==(const PipelinePrediction&) const = default;
};

struct PipelinePlan {
  int version = kPipelineVersion;
  std::string model;
  uint64_t model_fingerprint = 0;
  std::string cluster;  // name, or file
  int64_t microbatches = 1;
  bool per_microbatch = false;  // statistics over the batch are those of each microbatch
  bool half_sums = false;       // 16-bit gradients are added up over microbatches in 16 bits, else in 32
  bool unstacked = false;       // stages are those of the step with stacked parameters taken apart ("NAME[0]", ...)
  std::string schedule;         // "1f1b", ...
  int layers = 0;               // the model is cut into so many
  std::vector<PipelineStage> stages;
  std::vector<PipelineEdge> edges;
  std::vector<PipelineStepEdge> step_edges;
  int update_rounds = 1;
  PipelinePrediction prediction;
  bool operator==(const PipelinePlan&) const = default;
};

// JSON, and back. Parse errors name the key and what was expected; kInvalidInput.
std::string ToJson(const PipelinePlan& plan);
Result<PipelinePlan> PipelineFromJson(std::string_view text);

// Whether a text is (or may be, if it is damaged) a plan of several stages rather than one of a single mesh.
bool IsPipeline(std::string_view text);

// Devices that the plan runs on; stages at the same place share theirs.
int64_t DeviceCount(const PipelinePlan& plan);

// What a device holds at most that has all of these stages, of which one runs at a time.
Bytes PeakMemory(const std::vector<StagePrediction>& stages);

// Numbers in range, edges between stages that exist and forth, layers covered: each layer is in exactly one stage.
Status Verify(const PipelinePlan& plan);

}  // namespace alpa::plan
