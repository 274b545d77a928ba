// Which parts of a cluster stages may get, and where they may lie (docs/design/07-inter-operator.md, "The space").
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "alpa/inter/problem.h"
#include "alpa/inter/search.h"

namespace alpa::inter {

// Sizes of a stage within a host of `devices`: powers of two below it, its divisors, all of it; ascending.
std::vector<int> SizesWithinHost(int devices);

// Whether only the number of devices matters: hosts are equal and the sizes within one divide each other. Then any
// stages whose sizes add up to at most the devices can be placed (Alpa, appendix A).
bool PlacedByCount(const std::vector<Hosts>& hosts);

// One order in which stages take the hosts: numbers of hosts in the cluster. By count there is one; else one for each
// order of the runs (for more than kMostRuns runs: as they are, and reversed).
std::vector<std::vector<int>> HostOrders(const std::vector<Hosts>& hosts);
inline constexpr int kMostRuns = 5;

// All submeshes that a stage can get in one of the orders; by type, then by size. Rectangles only if wanted: with sizes
// within a host as for the smallest of its hosts.
std::vector<Submesh> SubmeshChoices(const std::vector<Hosts>& hosts, bool rectangles = false);

// Type and devices of each host of the cluster.
struct Host {
  int type = 0;
  int devices = 1;
  bool operator==(const Host&) const = default;
};
std::vector<Host> ListHosts(const std::vector<Hosts>& hosts);

// Where a stage may be put when those behind it have used `used` devices of the order, counted from its end: it then
// takes the devices up to `Place::used`. Devices that are skipped count as used.
struct Place {
  int used = 0;
  // Number in the cluster of the only host it lies on; -1: several, or not known (by count). From the number of hosts
  // on: the strip (Places::strips) in which the stage in front may lie beside it.
  int host = -1;
};

// Neighbouring hosts that were begun by a rectangle: all their devices count as used, and `free` of each are left for
// rectangles of the stages in front, one beside the other. Branches, and what lies in front of them, do not share a
// strip.
struct Strip {
  int hosts = 0, type = 0, free = 0;
  bool operator==(const Strip&) const = default;
};

struct Places {
  bool by_count = true;
  int devices = 0;
  std::vector<int> order;  // hosts
  std::vector<Place> places;
  std::vector<int> begin;  // into `places`, by used * submeshes + submesh
  int submeshes = 0;
  std::vector<Strip> strips;
  const Strip* StripOf(int host) const {
    const auto hosts = static_cast<int>(order.size());
    return host < hosts ? nullptr : &strips[static_cast<size_t>(host - hosts)];
  }
  // Devices that count as used behind a stage at `host`, although the stage in front may have them.
  int Free(int host) const {
    const Strip* const strip = StripOf(host);
    return strip == nullptr ? 0 : strip->hosts * strip->free;
  }
  // The place beside a stage at `behind`, in its strip; nothing when there is none for `submesh`.
  std::optional<Place> Beside(const Place& behind, const Submesh& submesh) const;
  // Number of the strip in terms of Place::host; -1: nothing is free.
  int HostOf(const Strip& strip) const;
  std::span<const Place> At(int used, int submesh) const {
    const size_t at = static_cast<size_t>(used) * submeshes + submesh;
    return {places.data() + begin[at], places.data() + begin[at + 1]};
  }
};

// All places worth trying: those left out are no better than one that is there.
Places MakePlaces(const std::vector<Hosts>& hosts, const std::vector<int>& order,
                  const std::vector<Submesh>& submeshes);

// Sets first_host and first_device. `at`: where the search put each stage; `chain`: which chain it is a stage of (what
// is used counts by chain where places are by count).
struct PlaceInChain {
  Place place;
  int chain = 0;
};
void PlaceStages(const std::vector<Hosts>& hosts, const Places& places, const std::vector<PlaceInChain>& at,
                 std::vector<Stage>* stages);

}  // namespace alpa::inter
