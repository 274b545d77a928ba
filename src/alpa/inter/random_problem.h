// Small random problems for the tests, and the search that tries everything.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "alpa/inter/problem.h"
#include "alpa/inter/search.h"

namespace alpa::inter::testing {

// A small generator: the tests make one for each question.
class Draw {
 public:
  explicit Draw(uint64_t seed) : state_(seed) {}
  int64_t Below(int64_t n) {
    state_ += 0x9e3779b97f4a7c15ULL;
    uint64_t z = (state_ ^ (state_ >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return static_cast<int64_t>((z ^ (z >> 31)) % static_cast<uint64_t>(n));
  }

 private:
  uint64_t state_;
};

// Whole numbers drawn from what is asked, so that sums are exact and the same question has the same answer.
class RandomCosts : public StageCosts {
 public:
  struct Options {
    int variants = 3;  // at most
    int layouts = 2;
    int memory = 40;   // largest parts of what variants need; the devices have 60
    int transfer = 6;  // largest, each way
    int missing_percent = 10;
  };
  RandomCosts(uint64_t seed, const Options& options) : seed_(seed), options_(options) {}

  std::vector<StageVariant> Variants(int first, int last, const Submesh& submesh, int64_t m) const override {
    Draw random(Mix({1, static_cast<uint64_t>(first), static_cast<uint64_t>(last), static_cast<uint64_t>(submesh.hosts),
                     static_cast<uint64_t>(submesh.devices),
                     static_cast<uint64_t>(submesh.type * 2 + (submesh.rectangle ? 1 : 0)), static_cast<uint64_t>(m)}));
    const auto below = [&](int64_t n) { return random.Below(n); };
    std::vector<StageVariant> variants;
    if (below(100) < options_.missing_percent) return variants;
    for (int64_t v = below(options_.variants); v >= 0; --v) {
      StageVariant variant;
      const int64_t work = (last - first + 1) * 24 / m / submesh.size() + 1;
      variant.forward = static_cast<double>(work + below(work + 3));
      variant.weight = static_cast<double>(below(work + 1));
      variant.backward = variant.weight + static_cast<double>(work + below(work + 3));
      variant.per_step = static_cast<double>(m * below(4));
      const int64_t state = (last - first + 1) * below(options_.memory) / submesh.size() / 2;
      const int64_t activation = below(options_.memory) / 2, workspace = below(options_.memory) / 4;
      variant.state = static_cast<double>(state);
      variant.activation = static_cast<double>(activation);
      variant.workspace = static_cast<double>(workspace);
      variant.layout = 10 + static_cast<int>(below(options_.layouts));
      variant.id = static_cast<int>(v);
      variants.push_back(variant);
    }
    return variants;
  }

  Transfer TransferTime(int last, int next_first, const TransferEnd& from, const TransferEnd& to, bool same_host,
                        int64_t m) const override {
    Draw random(Mix({2, static_cast<uint64_t>(last), static_cast<uint64_t>(next_first),
                     static_cast<uint64_t>(from.submesh.size()), static_cast<uint64_t>(from.layout),
                     static_cast<uint64_t>(to.submesh.size()), static_cast<uint64_t>(to.layout),
                     static_cast<uint64_t>(from.submesh.type * 2 + to.submesh.type), static_cast<uint64_t>(same_host),
                     static_cast<uint64_t>(m)}));
    const auto forward = static_cast<double>(random.Below(options_.transfer + 1));
    const auto backward = static_cast<double>(random.Below(options_.transfer + 1));
    return {forward, backward};
  }

 private:
  uint64_t Mix(std::initializer_list<uint64_t> parts) const {
    uint64_t hash = seed_;
    for (const uint64_t part : parts) hash = (hash ^ part) * 0x9e3779b97f4a7c15ULL, hash ^= hash >> 29;
    return hash;
  }

  uint64_t seed_;
  Options options_;
};

// What the exhaustive search found: least seconds by microbatches, schedule and number of stages.
using BestByKind = std::map<std::tuple<int64_t, Schedule, size_t>, double>;

class Exhaustive {
 public:
  explicit Exhaustive(const SearchProblem& problem) : problem_(problem) {}
  BestByKind Run();

 private:
  using Ranges = std::vector<std::pair<int, int>>;  // layers of the stages
  // Hosts that a rectangle has begun: the first one, the next device and how many are left, of each.
  struct Begun {
    int host = -1, next = 0, free = 0;
  };

  static std::pair<int, int> LayersOf(const Chain::Item& item) {
    if (item.branches.empty()) return {item.layer, item.layer};
    return {LayersOf(item.branches.front().items.front()).first, LayersOf(item.branches.back().items.back()).second};
  }
  // Whether layer `first` comes behind layer `last` in one chain, rather than in another branch.
  static bool Follows(const Chain& chain, int last, int first) {
    for (size_t i = 0; i < chain.items.size(); ++i) {
      if (i > 0 && LayersOf(chain.items[i - 1]).second == last && LayersOf(chain.items[i]).first == first) return true;
      for (const Chain& branch : chain.items[i].branches) {
        if (Follows(branch, last, first)) return true;
      }
    }
    return false;
  }
  // All partitions of the items from `at` on.
  static std::vector<Ranges> Partitions(const Chain& chain, size_t at);
  void Assign(const Ranges& ranges, size_t stage, int64_t devices, FoundPlan* plan);
  void Place(FoundPlan* plan, const std::vector<int>& order, size_t stage, int position, const Begun& begun);
  void Pack(FoundPlan* plan, size_t stage, int64_t used, int strips, int free);
  // Whether stage `stage` may share hosts with the one in front of it, both rectangles.
  bool MayShare(const FoundPlan& plan, size_t stage) const {
    if (stage == 0 || plan.stages[stage - 1].next != std::vector<int>{static_cast<int>(stage)}) return false;
    int readers = 0;
    for (const Stage& other : plan.stages)
      readers += static_cast<int>(std::count(other.next.begin(), other.next.end(), static_cast<int>(stage)));
    const Submesh &a = plan.stages[stage - 1].submesh, &b = plan.stages[stage].submesh;
    const bool in_a_row = Follows(problem_.graph, plan.stages[stage - 1].last, plan.stages[stage].first);
    return in_a_row && readers == 1 && a.rectangle && b.rectangle && a.hosts == b.hosts && a.type == b.type;
  }
  void Count(FoundPlan* plan);
  void Interleave(const Ranges& ranges, FoundPlan* plan);
  bool PlaceRanks(const std::vector<int>& order, FoundPlan* plan, int ranks) const;
  void AssignVariants(size_t stage, FoundPlan* plan);
  std::vector<Submesh> Submeshes() const;
  bool ByCount() const;

  const SearchProblem& problem_;
  std::vector<std::pair<int, int>> hosts_;  // type, devices
  std::vector<std::vector<int>> orders_;
  std::vector<Submesh> submeshes_;
  BestByKind best_;
};

inline std::vector<Exhaustive::Ranges> Exhaustive::Partitions(const Chain& chain, size_t at) {
  if (at == chain.items.size()) return {{}};
  std::vector<Ranges> all;
  const auto add = [&](const std::vector<Ranges>& fronts, size_t next) {
    for (const Ranges& front : fronts) {
      for (const Ranges& back : Partitions(chain, next)) {
        all.push_back(front);
        all.back().insert(all.back().end(), back.begin(), back.end());
      }
    }
  };
  for (size_t end = at + 1; end <= chain.items.size(); ++end) {
    add({{{LayersOf(chain.items[at]).first, LayersOf(chain.items[end - 1]).second}}}, end);
  }
  if (chain.items[at].branches.empty()) return all;
  // All partitions of the branches, of the last one its first `keep` items.
  const std::vector<Chain>& branches = chain.items[at].branches;
  const auto apart = [&](size_t keep) {
    std::vector<Ranges> fronts = {{}};
    for (size_t b = 0; b < branches.size(); ++b) {
      Chain part = branches[b];
      if (b + 1 == branches.size()) part.items.resize(keep);
      std::vector<Ranges> longer;
      for (const Ranges& front : fronts) {
        for (const Ranges& back : Partitions(part, 0)) {
          longer.push_back(front);
          longer.back().insert(longer.back().end(), back.begin(), back.end());
        }
      }
      fronts = std::move(longer);
    }
    return fronts;
  };
  add(apart(branches.back().items.size()), at + 1);
  // The same with the end of the last branch in one stage with what follows.
  for (size_t keep = 0; keep < branches.back().items.size(); ++keep) {
    const std::vector<Ranges> fronts = apart(keep);
    for (size_t end = at + 2; end <= chain.items.size(); ++end) {
      std::vector<Ranges> crossing = fronts;
      for (Ranges& ranges : crossing)
        ranges.emplace_back(LayersOf(branches.back().items[keep]).first, LayersOf(chain.items[end - 1]).second);
      add(crossing, end);
    }
  }
  return all;
}

inline bool Exhaustive::ByCount() const {
  for (const auto& host : hosts_) {
    if (host != hosts_[0] || (host.second & (host.second - 1)) != 0) return false;
  }
  return true;
}

inline std::vector<Submesh> Exhaustive::Submeshes() const {
  std::vector<Submesh> all;
  const auto add = [&](const Submesh& submesh) {
    if (std::find(all.begin(), all.end(), submesh) == all.end()) all.push_back(submesh);
  };
  for (const auto& [type, devices] : hosts_) {
    for (int n = 1; n <= devices; ++n) {
      if ((n & (n - 1)) == 0 || devices % n == 0) add({1, n, type});
    }
    const auto equal = std::count(hosts_.begin(), hosts_.end(), std::pair<int, int>(type, devices));
    for (int n = 2; n <= equal; ++n) add({n, devices, type});  // those that never lie together find no place
  }
  for (size_t first = 0; first < hosts_.size() && problem_.rectangles; ++first) {
    int least = hosts_[first].second, most = least;
    for (size_t last = first + 1; last < hosts_.size() && hosts_[last].first == hosts_[first].first; ++last) {
      least = std::min(least, hosts_[last].second);
      most = std::max(most, hosts_[last].second);
      for (int n = 1; n <= least; ++n) {
        if (n == most || ((n & (n - 1)) != 0 && least % n != 0)) continue;
        add({static_cast<int>(last - first) + 1, n, hosts_[first].first, true});
      }
    }
  }
  return all;
}

inline void Exhaustive::Count(FoundPlan* plan) {
  const double seconds = EvaluatePlan(problem_, plan);
  if (seconds == std::numeric_limits<double>::infinity()) return;
  const auto [at, is_new] = best_.emplace(std::tuple(plan->microbatches, plan->schedule, plan->stages.size()), seconds);
  if (!is_new) at->second = std::min(at->second, seconds);
}

// All ways to put the stages from `stage` on at or behind device `position` of the order.
inline void Exhaustive::Place(FoundPlan* plan, const std::vector<int>& order, size_t stage, int position,
                              const Begun& begun) {
  if (stage == plan->stages.size()) return Count(plan);
  Stage& one = plan->stages[stage];
  if (MayShare(*plan, stage) && begun.free >= one.submesh.devices) {
    one.first_host = begun.host;
    one.first_device = begun.next;
    Place(plan, order, stage + 1, position,
          {begun.host, begun.next + one.submesh.devices, begun.free - one.submesh.devices});
  }
  int start = 0;
  for (size_t at = 0; at < order.size(); ++at) {
    const auto& [type, devices] = hosts_[order[at]];
    if (type == one.submesh.type && one.submesh.hosts == 1) {
      for (int first = std::max(0, position - start); first + one.submesh.devices <= devices; ++first) {
        one.first_host = order[at];
        one.first_device = first;
        Place(plan, order, stage + 1, start + first + one.submesh.devices, {});
      }
    }
    if (one.submesh.hosts > 1 && start >= position && at + one.submesh.hosts <= order.size()) {
      bool whole = true, wide = true;
      int least = devices, all = 0;
      for (int h = 0; h < one.submesh.hosts; ++h) {
        const auto& host = hosts_[order[at + h]];
        const bool together = order[at + h] == order[at] + h && host.first == one.submesh.type;
        whole = whole && together && host.second == one.submesh.devices;
        wide = wide && together && host.second >= one.submesh.devices;
        least = std::min(least, host.second);
        all += host.second;
      }
      one.first_host = order[at];
      one.first_device = 0;
      if (one.submesh.rectangle ? wide && !whole : whole) {
        const int left = one.submesh.rectangle ? least - one.submesh.devices : 0;
        Place(plan, order, stage + 1, start + all, {one.first_host, one.submesh.devices, left});
      }
    }
    start += devices;
  }
}

// By count, where only what shares hosts matters: `free` devices are left of each host of the last strip.
inline void Exhaustive::Pack(FoundPlan* plan, size_t stage, int64_t used, int strips, int free) {
  if (used > static_cast<int64_t>(hosts_.size()) * hosts_[0].second) return;
  if (stage == plan->stages.size()) return Count(plan);
  Stage& one = plan->stages[stage];
  if (!one.submesh.rectangle) return Pack(plan, stage + 1, used + one.submesh.size(), strips, 0);
  if (MayShare(*plan, stage) && free >= one.submesh.devices) {
    one.first_host = strips - 1;
    Pack(plan, stage + 1, used, strips, free - one.submesh.devices);
  }
  one.first_host = strips;
  Pack(plan, stage + 1, used + int64_t{one.submesh.hosts} * hosts_[0].second, strips + 1,
       hosts_[0].second - one.submesh.devices);
}

inline void Exhaustive::Assign(const Ranges& ranges, size_t stage, int64_t devices, FoundPlan* plan) {
  if (devices < 0) return;
  if (stage == ranges.size()) {
    LinkStages(problem_, plan);
    if (ByCount()) return Pack(plan, 0, 0, 0, 0);
    for (const std::vector<int>& order : orders_) Place(plan, order, 0, 0, {});
    return;
  }
  Stage& one = plan->stages[stage];
  std::tie(one.first, one.last) = ranges[stage];
  for (const Submesh& submesh : submeshes_) {
    one.submesh = submesh;
    for (const StageVariant& v : problem_.costs->Variants(one.first, one.last, submesh, plan->microbatches)) {
      if (v.memory(1) > problem_.memory[submesh.type]) continue;
      one.variant = v;
      Assign(ranges, stage + 1, devices - submesh.size(), plan);
    }
  }
}

// Side by side from the end of the order on, the last rank there.
inline bool Exhaustive::PlaceRanks(const std::vector<int>& order, FoundPlan* plan, int ranks) const {
  int at = static_cast<int>(order.size()) - 1;
  int left = at < 0 ? 0 : hosts_[order[at]].second;  // devices of host `at` that are free, at its beginning
  for (int rank = ranks - 1; rank >= 0; --rank) {
    const Submesh& submesh = plan->stages[rank].submesh;
    int host = -1, device = 0;
    while (at >= 0 && host < 0) {
      const std::pair<int, int> wanted(submesh.type, submesh.devices);
      if (submesh.hosts == 1 && hosts_[order[at]].first == submesh.type && left >= submesh.devices) {
        left -= submesh.devices;
        host = order[at];
        device = left;
      } else if (submesh.hosts > 1 && left == hosts_[order[at]].second && at + 1 >= submesh.hosts &&
                 std::all_of(order.begin() + (at + 1 - submesh.hosts), order.begin() + (at + 1),
                             [&](int h) { return hosts_[h] == wanted; }) &&
                 order[at] - order[at + 1 - submesh.hosts] == submesh.hosts - 1) {
        at -= submesh.hosts;
        host = order[at + 1];
        left = at < 0 ? 0 : hosts_[order[at]].second;
      } else if (--at >= 0) {
        left = hosts_[order[at]].second;
      }
    }
    if (host < 0) return false;
    for (size_t s = rank; s < plan->stages.size(); s += ranks) {
      plan->stages[s].first_host = host;
      plan->stages[s].first_device = device;
    }
  }
  return true;
}

inline void Exhaustive::AssignVariants(size_t stage, FoundPlan* plan) {
  if (stage == plan->stages.size()) return Count(plan);
  Stage& one = plan->stages[stage];
  for (const StageVariant& v : problem_.costs->Variants(one.first, one.last, one.submesh, plan->microbatches)) {
    one.variant = v;
    AssignVariants(stage + 1, plan);
  }
}

// All interleaved plans with these stages.
inline void Exhaustive::Interleave(const Ranges& ranges, FoundPlan* plan) {
  for (size_t s = 0; s < ranges.size(); ++s) std::tie(plan->stages[s].first, plan->stages[s].last) = ranges[s];
  LinkStages(problem_, plan);
  const int stages = static_cast<int>(ranges.size());
  for (int s = 0; s + 1 < stages; ++s) {
    if (plan->stages[s].next != std::vector<int>{s + 1}) return;  // branches
  }
  const auto whole = [&](int layer, bool first) {
    return std::any_of(problem_.graph.items.begin(), problem_.graph.items.end(), [&](const Chain::Item& item) {
      return (first ? LayersOf(item).first : LayersOf(item).second) == layer;
    });
  };
  for (const auto& [first, last] : ranges) {
    if (!whole(first, true) || !whole(last, false)) return;
  }
  for (int ranks = 2; 2 * ranks <= stages; ++ranks) {
    if (stages % ranks != 0 || plan->microbatches % ranks != 0) continue;
    for (const Submesh& submesh : submeshes_) {
      if (submesh.rectangle) continue;
      for (int s = 0; s < stages; ++s) {
        plan->stages[s].submesh = submesh;
        plan->stages[s].chunk = s / ranks;
      }
      for (const std::vector<int>& order : orders_) {
        if (PlaceRanks(order, plan, ranks)) AssignVariants(0, plan);
      }
    }
  }
}

inline BestByKind Exhaustive::Run() {
  int64_t devices = 0;
  std::vector<std::vector<int>> runs;
  for (const Hosts& run : problem_.hosts) {
    runs.emplace_back();
    for (const int of_host : run.devices) {
      runs.back().push_back(static_cast<int>(hosts_.size()));
      hosts_.emplace_back(run.type, of_host);
      devices += of_host;
    }
  }
  std::vector<size_t> permutation(runs.size());
  for (size_t i = 0; i < runs.size(); ++i) permutation[i] = i;
  do {
    orders_.emplace_back();
    for (const size_t run : permutation)
      orders_.back().insert(orders_.back().end(), runs[run].begin(), runs[run].end());
  } while (std::next_permutation(permutation.begin(), permutation.end()));
  submeshes_ = Submeshes();
  const auto& wanted = problem_.schedules;
  const bool has_1f1b = std::find(wanted.begin(), wanted.end(), Schedule::k1F1B) != wanted.end();
  const Schedule for_one = has_1f1b ? Schedule::k1F1B : wanted[0];
  for (const int64_t m : problem_.microbatches) {
    for (const Ranges& ranges : Partitions(problem_.graph, 0)) {
      for (const Schedule schedule : problem_.schedules) {
        if (ranges.size() == 1 && schedule != for_one) continue;  // the same by all
        FoundPlan plan;
        plan.microbatches = m;
        plan.schedule = schedule;
        plan.stages.resize(ranges.size());
        if (schedule == Schedule::kInterleaved && ranges.size() > 1) {
          Interleave(ranges, &plan);
          continue;
        }
        Assign(ranges, 0, devices, &plan);
      }
    }
  }
  return best_;
}

// layers in a row.
inline Chain Row(int first, int count) {
  Chain chain;
  for (int i = 0; i < count; ++i) chain.items.push_back({first + i, {}});
  return chain;
}

}  // namespace alpa::inter::testing
