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
    const bool follows = at > 0 && order[at] == order[at - 1] + 1;
    if (!follows || groups.back().host != host) groups.push_back({at, at, host});
    groups.back().end = at + 1;
  }
  return groups;
}

// `count` hosts of one type that lie together from position `begin` of the order on.
struct Window {
  int begin = 0, count = 0;
  int type = 0;
  int devices = 0;    // of the smallest
  bool equal = true;  // all have so many
  int size = 0;       // devices of all
};

std::vector<Window> Windows(const std::vector<Host>& hosts, const std::vector<int>& order) {
  std::vector<Window> windows;
  const auto end = static_cast<int>(order.size());
  for (int begin = 0; begin < end; ++begin) {
    const Host& first = hosts[order[begin]];
    Window window{begin, 1, first.type, first.devices, true, first.devices};
    for (int at = begin + 1; at < end; ++at) {
      const Host& host = hosts[order[at]];
      if (host.type != first.type || order[at] != order[at - 1] + 1) break;
      ++window.count;
      window.devices = std::min(window.devices, host.devices);
      window.equal = window.equal && host.devices == first.devices;
      window.size += host.devices;
      windows.push_back(window);
    }
  }
  return windows;
}

// Devices per host of the rectangles in a window.
std::vector<int> SizesIn(const Window& window) {
  std::vector<int> sizes = SizesWithinHost(window.devices);
  if (window.equal) sizes.pop_back();  // whole hosts
  return sizes;
}

// The places in one order; devices are counted from its end.
class PlacesInOrder {
 public:
  PlacesInOrder(const std::vector<Host>& hosts, const std::vector<int>& order)
      : hosts_(hosts), order_(order), groups_(EqualNeighbours(hosts, order)), windows_(Windows(hosts, order)) {
    used_before_.assign(order.size() + 1, 0);
    for (int at = static_cast<int>(order.size()) - 1; at >= 0; --at) {
      used_before_[at] = used_before_[at + 1] + hosts[order[at]].devices;
    }
  }
  int devices() const { return used_before_[0]; }

  void Add(int used, const Submesh& submesh, Places* places) const {
    if (submesh.rectangle) {
      AddStrips(used, submesh, places);
    } else if (submesh.hosts > 1) {
      AddWholeHosts(used, submesh, &places->places);
    } else {
      AddWithinHost(used, submesh, &places->places);
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

  // Of windows that look alike the last one that is free.
  void AddStrips(int used, const Submesh& submesh, Places* places) const {
    std::set<std::vector<int>> seen;
    for (auto window = windows_.rbegin(); window != windows_.rend(); ++window) {
      if (window->count != submesh.hosts || window->type != submesh.type) continue;
      if (submesh.devices > window->devices - (window->equal ? 1 : 0)) continue;
      if (used_before_[window->begin + window->count] < used) continue;
      std::vector<int> look;
      look.reserve(static_cast<size_t>(window->count));
      for (int h = 0; h < window->count; ++h) look.push_back(hosts_[order_[window->begin + h]].devices);
      if (!seen.insert(look).second) continue;
      const Strip strip{submesh.hosts, submesh.type, window->devices - submesh.devices};
      places->places.push_back({used_before_[window->begin], places->HostOf(strip)});
    }
  }

  const std::vector<Host>& hosts_;
  const std::vector<int>& order_;
  std::vector<Group> groups_;
  std::vector<Window> windows_;
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
  std::set<std::vector<std::tuple<int, int, bool>>> seen;  // orders that look alike
  std::vector<std::vector<int>> orders;
  const auto add = [&] {
    std::vector<int> order;
    std::vector<std::tuple<int, int, bool>> look;  // type, devices, whether a submesh may have it and the one in front
    for (const int run : permutation) {
      for (const int host : runs[run]) {
        const bool together = !order.empty() && host == order.back() + 1 && list[host].type == list[host - 1].type;
        look.emplace_back(list[host].type, list[host].devices, together);
        order.push_back(host);
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

std::vector<Submesh> SubmeshChoices(const std::vector<Hosts>& hosts, bool rectangles) {
  const std::vector<Host> list = ListHosts(hosts);
  std::set<std::tuple<int, int64_t, int, int, bool>> choices;  // type, size, hosts, devices of each, rectangle
  for (const Host& host : list) {
    for (const int size : SizesWithinHost(host.devices)) choices.emplace(host.type, size, 1, size, false);
  }
  for (const std::vector<int>& order : HostOrders(hosts)) {
    for (const Group& group : EqualNeighbours(list, order)) {
      for (int n = 2; n <= group.end - group.begin; ++n) {
        choices.emplace(group.host.type, int64_t{n} * group.host.devices, n, group.host.devices, false);
      }
    }
    for (const Window& window : rectangles ? Windows(list, order) : std::vector<Window>()) {
      for (const int size : SizesIn(window))
        choices.emplace(window.type, int64_t{window.count} * size, window.count, size, true);
    }
  }
  std::vector<Submesh> submeshes;
  submeshes.reserve(choices.size());
  for (const auto& [type, size, n, devices, rectangle] : choices) submeshes.push_back({n, devices, type, rectangle});
  return submeshes;
}

std::optional<Place> Places::Beside(const Place& behind, const Submesh& submesh) const {
  const Strip* const strip = StripOf(behind.host);
  const bool fits = strip != nullptr && submesh.rectangle && submesh.hosts == strip->hosts &&
                    submesh.type == strip->type && submesh.devices <= strip->free;
  if (!fits) return std::nullopt;
  return Place{behind.used, HostOf({strip->hosts, strip->type, strip->free - submesh.devices})};
}

int Places::HostOf(const Strip& strip) const {
  if (strip.free == 0) return -1;
  const auto at = std::find(strips.begin(), strips.end(), strip);
  ALPA_CHECK(at != strips.end(), "every strip has a number");
  return static_cast<int>(order.size()) + static_cast<int>(at - strips.begin());
}

namespace {

// All that rectangles can leave.
std::vector<Strip> ListStrips(const std::vector<Host>& hosts, const std::vector<Submesh>& submeshes) {
  int most = 0;
  for (const Host& host : hosts) most = std::max(most, host.devices);
  std::set<std::pair<int, int>> kinds;
  for (const Submesh& submesh : submeshes) {
    if (submesh.rectangle) kinds.emplace(submesh.type, submesh.hosts);
  }
  std::vector<Strip> strips;
  for (const auto& [type, count] : kinds) {
    for (int free = 1; free < most; ++free) strips.push_back({count, type, free});
  }
  return strips;
}

}  // namespace

Places MakePlaces(const std::vector<Hosts>& hosts, const std::vector<int>& order,
                  const std::vector<Submesh>& submeshes) {
  const std::vector<Host> list = ListHosts(hosts);
  const PlacesInOrder in_order(list, order);
  Places places;
  places.by_count = PlacedByCount(hosts);
  places.devices = in_order.devices();
  places.order = order;
  places.submeshes = static_cast<int>(submeshes.size());
  places.strips = ListStrips(list, submeshes);
  places.begin.push_back(0);
  for (int used = 0; used <= places.devices; ++used) {
    for (const Submesh& submesh : submeshes) {
      if (!places.by_count) {
        in_order.Add(used, submesh, &places);
      } else if (submesh.rectangle) {
        const int all = used + submesh.hosts * list[0].devices;
        const Strip strip{submesh.hosts, submesh.type, list[0].devices - submesh.devices};
        if (all <= places.devices) places.places.push_back({all, places.HostOf(strip)});
      } else if (used + submesh.size() <= places.devices) {
        places.places.push_back({used + static_cast<int>(submesh.size()), list.size() == 1 ? 0 : -1});
      }
      places.begin.push_back(static_cast<int>(places.places.size()));
    }
  }
  return places;
}

void PlaceStages(const std::vector<Hosts>& hosts, const Places& places, const std::vector<PlaceInChain>& at,
                 std::vector<Stage>* stages) {
  const std::vector<Host> list = ListHosts(hosts);
  // A rectangle's first device: those left of it are for the stages in front.
  const auto free_of = [&](size_t s) {
    const Strip* const strip = places.StripOf(at[s].place.host);
    return strip == nullptr ? 0 : strip->free;
  };
  if (places.by_count) {
    // Larger ones first: since sizes divide each other, each lies at a multiple of its size and never crosses a border.
    // What lies in one strip goes together, as if it were the whole of these hosts.
    std::vector<int> by_size(stages->size());
    std::iota(by_size.begin(), by_size.end(), 0);
    const auto size = [&](int s) {
      const Submesh& submesh = (*stages)[s].submesh;
      return submesh.rectangle ? int64_t{submesh.hosts} * list[0].devices : submesh.size();
    };
    std::stable_sort(by_size.begin(), by_size.end(), [&](int a, int b) { return size(a) > size(b); });
    std::map<std::pair<int, int>, int> strips;  // by chain and devices used: first host
    int64_t next = 0;
    for (const int s : by_size) {
      Stage& stage = (*stages)[s];
      const std::pair<int, int> strip(at[s].chain, at[s].place.used);
      const auto known = stage.submesh.rectangle ? strips.find(strip) : strips.end();
      stage.first_host = known != strips.end() ? known->second : static_cast<int>(next / list[0].devices);
      stage.first_device = stage.submesh.rectangle ? free_of(s) : static_cast<int>(next % list[0].devices);
      if (known != strips.end()) continue;
      if (stage.submesh.rectangle) strips.emplace(strip, stage.first_host);
      next += size(s);
    }
    ALPA_CHECK(next <= places.devices, "more devices used than there are");
    return;
  }
  for (size_t s = 0; s < stages->size(); ++s) {
    int position = places.devices - at[s].place.used;
    for (const int host : places.order) {
      if (position < list[host].devices) {
        (*stages)[s].first_host = host;
        (*stages)[s].first_device = (*stages)[s].submesh.rectangle ? free_of(s) : position;
        break;
      }
      position -= list[host].devices;
    }
  }
}

}  // namespace alpa::inter
