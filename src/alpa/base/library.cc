#include "alpa/base/library.h"

#include <cstdlib>

namespace alpa {

std::filesystem::path FindLibrary(std::string_view name, const char* variable) {
  if (const char* given = std::getenv(variable); given != nullptr && *given != '\0') return given;
  std::error_code ec;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ec);
  for (const char* relative : {".", "..", "../lib", "../lib/alpa"}) {
    const auto candidate = program.parent_path() / relative / name;
    if (std::filesystem::exists(candidate, ec)) return candidate;
  }
  return program.parent_path() / name;
}

}  // namespace alpa
