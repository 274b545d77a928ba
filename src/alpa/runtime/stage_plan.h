// The layout of one program of a stage.
#pragma once

#include "alpa/plan/plan.h"
#include "alpa/runtime/pipeline.h"
#include "alpa/sharding/spec.h"

namespace alpa::runtime {

// How a value that goes into or out of a program of `stage` lies on the stage's mesh; `shape` is its shape there.
sharding::Spec SpecOf(const PipelineStage& stage, const xla::StageValue& value, const ir::Shape& shape);

// The plan by which `program` of `stage` is compiled: what the stage's layout says of the ops that the program has.
plan::Plan PlanOf(const PipelineStage& stage, const xla::StageProgram& program);

}  // namespace alpa::runtime
