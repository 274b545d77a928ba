#include "alpa/inter/submeshes.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "alpa/base/result.h"

namespace alpa::inter {
namespace {

// Neighbours in the order with the same type and number of devices, as [begin, end) in the order.
struct Group {
  int begin = 0, end = 0;
  Host host;
};

std::vector<Group> EqualNeighbours(const std::vector<Host>& hosts, const std::vector<int>& order) {
  std::vector<Group> groups;
  for (int at = 0; at < static_cast<int>(order.size()); ++at) {
    const Host& host = hosts[order[at]];
    if (groups.empty() || groups.back().host != host) groups.push_back({at, at, host});
    groups.back().end = at + 1;
  }
  return groups;
}

// The places in one order; devices are counted from its end.
class PlacesInOrder {
 public:
  PlacesInOrder(const std::vector<Host>& hosts, const std::vector<int>& order)
      : order_(order), groups_(EqualNeighbours(hosts, order)) {
    used_before_.assign(order.size() + 1, 0);
    for (int at = static_cast<int>(order.size()) - 1; at >= 0; --at) {
      used_before_[at] = used_before_[at + 1] + hosts[order[at]].devices;
    }
  }
  int devices() const { return used_before_[0]; }

  void Add(int used, const Submesh& submesh, std::vector<Place>* places) const {
    if (submesh.hosts > 1) {
      AddWholeHosts(used, submesh, places);
    } else {
      AddWithinHost(used, submesh, places);
    }
  }

 private:
  // In each group the last hosts that are free: earlier ones leave no more to those in front.
  void AddWholeHosts(int used, const Submesh& submesh, std::vector<Place>* places) const {
    for (const Group& group : groups_) {
      if (group.host != Host{submesh.type, submesh.devices}) continue;
      int end = group.end;
      while (end > group.begin && used_before_[end] < used) --end;
      if (end - submesh.hosts < group.begin || used_before_[end] < used) continue;
      places->push_back({used_before_[end - submesh.hosts], -1});
    }
  }

  // What is left of the host that was begun, and the last free host of each group.
  void AddWithinHost(int used, const Submesh& submesh, std::vector<Place>* places) const {
    for (const Group& group : groups_) {
      if (group.host.type != submesh.type || group.host.devices < submesh.devices) continue;
      for (int at = group.end - 1; at >= group.begin; --at) {
        if (used_before_[at] <= used) continue;  // nothing left
        const int from = std::max(used, used_before_[at + 1]);
        const int to = from + submesh.devices;
        if (to <= used_before_[at]) places->push_back({to, order_[at]});
        if (from == used_before_[at + 1]) break;  // a free host: those of the group in front of it are no better
      }
    }
  }

  const std::vector<int>& order_;
  std::vector<Group> groups_;
  std::vector<int> used_before_;  // devices used when the hosts from this position on are
};

}  // namespace

std::vector<int> SizesWithinHost(int devices) {
  std::vector<int> sizes;
  for (int size = 1; size <= devices; ++size) {
    const bool power = (size & (size - 1)) == 0;
    if (power || devices % size == 0) sizes.push_back(size);
  }
  return sizes;
}

std::vector<Host> ListHosts(const std::vector<Hosts>& hosts) {
  std::vector<Host> list;
  for (const Hosts& run : hosts) {
    for (const int devices : run.devices) list.push_back({run.type, devices});
  }
  return list;
}

bool PlacedByCount(const std::vector<Hosts>& hosts) {
  const std::vector<Host> list = ListHosts(hosts);
  if (std::any_of(list.begin(), list.end(), [&](const Host& host) { return host != list[0]; })) return false;
  const std::vector<int> sizes = SizesWithinHost(list[0].devices);
  for (size_t i = 1; i < sizes.size(); ++i) {
    if (sizes[i] % sizes[i - 1] != 0) return false;
  }
  return true;
}

std::vector<std::vector<int>> HostOrders(const std::vector<Hosts>& hosts) {
  std::vector<std::vector<int>> runs;
  int next = 0;
  for (const Hosts& run : hosts) {
    runs.emplace_back(run.devices.size());
    std::iota(runs.back().begin(), runs.back().end(), next);
    next += static_cast<int>(run.devices.size());
  }
  std::vector<int> permutation(runs.size());
  std::iota(permutation.begin(), permutation.end(), 0);
  const std::vector<Host> list = ListHosts(hosts);
  std::set<std::vector<std::tuple<int, int>>> seen;  // orders that look alike
  std::vector<std::vector<int>> orders;
  const auto add = [&] {
    std::vector<int> order;
    std::vector<std::tuple<int, int>> look;
    for (const int run : permutation) {
      for (const int host : runs[run]) {
        order.push_back(host);
        look.emplace_back(list[host].type, list[host].devices);
      }
    }
    if (seen.insert(look).second) orders.push_back(std::move(order));
  };
  add();
  if (PlacedByCount(hosts)) return orders;
  if (static_cast<int>(runs.size()) > kMostRuns) {
    std::reverse(permutation.begin(), permutation.end());
    add();
    return orders;
  }
  while (std::next_permutation(permutation.begin(), permutation.end())) add();
  return orders;
}

std::vector<Submesh> SubmeshChoices(const std::vector<Hosts>& hosts) {
  const std::vector<Host> list = ListHosts(hosts);
  std::set<std::tuple<int, int64_t, int, int>> choices;  // type, size, hosts, devices of each
  for (const Host& host : list) {
    for (const int size : SizesWithinHost(host.devices)) choices.emplace(host.type, size, 1, size);
  }
  for (const std::vector<int>& order : HostOrders(hosts)) {
    for (const Group& group : EqualNeighbours(list, order)) {
      for (int n = 2; n <= group.end - group.begin; ++n) {
        choices.emplace(group.host.type, int64_t{n} * group.host.devices, n, group.host.devices);
      }
    }
  }
  std::vector<Submesh> submeshes;
  submeshes.reserve(choices.size());
  for (const auto& [type, size, n, devices] : choices) submeshes.push_back({n, devices, type});
  return submeshes;
}

Places MakePlaces(const std::vector<Hosts>& hosts, const std::vector<int>& order,
                  const std::vector<Submesh>& submeshes) {
  const std::vector<Host> list = ListHosts(hosts);
  const PlacesInOrder in_order(list, order);
  Places places;
  places.by_count = PlacedByCount(hosts);
  places.devices = in_order.devices();
  places.order = order;
  places.submeshes = static_cast<int>(submeshes.size());
  places.begin.push_back(0);
  for (int used = 0; used <= places.devices; ++used) {
    for (const Submesh& submesh : submeshes) {
      if (!places.by_count) {
        in_order.Add(used, submesh, &places.places);
      } else if (used + submesh.size() <= places.devices) {
        places.places.push_back({used + static_cast<int>(submesh.size()), list.size() == 1 ? 0 : -1});
      }
      places.begin.push_back(static_cast<int>(places.places.size()));
    }
  }
  return places;
}

void PlaceStages(const std::vector<Hosts>& hosts, const Places& places, const std::vector<int>& used,
                 std::vector<Stage>* stages) {
  const std::vector<Host> list = ListHosts(hosts);
  if (places.by_count) {
    // Larger ones first: since sizes divide each other, each lies at a multiple of its size and never crosses a border.
    std::vector<int> by_size(stages->size());
    std::iota(by_size.begin(), by_size.end(), 0);
    std::stable_sort(by_size.begin(), by_size.end(),
                     [&](int a, int b) { return (*stages)[a].submesh.size() > (*stages)[b].submesh.size(); });
    int64_t next = 0;
    for (const int s : by_size) {
      Stage& stage = (*stages)[s];
      stage.first_host = static_cast<int>(next / list[0].devices);
      stage.first_device = static_cast<int>(next % list[0].devices);
      next += stage.submesh.size();
    }
    ALPA_CHECK(next <= places.devices, "more devices used than there are");
    return;
  }
  for (size_t s = 0; s < stages->size(); ++s) {
    int position = places.devices - used[s];
    for (const int host : places.order) {
      if (position < list[host].devices) {
        (*stages)[s].first_host = host;
        (*stages)[s].first_device = position;
        break;
      }
      position -= list[host].devices;
    }
  }
}

}  // namespace alpa::inter
