// An executable that runs the programs of a split step one after the other.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "alpa/xla/engine.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {

// Compiles a module for device 0, with these input-output aliases.
using CompileProgram = std::function<Result<std::unique_ptr<::xla::PjRtLoadedExecutable>>(
    ::xla::HloModule& module, const std::vector<ir::Alias>& donate)>;

// See Client::CompileMicrobatched; runs on device 0 of `client`. Inputs that are donated give their memory to outputs
// that are computed once per step.
Result<std::unique_ptr<Executable>> MakeMicrobatched(std::shared_ptr<::xla::PjRtClient> client,
                                                     const ImportedStep& step, const MicrobatchSplit& split,
                                                     const CompileOptions& options, const CompileProgram& compile);

}  // namespace alpa::xla
