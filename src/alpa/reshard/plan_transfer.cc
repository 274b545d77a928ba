#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "alpa/reshard/slices.h"
#include "alpa/reshard/transfer.h"

namespace alpa::reshard {
namespace {

// A slice for devices of the target that all want it and are served together.
struct Demand {
  Slice slice;
  std::vector<int> receivers;  // ascending
  int host = -1;               // take it from this host; -1: from any
};

// A part of a slice that is sent once.
struct Part {
  Block block;
  int shard = 0;  // of the source
  int to = 0;     // device that gets it from the source
  std::vector<int> receivers;
  int host = -1;  // as above
};

class Planner {
 public:
  Planner(Transfer* transfer, const Options& options)
      : t_(*transfer),
        options_(options),
        source_(ShardsOf(t_.from, t_.shape, t_.source.mesh)),
        target_(ShardsOf(t_.to, t_.shape, t_.target.mesh)),
        sent_(t_.source.hosts.size(), 0),
        received_(t_.target.hosts.size(), 0) {}

  void Run() {
    for (size_t to = 0; to < target_.holders.size(); ++to) CutDemands(DemandsOf(static_cast<int>(to)));
    ChooseSenders();
    for (const Part& part : parts_) Spread(part);
  }

 private:
  int HostOfSource(int device) const { return t_.source.hosts[static_cast<size_t>(device)]; }
  int HostOfTarget(int device) const { return t_.target.hosts[static_cast<size_t>(device)]; }
  const std::vector<int>& HoldersOf(int shard) const { return source_.holders[static_cast<size_t>(shard)]; }

  std::vector<Demand> DemandsOf(int to);
  void AddDemands(const Slice& slice, const std::vector<int>& wanting, std::vector<Demand>* out);
  bool Keep(const Slice& slice, int device);
  bool HasOn(int shard, int host) const;
  void CutDemands(std::vector<Demand> demands);
  void AddParts(const Demand& demand, int64_t count);
  void ChooseSenders();
  void Spread(const Part& part);
  int LeastReceived(const std::vector<int>& devices, int host) const;

  Transfer& t_;
  const Options& options_;
  const Shards source_, target_;
  std::vector<Part> parts_;
  std::vector<int64_t> sent_;              // elements by device of the source
  std::vector<int64_t> received_;          // elements from the source or another host, by device of the target
  std::unordered_map<int, int64_t> left_;  // elements by host of the source: sent to other hosts
};

// Whether the host has a device of the source that holds the shard.
bool Planner::HasOn(int shard, int host) const {
  const auto& holders = HoldersOf(shard);
  return std::any_of(holders.begin(), holders.end(), [&](int device) { return HostOfSource(device) == host; });
}

// A device that is in both places and has the slice already copies it from itself.
bool Planner::Keep(const Slice& slice, int device) {
  if (t_.source.devices.empty() || t_.target.devices.empty()) return false;
  for (const int holder : HoldersOf(slice.from)) {
    if (!SameDevice(t_.source, holder, t_.target, device)) continue;
    t_.across.push_back({holder, device, slice.block.start, slice.block.extent});
    return true;
  }
  return false;
}

// Those on a host that has the slice are served from there, all others together.
void Planner::AddDemands(const Slice& slice, const std::vector<int>& wanting, std::vector<Demand>* out) {
  const size_t first = out->size();
  for (const int device : wanting) {
    if (Keep(slice, device)) continue;
    const int host = HasOn(slice.from, HostOfTarget(device)) ? HostOfTarget(device) : -1;
    auto demand = std::find_if(out->begin() + static_cast<std::ptrdiff_t>(first), out->end(),
                               [&](const Demand& d) { return options_.local_gather && d.host == host; });
    if (demand == out->end()) {
      out->push_back({slice, {}, host});
      demand = out->end() - 1;
    }
    demand->receivers.push_back(device);
  }
}

std::vector<Demand> Planner::DemandsOf(int to) {
  std::vector<Demand> out;
  for (const Slice& slice : SlicesOf(source_, target_, to)) {
    AddDemands(slice, target_.holders[static_cast<size_t>(to)], &out);
  }
  return out;
}

// r devices want the same k slices: of equal size, each in r / gcd(k, r) parts goes evenly into the r devices; k = 4
// slices for r = 4 devices stay whole. Of different sizes, each is cut into r.
void Planner::CutDemands(std::vector<Demand> demands) {
  std::stable_sort(demands.begin(), demands.end(),
                   [](const Demand& a, const Demand& b) { return a.receivers < b.receivers; });
  for (size_t begin = 0, end = 0; begin < demands.size(); begin = end) {
    const auto& receivers = demands[begin].receivers;
    bool equal = true;
    for (end = begin; end < demands.size() && demands[end].receivers == receivers; ++end) {
      equal = equal && demands[end].slice.block.elements() == demands[begin].slice.block.elements();
    }
    const auto r = static_cast<int64_t>(receivers.size());
    const int64_t count = equal ? r / std::gcd(static_cast<int64_t>(end - begin), r) : r;
    for (size_t i = begin; i < end; ++i) AddParts(demands[i], count);
  }
}

void Planner::AddParts(const Demand& demand, int64_t count) {
  for (Block& block : CutBlock(demand.slice.block, count)) {
    const int to = LeastReceived(demand.receivers, -1);
    received_[static_cast<size_t>(to)] += block.elements();
    parts_.push_back({std::move(block), demand.slice.from, to, demand.receivers, demand.host});
  }
}

// Of these devices on this host (-1: on any) the first of those that received least.
int Planner::LeastReceived(const std::vector<int>& devices, int host) const {
  int best = -1;
  for (const int device : devices) {
    if (host >= 0 && HostOfTarget(device) != host) continue;
    if (best < 0 || received_[static_cast<size_t>(device)] < received_[static_cast<size_t>(best)]) best = device;
  }
  return best;
}

// Parts with the fewest senders to choose from are served first, so that the others can even out what these leave.
void Planner::ChooseSenders() {
  std::vector<size_t> order(parts_.size());
  std::iota(order.begin(), order.end(), 0);
  const auto choices = [&](const Part& part) { return part.host >= 0 ? 0 : HoldersOf(part.shard).size(); };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return choices(parts_[a]) < choices(parts_[b]); });
  for (const size_t i : order) {
    const Part& part = parts_[i];
    int best = -1;
    std::pair<int64_t, int64_t> least;
    for (const int device : HoldersOf(part.shard)) {
      if (part.host >= 0 && HostOfSource(device) != part.host) continue;
      const std::pair load(part.host >= 0 ? 0 : left_[HostOfSource(device)], sent_[static_cast<size_t>(device)]);
      if (best >= 0 && load >= least) continue;
      best = device;
      least = load;
    }
    const int64_t elements = part.block.elements();
    sent_[static_cast<size_t>(best)] += elements;
    if (part.host < 0) left_[HostOfSource(best)] += elements;
    t_.across.push_back({best, part.to, part.block.start, part.block.extent});
  }
}

// From the device that got the part: once to each other host, and from the one that has it there to all on that host.
void Planner::Spread(const Part& part) {
  if (part.receivers.size() == 1) return;
  std::vector<std::pair<int, int>> has = {{HostOfTarget(part.to), part.to}};  // host and its first device with it
  const auto copy = [&](int from, int to) { t_.local.push_back({from, to, part.block.start, part.block.extent}); };
  for (const int device : part.receivers) {
    const int host = HostOfTarget(device);
    const auto on_host = [&](const auto& pair) { return pair.first == host; };
    if (std::any_of(has.begin(), has.end(), on_host)) continue;
    has.emplace_back(host, LeastReceived(part.receivers, host));
    received_[static_cast<size_t>(has.back().second)] += part.block.elements();
    copy(part.to, has.back().second);
  }
  for (const int device : part.receivers) {
    const auto giver =
        std::find_if(has.begin(), has.end(), [&](const auto& pair) { return pair.first == HostOfTarget(device); });
    if (giver->second != device) copy(giver->second, device);
  }
}

void Check(const Transfer& t) {
  for (const auto& [spec, place] : {std::pair(&t.from, &t.source), std::pair(&t.to, &t.target)}) {
    const Status fits = sharding::Verify(*spec, t.shape, place->mesh);
    ALPA_CHECK(fits.ok(), fits.error().message);
    const auto devices = static_cast<size_t>(place->mesh.size());
    ALPA_CHECK(place->hosts.size() == devices, "each device of a place has a host");
    ALPA_CHECK(place->devices.empty() || place->devices.size() == devices, "all devices of a place have a number");
  }
}

}  // namespace

Transfer PlanTransfer(const ir::Shape& shape, const sharding::Spec& from, const Place& source, const sharding::Spec& to,
                      const Place& target, const Options& options) {
  Transfer transfer{shape, from, to, source, target, {}, {}};
  Check(transfer);
  if (shape.elements() > 0) Planner(&transfer, options).Run();
  return transfer;
}

}  // namespace alpa::reshard
