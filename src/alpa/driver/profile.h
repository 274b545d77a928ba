// alpa profile: what the machine at hand can do, as a cluster file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "alpa/base/result.h"

namespace alpa::driver {

struct ProfileOptions {
  int64_t devices = 0;            // 0: 8 virtual ones, or all that the back end has
  std::filesystem::path backend;  // PJRT plugin; empty: virtual CPU devices
  std::string memory;             // "16GiB" per device, of the machine for virtual ones; empty: what the system has
  std::filesystem::path out;      // cluster file
  bool quiet = false;
};

// Measures products, memory, launches and, from two devices on, collectives; prints a table and writes the file. Takes
// a minute or two. kInvalidArgument: a back end without --memory (it does not say what it has), more devices than it
// has.
Status Profile(const ProfileOptions& options);

}  // namespace alpa::driver
