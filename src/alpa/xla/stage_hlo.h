// The ops of a stage as an HLO module of its own.
#pragma once

#include <memory>

#include "alpa/base/result.h"
#include "alpa/xla/stage.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {

// The stage as a step: `module` of the cut and the same in HLO. An input that is a part of a sum has, where there are
// several microbatches, a first dimension over them (of `split.count`; cut along it), and is summed up over it.
struct StageStep {
  ImportedStep step;
  MicrobatchSplit split;
};

// Every instruction says in its metadata which op it is made of (OpOf). kCorrupt when step.hlo is no module; our own
// bug when an op of the stage is not in it.
Result<StageStep> MakeStageStep(const ImportedStep& step, const StageCut& cut);

// The op that an instruction was made of by MakeStageStep and passes after it; -1: none.
ir::OpId OpOf(const ::xla::HloInstruction& instruction);

// Says so.
void MarkOp(::xla::HloInstruction& instruction, ir::OpId op);

}  // namespace alpa::xla
