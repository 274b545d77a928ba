#include "alpa/driver/solve_on_mesh.h"

#include <utility>

namespace alpa::driver {
namespace {

constexpr double kTimeLimit = 10;  // seconds

}  // namespace

Result<intra::PlannedStep> SolveOnMesh(const LoadedStep& loaded, const cost::Model& model, const PlanOptions& options,
                                       const FindPipelineOptions& find, intra::PlanStepOptions how) {
  const std::optional<intra::Method> method = intra::MethodFromName(options.method);
  ALPA_CHECK(method.has_value());
  how.method = *method;
  how.memory = MemoryLimit(model.device, find);
  for (const std::string& text : options.pins) {
    ALPA_TRY(intra::Pin pin, intra::ParsePin(text));
    how.pins.push_back(std::move(pin));
  }
  how.solve.time_limit = Seconds(options.time_limit > 0 ? options.time_limit : kTimeLimit);
  how.solve.threads = options.threads;
  how.solve.gap = options.gap;
  const int64_t microbatches = find.microbatches.empty() ? 1 : find.microbatches[0];
  ALPA_TRY(const PlannerInput input, MakePlannerInput(loaded, microbatches, options.per_microbatch));
  const intra::StepToPlan step{input.module,     loaded.analysis.signature,
                               input.work,       ir::Fingerprint(loaded.step.module),
                               input.batch_dims, input.update_ops};
  return intra::PlanStep(step, model, how);
}

}  // namespace alpa::driver
