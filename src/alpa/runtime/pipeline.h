// A pipeline ready to be compiled: the programs of each stage, what passes between stages, and what each mesh does.
#pragma once

#include <vector>

#include "alpa/ir/module.h"
#include "alpa/plan/plan.h"
#include "alpa/schedule/pipeline.h"
#include "alpa/schedule/program.h"
#include "alpa/xla/stage.h"

namespace alpa::runtime {

// An input of a stage.
struct StageInput {
  int step_input = -1;  // the input of the step that it is; -1: comes from other stages
  int batch_dim = -1;   // of inputs with examples: where they lie
  bool each = false;    // comes from another stage with each microbatch
  bool shared = false;  // state that another stage owns and updates
};

// An output of a stage.
struct StageOutput {
  int step_output = -1;   // the output of the step that it is; -1: goes to other stages
  int examples_dim = -1;  // of outputs with an entry per example: where these lie
  int updates = -1;       // the input of the stage that it is the new value of
};

struct PipelineStage {
  ir::Module module;  // as in StageCut
  xla::StagePrograms programs;
  plan::Plan layout;  // of `module` for one microbatch: mesh, inputs, outputs, ops
  std::vector<StageInput> inputs;
  std::vector<StageOutput> outputs;
};

// One value that passes from an output of one stage to an input of another.
struct PassedValue {
  int output = 0, input = 0;
  bool operator==(const PassedValue&) const = default;
};

// What is behind schedule::Edge and schedule::StepEdge: forward from edge.from to edge.to, backward the other way.
struct PassedValues {
  std::vector<PassedValue> forward, backward;
};

// Where a mesh is: `devices` devices of each of `hosts` hosts; device d of the mesh is on host first_host + d /
// devices.
struct MeshPlace {
  int first_host = 0, hosts = 1, devices = 1;
  bool operator==(const MeshPlace&) const = default;
};

struct PipelineSetup {
  schedule::Pipeline pipeline;
  schedule::Program program;
  std::vector<MeshPlace> places;  // by mesh
  std::vector<PipelineStage> stages;
  std::vector<PassedValues> edges;       // as pipeline.edges
  std::vector<PassedValues> step_edges;  // as pipeline.step_edges; forward only
};

}  // namespace alpa::runtime
