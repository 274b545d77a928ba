// Where the shared libraries of alpa are that are opened when first needed.
#pragma once

#include <filesystem>
#include <string_view>

namespace alpa {

// What the environment variable `variable` says, else `name` beside the program or in the places of an installed tree;
// where there is none, the path beside the program, which does not exist.
std::filesystem::path FindLibrary(std::string_view name, const char* variable);

}  // namespace alpa
