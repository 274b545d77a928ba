#include "alpa/simulate/network.h"

#include <algorithm>

namespace alpa::simulate {
namespace {

int32_t LinkNumber(int32_t host, LinkKind kind) { return 3 * host + static_cast<int32_t>(kind); }

// What a host has to give or lacks.
struct Ends {
  double send = 0, receive = 0;        // bytes
  int32_t senders = 0, receivers = 0;  // devices
};

}  // namespace

Route MakeRoute(const Costs& costs, int32_t from_mesh, int32_t to_mesh, int64_t bytes) {
  std::vector<Ends> ends(costs.hosts.size());
  double senders = 0, receivers = 0;
  for (const HostShare& share : costs.meshes[static_cast<size_t>(from_mesh)]) {
    ends[static_cast<size_t>(share.host)].senders += share.devices;
    senders += share.devices;
  }
  for (const HostShare& share : costs.meshes[static_cast<size_t>(to_mesh)]) {
    ends[static_cast<size_t>(share.host)].receivers += share.devices;
    receivers += share.devices;
  }
  Route route;
  const auto total = static_cast<double>(bytes);
  for (size_t h = 0; h < ends.size(); ++h) {
    Ends& end = ends[h];
    const cluster::Host& host = costs.hosts[h];
    const auto number = static_cast<int32_t>(h);
    end.send = total * (end.senders / senders);
    end.receive = total * (end.receivers / receivers);
    if (end.senders > 0 && end.receivers > 0) {
      const double stay = std::min(end.send, end.receive);
      const double per_device = stay / std::min(end.senders, end.receivers);
      route.stays.push_back(
          {LinkNumber(number, LinkKind::kWithin), stay, host.intra.alpha.value + host.intra.beta * per_device});
      end.send -= stay;
      end.receive -= stay;
    }
    auto cross = [&](LinkKind kind, double crossing, int32_t devices) {
      const bool whole = end.senders == 0 || end.receivers == 0;  // even without bytes there is a message
      if (devices == 0 || (crossing <= 0 && !whole)) return;
      route.latency = std::max(route.latency, host.network.alpha.value);
      route.shares.push_back({LinkNumber(number, kind), crossing, crossing * host.network.beta,
                              crossing / devices * host.device_network_beta});
    };
    cross(LinkKind::kOut, end.send, end.senders);
    cross(LinkKind::kIn, end.receive, end.receivers);
  }
  return route;
}

double StaySeconds(const Route& route) {
  double seconds = 0;
  for (const Route::Stay& stay : route.stays) seconds = std::max(seconds, stay.seconds);
  return seconds;
}

int32_t Network::Enter(const Route* route, double now, std::vector<Finish>* changed) {
  int32_t number = 0;
  if (free_.empty()) {
    number = static_cast<int32_t>(flights_.size());
    flights_.emplace_back();
  } else {
    number = free_.back();
    free_.pop_back();
  }
  Flight& flight = flights_[static_cast<size_t>(number)];
  flight = {route, flight.version, 1, -1, now};
  for (const Route::Share& share : route->shares) {
    std::vector<int32_t>& active = active_[static_cast<size_t>(share.link)];
    if (active.empty()) since_[static_cast<size_t>(share.link)] = now;
    active.push_back(number);
  }
  Update(*route, now, changed);
  return number;
}

void Network::Leave(int32_t transfer, double now, std::vector<Finish>* changed) {
  Flight& flight = flights_[static_cast<size_t>(transfer)];
  ++flight.version;
  for (const Route::Share& share : flight.route->shares) {
    const auto link = static_cast<size_t>(share.link);
    active_[link].erase(std::find(active_[link].begin(), active_[link].end(), transfer));
    if (active_[link].empty()) use_[link] += now - since_[link];
  }
  free_.push_back(transfer);
  Update(*flight.route, now, changed);
}

// The transfers that share a link with `route` go on at a new rate.
void Network::Update(const Route& route, double now, std::vector<Finish>* changed) {
  for (const Route::Share& touched : route.shares) {
    for (const int32_t number : active_[static_cast<size_t>(touched.link)]) {
      Flight& flight = flights_[static_cast<size_t>(number)];
      double seconds = 0;
      for (const Route::Share& share : flight.route->shares) {
        const auto sharing = static_cast<double>(active_[static_cast<size_t>(share.link)].size());
        seconds = std::max({seconds, share.seconds * sharing, share.least});
      }
      if (seconds == flight.seconds) continue;
      if (flight.seconds > 0) flight.left = std::max(0.0, flight.left - (now - flight.updated) / flight.seconds);
      flight.updated = now;
      flight.seconds = seconds;
      changed->push_back({number, ++flight.version, now + flight.left * seconds});
    }
  }
}

}  // namespace alpa::simulate
