// The version of alpa, as --version and checkpoints say it.
#pragma once

namespace alpa::driver {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace alpa::driver
