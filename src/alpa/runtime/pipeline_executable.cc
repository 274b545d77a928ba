#include "alpa/runtime/pipeline_executable.h"

#include <utility>

#include "alpa/runtime/compiled_pipeline.h"
#include "alpa/runtime/step_run.h"

namespace alpa::runtime {
namespace {

class PipelineExecutable : public xla::Executable {
 public:
  PipelineExecutable(std::vector<xla::Client*> clients, const PipelineSetup& setup, const PipelineOptions& options)
      : compiled_(std::move(clients), setup, options.group) {
    context_.timeline = options.timeline;
    for (int m = 0; m < setup.pipeline.meshes; ++m) {
      context_.memory.push_back(MemoryMeter::Make());
      const bool watched = options.watch != nullptr && compiled_.exchange().IsHere(m);
      context_.activities.push_back(watched ? &options.watch->AddActivity() : nullptr);
    }
  }

  Status Compile() { return compiled_.Compile(); }
  Result<std::vector<std::unique_ptr<xla::Array>>> Run(const std::vector<xla::Array*>& arguments) override {
    return RunStep(compiled_, context_, arguments);
  }
  std::vector<std::vector<plan::CollectiveTotal>> collectives() const {
    std::vector<std::vector<plan::CollectiveTotal>> out;
    for (size_t s = 0; s < compiled_.setup().stages.size(); ++s) out.push_back(compiled_.stage(s).collectives);
    return out;
  }
  const xla::ExecutableStats& stats() const override { return compiled_.stats(); }
  Result<std::string> HloText() const override { return compiled_.HloText(); }

 private:
  CompiledPipeline compiled_;
  RunContext context_;
};

}  // namespace

Result<std::unique_ptr<xla::Executable>> MakePipelineExecutable(const std::vector<xla::Client*>& clients,
                                                                const PipelineSetup& setup,
                                                                const PipelineOptions& options) {
  auto executable = std::make_unique<PipelineExecutable>(clients, setup, options);
  ALPA_RETURN_IF_ERROR(executable->Compile());
  if (options.collectives != nullptr) *options.collectives = executable->collectives();
  return std::unique_ptr<xla::Executable>(std::move(executable));
}

}  // namespace alpa::runtime
