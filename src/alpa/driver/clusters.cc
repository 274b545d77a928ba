#include "alpa/driver/clusters.h"

#include <cstdio>

#include "alpa/cluster/cluster.h"
#include "alpa/report/clusters.h"

namespace alpa::driver {

Status Clusters(const ClustersOptions& options) {
  std::string text;
  if (options.toml) {
    if (options.cluster.empty()) return Error{Code::kInvalidArgument, "--toml needs the name of a cluster", ""};
    ALPA_TRY(text, cluster::KnownClusterFile(options.cluster));
  } else if (options.cluster.empty()) {
    text = report::ClusterListText(cluster::KnownClusters());
  } else {
    ALPA_TRY(const cluster::Cluster cluster, cluster::LoadCluster(options.cluster));
    text = report::ClusterText(cluster);
  }
  std::fputs(text.c_str(), stdout);
  return Ok();
}

}  // namespace alpa::driver
