// What was measured of a machine, and the cluster file that it becomes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alpa/base/units.h"
#include "alpa/sharding/collective.h"

namespace alpa::profile {

// A collective of `bytes` (as sharding::Collective counts them) over `devices` devices.
struct CollectiveTime {
  sharding::CollectiveKind kind = sharding::CollectiveKind::kAllReduce;
  int64_t devices = 2;
  Bytes bytes;
  Seconds measured;
  Seconds modelled{0};  // by the cost model from the finished file; filled in last
  bool operator==(const CollectiveTime&) const = default;
};

// A rate at one size.
struct Rate {
  std::string what;  // "f32 product 1024"
  double per_second = 0;
  std::string unit;  // "FLOP/s", "B/s"
  bool operator==(const Rate&) const = default;
};

// Latency and time per byte of a link.
struct LinkFit {
  Seconds alpha;
  double beta = 0;
  bool operator==(const LinkFit&) const = default;
};

struct Machine {
  std::string name;  // of the processor or back end
  std::string date;  // of the measurement
  int64_t devices = 1;
  bool shared = true;        // the devices share one machine, and all figures are those of the machine
  Bytes memory;              // of all devices together where shared, else of one
  double f32 = 0, bf16 = 0;  // FLOP/s of large products
  double vector = 0;         // FLOP/s
  double bandwidth = 0;      // bytes/s
  Seconds launch;
  double slowdown = 1;  // of a product where all devices compute one each at the same time
  Rate copy;            // from mesh to mesh, through the host
  LinkFit link;         // as the file has it
  std::vector<Rate> rates;
  std::vector<CollectiveTime> collectives;
};

// The middle of `values`, of an even number the lower one. Not empty.
double Median(std::vector<double> values);

// The link that explains `times`. Latency: from the smallest all-reduces, which are trees of 2 log2 N messages in turn
// (N times as long where the devices share a machine, as the file says for a machine). Time per byte: from the rest,
// all rings in which each device sends (N-1)/N of the bytes, twice for all-reduce. Medians over all of them, so that
// single bad points do not count. At least one all-reduce, and two sizes.
LinkFit FitLink(const std::vector<CollectiveTime>& times, bool shared);

// A cluster file with everything measured in comments. Parses back (cluster::ParseCluster).
std::string ToToml(const Machine& machine);
// The same as a page.
std::string ToText(const Machine& machine);

}  // namespace alpa::profile
