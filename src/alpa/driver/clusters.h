// alpa clusters: which clusters are known, and what is in one.
#pragma once

#include <string>

#include "alpa/base/result.h"

namespace alpa::driver {

struct ClustersOptions {
  std::string cluster;  // a name or a file; empty: list the known ones
  bool toml = false;    // the file of a known cluster instead of a description
};

// Prints on stdout.
Status Clusters(const ClustersOptions& options);

}  // namespace alpa::driver
