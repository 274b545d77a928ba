#include "alpa/driver/stage_program.h"

#include <algorithm>

#include "alpa/driver/microbatches.h"
#include "alpa/frontend/scale_batch.h"

namespace alpa::driver {
namespace {

intra::Border BorderOf(frontend::BorderKind kind) {
  switch (kind) {
    case frontend::BorderKind::kActivation:
      return intra::Border::kActivation;
    case frontend::BorderKind::kCotangent:
      return intra::Border::kCotangent;
    default:
      return intra::Border::kNone;
  }
}

// What the step's analysis says of the segment's values.
frontend::BatchAnalysis BatchOf(const frontend::BatchAnalysis& step, const frontend::Segment& segment) {
  frontend::BatchAnalysis batch;
  batch.batch_size = step.batch_size;
  for (const ir::ValueId origin : segment.value_origin) batch.values.push_back(step.value(origin));
  return batch;
}

std::vector<intra::OpWork> WorkOf(const LoadedStep& loaded, const frontend::Segment& segment, const ir::Module& sized,
                                  int64_t microbatches) {
  return WorkOfOps(sized, segment.phases, microbatches, [&](ir::OpId op) {
    if (sized.op(op).kind == ir::OpKind::kParameter) return false;  // of the border: the sum is made elsewhere
    const ir::ValueId origin = segment.value_origin[static_cast<size_t>(sized.op(op).results[0])];
    const frontend::BatchInfo& info = loaded.analysis.batch.value(origin);
    return info.kind == frontend::BatchKind::kPartial && info.origin == segment.op_origin[static_cast<size_t>(op)];
  });
}

}  // namespace

std::vector<int64_t> LegalMicrobatches(const LoadedStep& loaded, bool per_microbatch) {
  const frontend::StepAnalysis& analysis = loaded.analysis;
  int64_t most = analysis.microbatching.max_microbatches;
  if (per_microbatch && !analysis.microbatching.separable() && analysis.batch.batch_size > 0) {
    most = analysis.batch.batch_size;
    for (const frontend::BatchInfo& info : analysis.batch.values) {
      if (info.kind == frontend::BatchKind::kBatched) most = std::min(most, info.parts);
    }
  }
  std::vector<int64_t> legal;
  for (int64_t m = 1; m <= most; ++m) {
    if (most % m == 0) legal.push_back(m);
  }
  return legal;
}

Status SizeProgram(const LoadedStep& loaded, int64_t microbatches, int64_t small_microbatches, bool half_sums,
                   StageProgram* out, std::optional<int64_t> far_microbatches) {
  const frontend::Segment& segment = out->segment;
  const frontend::BatchAnalysis batch = BatchOf(loaded.analysis.batch, segment);
  ALPA_TRY(out->sized, frontend::ScaleBatch(segment.module, batch, microbatches));
  ALPA_TRY(out->small, frontend::ScaleBatch(segment.module, batch, small_microbatches));
  intra::ProgramToPrice& program = out->program;
  program = {};
  program.module = &out->sized;
  program.small = &out->small;
  const int64_t examples = std::max<int64_t>(batch.batch_size, 1);
  program.examples = examples / microbatches;
  program.small_examples = examples / small_microbatches;
  program.signature = &segment.signature;
  program.work = WorkOf(loaded, segment, out->sized, microbatches);
  program.small_work = WorkOf(loaded, segment, out->small, microbatches);
  if (far_microbatches) {
    ALPA_TRY(out->far, frontend::ScaleBatch(segment.module, batch, *far_microbatches));
    program.far = &out->far;
    program.far_examples = examples / *far_microbatches;
    program.far_work = WorkOf(loaded, segment, out->far, microbatches);
  }
  for (std::vector<intra::OpWork>* work : {&program.work, &program.small_work, &program.far_work}) {
    for (intra::OpWork& of_op : *work) of_op.half_sums = half_sums;
  }
  for (const frontend::BatchInfo& info : batch.values)
    program.batch_dims.push_back(info.kind == frontend::BatchKind::kBatched ? info.dim : -1);
  out->update_ops.clear();
  for (size_t i = 0; i < segment.phases.size(); ++i) {
    const frontend::OpPhase phase = segment.phases[i];
    out->update_ops.push_back(phase == frontend::OpPhase::kUpdate ? 1 : 0);
    program.passes.push_back(phase == frontend::OpPhase::kUpdate    ? intra::Pass::kUpdate
                             : phase == frontend::OpPhase::kForward ? intra::Pass::kForward
                             : segment.weight_gradient[i] != 0      ? intra::Pass::kWeight
                                                                    : intra::Pass::kBackward);
  }
  for (const frontend::BorderKind kind : segment.input_kinds) program.inputs.push_back(BorderOf(kind));
  for (const frontend::BorderKind kind : segment.output_kinds) program.outputs.push_back(BorderOf(kind));
  return Ok();
}

Result<intra::PlannedStep> PlanStage(const StageProgram& program, const cost::Model& model, cost::AxisMask batch_axes,
                                     int64_t in_flight, const intra::PlanStepOptions& options,
                                     std::vector<std::vector<intra::LiesAs>> starts) {
  const intra::StageToPlan borders{program.program, batch_axes, in_flight, std::move(starts)};
  const intra::StepToPlan step{program.sized,
                               program.segment.signature,
                               program.program.work,
                               ir::Fingerprint(program.segment.module),
                               program.program.batch_dims,
                               program.update_ops,
                               &borders};
  return intra::PlanStep(step, model, options);
}

}  // namespace alpa::driver
