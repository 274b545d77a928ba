// What compiled programs are kept by.
#pragma once

#include <filesystem>
#include <string>

namespace xla {
class HloModuleProto;
struct CompileOptions;
}  // namespace xla

namespace alpa::xla {

// Where compiled programs are kept: what $ALPA_COMPILED says. Empty, as when it is not set: nowhere.
std::filesystem::path CompiledFolder();

// All that decides what XLA's compiler for the CPU makes of `module`: the program, the options, XLA_FLAGS, the library
// and the processor. The same text in every run.
std::string CompiledKey(const ::xla::HloModuleProto& module, const ::xla::CompileOptions& options);

}  // namespace alpa::xla
