// A stage taken apart into the programs that its devices run.
#pragma once

#include "alpa/base/result.h"
#include "alpa/xla/stage.h"

namespace alpa::xla {

// See Engine::CutStage.
Result<StagePrograms> SplitStage(const ImportedStep& step, const StageCut& cut);

}  // namespace alpa::xla
