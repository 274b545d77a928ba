// A pipeline behind the interface of a single mesh, so that training, checks and checkpoints need not know.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/runtime/pipeline.h"
#include "alpa/runtime/pipeline_executable.h"
#include "alpa/xla/engine.h"

namespace alpa::runtime {

// Where an input or output of the step that runs comes from: part `part` along the first dimension (of extent 1) of
// input or output `whole` of the step as the user has it; -1: it is that one itself.
struct PartOf {
  int whole = -1, part = -1;
  bool operator==(const PartOf&) const = default;
};

struct PartsOfStep {
  std::vector<PartOf> inputs, outputs;  // empty: the step is as the user has it
};

// The devices of all meshes as one client, which compiles one thing: the pipeline. Arrays that are Put stay in host
// memory until a step needs them.
class PipelineClient : public xla::Client {
 public:
  // `clients` by mesh, null where all devices are in other processes of `group` (null: there are none).
  PipelineClient(std::vector<std::unique_ptr<xla::Client>> clients, PipelineSetup setup, PartsOfStep parts,
                 process::Group* group, process::Watch* watch)
      : clients_(std::move(clients)),
        setup_(std::move(setup)),
        parts_(std::move(parts)),
        group_(group),
        watch_(watch) {}

  std::string platform() const override { return "cpu"; }
  int64_t device_count() const override;
  Result<std::unique_ptr<xla::Executable>> Compile(const xla::ImportedStep& step, const plan::Plan& plan,
                                                   const xla::CompileOptions& options) override;
  // kUnsupported: microbatches are a matter of the pipeline.
  Result<std::unique_ptr<xla::Executable>> CompileMicrobatched(const xla::ImportedStep& step,
                                                               const xla::MicrobatchSplit& split,
                                                               const xla::CompileOptions& options) override;
  Result<std::unique_ptr<xla::Array>> Put(const ir::HostTensor& tensor, const sharding::Spec& spec,
                                          const cluster::Mesh& mesh) override;
  Result<std::unique_ptr<xla::Array>> PutParts(std::vector<ir::HostTensor> parts, const ir::Shape& shape,
                                               const sharding::Spec& spec, const cluster::Mesh& mesh) override;

  // Whether a stage of this process reads input `input` of the step.
  bool Reads(int32_t input) const;

  const PipelineSetup& setup() const { return setup_; }
  // Of the last step.
  const StepTimeline& timeline() const { return timeline_; }
  // Of the compiled step: as PipelineOptions::collectives.
  const std::vector<std::vector<plan::CollectiveTotal>>& collectives() const { return collectives_; }

 private:
  // For arrays that all processes have.
  bool Answers() const { return group_ == nullptr || group_->rank() == 0; }

  std::vector<std::unique_ptr<xla::Client>> clients_;  // by mesh
  PipelineSetup setup_;
  PartsOfStep parts_;
  process::Group* group_;
  process::Watch* watch_;
  StepTimeline timeline_;
  std::vector<std::vector<plan::CollectiveTotal>> collectives_;
};

}  // namespace alpa::runtime
