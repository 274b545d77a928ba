// From the bytes of a model file to a step that can be analysed and executed.
#pragma once

#include <string_view>

#include "alpa/base/result.h"
#include "alpa/xla/engine.h"

namespace alpa::xla {

// See Engine::Import.
Result<ImportedStep> ImportStep(std::string_view bytes, const ImportOptions& options);

}  // namespace alpa::xla
