// alpa compare: two plans side by side.
#pragma once

#include <filesystem>
#include <string>

#include "alpa/base/result.h"

namespace alpa::driver {

struct CompareOptions {
  std::filesystem::path a, b;
  std::string cluster;  // name or file, for both; empty: that of each plan
  bool json = false;
};

// Reads both plans, simulates those of several stages, and prints what differs and what it costs. Families are compared
// shape by shape; kInvalidArgument when they do not have equally many.
Status Compare(const CompareOptions& options);

}  // namespace alpa::driver
