#include "alpa/inter/cell_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace alpa::inter {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// How far above the bound latencies are looked for, one after the other: what is close to it is found fast.
constexpr double kAboveBound[] = {1.01, 1.05, 1.2, 1.6, kInfinity};
constexpr double kFirstSteps = 1.25;    // between times tried before any plan is known, ...
constexpr int kTries = 8;               // ... so many of them; then all of them at once
constexpr double kFineInterval = 0.01;  // of the best seconds: here the upper end is tried instead of the middle

// Bottlenecks above `above` and up to `most`.
struct Interval {
  double above = 0, most = 0;
  double latency = 0;  // no plan with a bottleneck of at most `most` has less
};

class CellSearch {
 public:
  CellSearch(const StageSpace& space, const Cell& cell, const CellCosts& costs, const CellQuery& query)
      : space_(space),
        cell_(cell),
        costs_(costs),
        query_(query),
        devices_(space.orders[cell.order].devices),
        repeats_(static_cast<double>(costs.tables.microbatches - 1)),
        best_(query.below),
        stopped_([this] { return result_.states > query_.most_states || (query_.cancelled && query_.cancelled()); }) {}

  CellResult Run();

 private:
  // Plans that take at least this long are of no interest.
  double Enough() const { return best_ / (1 + query_.tolerance); }
  double Bound(const Interval& interval) const { return repeats_ * interval.above + interval.latency; }
  double PickTime(const Interval& interval) const;
  // The least latency with a bottleneck of at most `most`, if it is below `below`. Otherwise nothing, and `bound`
  // becomes what it is at least.
  std::optional<FoundLatency> Probe(double most, double below, double* bound);
  void Take(const FoundLatency& found);

  const StageSpace& space_;
  const Cell& cell_;
  const CellCosts& costs_;
  const CellQuery& query_;
  int devices_;
  double repeats_;
  double best_;
  int tries_ = 0;
  CellResult result_;
  std::function<bool()> stopped_;
};

std::optional<FoundLatency> CellSearch::Probe(double most, double below, double* bound) {
  LatencyBounds bounds;
  bounds.devices = LeastDevices(space_.graph, costs_.relaxed, most);
  *bound = kInfinity;
  if (bounds.devices[0][space_.graph.chains[0].size()] > devices_) return std::nullopt;
  bounds.latency = LeastLatency(space_.graph, costs_.relaxed, bounds.devices, most, devices_);
  const double least = bounds.latency[0][space_.graph.chains[0].size()][devices_];
  *bound = least;
  for (const double factor : kAboveBound) {
    if (*bound >= below) return std::nullopt;
    const double until = std::min(below, least * factor);
    if (std::optional<FoundLatency> found =
            FindLeastLatency(space_, cell_, costs_, bounds, {most, until}, stopped_, &result_.states)) {
      return found;
    }
    if (stopped_()) return std::nullopt;
    *bound = until;
  }
  return std::nullopt;
}

void CellSearch::Take(const FoundLatency& found) {
  if (found.plan.seconds >= best_) return;
  best_ = found.plan.seconds;
  result_.plan = found.plan;
}

double CellSearch::PickTime(const Interval& interval) const {
  if (repeats_ == 0) return interval.most;
  if (std::isinf(interval.most)) {
    // Beyond what can be better than the best plan nothing needs to be tried. A little more, against rounding.
    const double useful = (Enough() - interval.latency) / repeats_ * (1 + 1e-9);
    const double step = tries_ < kTries ? interval.above * kFirstSteps : kInfinity;
    return std::min(interval.above > 0 ? step : kInfinity, useful);
  }
  const double width = interval.most - interval.above;
  if (repeats_ * width <= std::max(query_.tolerance, kFineInterval) * best_) return interval.most;
  return interval.above + width / 2;
}

CellResult CellSearch::Run() {
  const auto worse = [&](const Interval& a, const Interval& b) {
    return Bound(a) != Bound(b) ? Bound(a) > Bound(b) : a.most > b.most;
  };
  // First: from below the least bottleneck there can be; with the latency of no limit.
  const auto devices = LeastDevices(space_.graph, costs_.relaxed, kInfinity);
  const double first = LeastBottleneck(space_.graph, costs_.relaxed, devices_);
  std::vector<Interval> open;  // a heap
  if (!std::isinf(first)) {
    const auto latency = LeastLatency(space_.graph, costs_.relaxed, devices, kInfinity, devices_);
    open.push_back({first, kInfinity, latency[0][space_.graph.chains[0].size()][devices_]});
  }
  double closed = kInfinity;  // least bound of what was left aside
  while (!open.empty()) {
    std::pop_heap(open.begin(), open.end(), worse);
    Interval interval = open.back();
    if (Bound(interval) >= Enough()) {
      closed = std::min(closed, Bound(interval));
      break;
    }
    if (stopped_()) {
      closed = std::min(closed, Bound(interval));
      result_.complete = false;
      break;
    }
    open.pop_back();
    const double time = PickTime(interval);
    ++tries_;
    double bound = 0;
    const std::optional<FoundLatency> found = Probe(time, Enough() - repeats_ * interval.above, &bound);
    if (stopped_() && !found) {
      closed = std::min(closed, Bound(interval));
      result_.complete = false;
      break;
    }
    const auto add = [&](const Interval& part) {
      if (part.above >= part.most) return;
      open.push_back(part);
      std::push_heap(open.begin(), open.end(), worse);
    };
    if (found) {
      Take(*found);
      // Between the bottleneck found and `time` there is no less latency, hence nothing better.
      add({interval.above, std::nextafter(std::min(found->bottleneck, time), 0), found->latency});
    } else {
      closed = std::min(closed, repeats_ * interval.above + bound);
    }
    add({time, interval.most, interval.latency});
  }
  result_.bound = std::min({closed, best_});
  return result_;
}

}  // namespace

double RelaxedBound(const StageSpace& space, const Cell& cell, const CellCosts& costs) {
  const int devices = space.orders[cell.order].devices;
  const double bottleneck = LeastBottleneck(space.graph, costs.relaxed, devices);
  if (std::isinf(bottleneck)) return kInfinity;
  const auto least_devices = LeastDevices(space.graph, costs.relaxed, kInfinity);
  const auto latency = LeastLatency(space.graph, costs.relaxed, least_devices, kInfinity, devices);
  return static_cast<double>(costs.tables.microbatches - 1) * bottleneck +
         latency[0][space.graph.chains[0].size()][devices];
}

CellResult SearchCell(const StageSpace& space, const Cell& cell, const CellCosts& costs, const CellQuery& query) {
  return CellSearch(space, cell, costs, query).Run();
}

}  // namespace alpa::inter
