// The files of page/, which are part of the program.
#pragma once

#include <string_view>

namespace alpa::report {

// The content of the file with this name; CHECKs that there is one.
std::string_view PageAsset(std::string_view name);

}  // namespace alpa::report
