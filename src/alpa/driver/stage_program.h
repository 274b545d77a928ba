// A range of layers as the intra-operator pass wants it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/cost/model.h"
#include "alpa/driver/load_step.h"
#include "alpa/frontend/segment.h"
#include "alpa/intra/plan_step.h"
#include "alpa/intra/price_program.h"

namespace alpa::driver {

// Owns what intra::ProgramToPrice and intra::StepToPlan point into.
struct StageProgram {
  frontend::Segment segment;
  // With batch dimensions of program.examples, program.small_examples and program.far_examples.
  ir::Module sized, small, far;
  intra::ProgramToPrice program;
  std::vector<char> update_ops;  // by OpId

  StageProgram() = default;
  StageProgram(const StageProgram&) = delete;  // program points into the rest
  StageProgram& operator=(const StageProgram&) = delete;
};

// The numbers of microbatches that the step can be cut into, ascending: divisors of what the frontend allows, or with
// `per_microbatch` of the batch as far as shapes allow it.
std::vector<int64_t> LegalMicrobatches(const LoadedStep& loaded, bool per_microbatch);

// Prepares `out`, whose segment is set, for microbatches of batch / microbatches examples, and of batch /
// small_microbatches for the small version, and, if given, batch / far_microbatches for the far one; all must be legal.
// Costs are weighed for `microbatches` of them. `half_sums`: as intra::OpWork.
Status SizeProgram(const LoadedStep& loaded, int64_t microbatches, int64_t small_microbatches, bool half_sums,
                   StageProgram* out, std::optional<int64_t> far_microbatches = std::nullopt);

// The best layout of `program`, which was sized, on the mesh of `model`, with values on its borders that carry the
// batch split over `batch_axes` and so many microbatches in flight. `starts`: as in intra::StageToPlan. Errors as of
// intra::PlanStep.
Result<intra::PlannedStep> PlanStage(const StageProgram& program, const cost::Model& model, cost::AxisMask batch_axes,
                                     int64_t in_flight, const intra::PlanStepOptions& options,
                                     std::vector<std::vector<intra::LiesAs>> starts = {});

}  // namespace alpa::driver
