#include "alpa/inter/relaxed.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace alpa::inter {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kBottleneckPrecision = 1e-4;

// Leaves the choices that no other beats.
void KeepBest(std::vector<RelaxedChoice>* choices) {
  std::sort(choices->begin(), choices->end(), [](const RelaxedChoice& a, const RelaxedChoice& b) {
    return std::tuple(a.devices, a.seconds, a.latency) < std::tuple(b.devices, b.seconds, b.latency);
  });
  size_t kept = 0;
  for (const RelaxedChoice choice : *choices) {
    const bool beaten = std::any_of(choices->begin(), choices->begin() + kept, [&](const RelaxedChoice& other) {
      return other.seconds <= choice.seconds && other.latency <= choice.latency;
    });
    if (!beaten) (*choices)[kept++] = choice;
  }
  choices->resize(kept);
}

// Of the whole chain.
int WholeOf(const std::vector<std::vector<int>>& least, const FlatGraph& graph, int chain) {
  return least[chain][graph.chains[chain].size()];
}

// The first choice of at most `most` seconds, the one with fewest devices.
auto FirstWithin(const std::vector<RelaxedChoice>& choices, double most) {
  return std::find_if(choices.begin(), choices.end(),
                      [&](const RelaxedChoice& choice) { return choice.seconds <= most; });
}

}  // namespace

RelaxedTable Relax(const FlatGraph& graph, const std::vector<Submesh>& submeshes, const StageTables& tables,
                   const StageTable& table, Schedule schedule) {
  RelaxedTable relaxed;
  for (size_t c = 0; c < graph.chains.size(); ++c) {
    relaxed.choices.emplace_back(table.ends[c].size());
    for (size_t end = 0; end < table.ends[c].size(); ++end) {
      auto& by_begin = relaxed.choices[c][end];
      by_begin.resize(graph.chains[c].positions());
      for (const ClassAt& of_class : table.ends[c][end]) {
        const Submesh& submesh = submeshes[tables.At(of_class.klass).submesh];
        for (int32_t s = of_class.from; s < of_class.to; ++s) {
          const ChoicesAt& start = table.starts[s];
          const bool sink = IsSink(graph.chains[c], static_cast<int>(end));
          const int64_t in_flight =
              schedule == Schedule::kGpipe ? table.microbatches : std::min<int64_t>(table.microbatches, sink ? 1 : 2);
          for (int32_t i = start.from; i < start.to; ++i) {
            const StageChoice& choice = table.choices[i];
            if (choice.in_flight < in_flight) continue;
            by_begin[start.begin].push_back({static_cast<int>(submesh.size()), choice.seconds, choice.latency});
          }
        }
      }
      for (std::vector<RelaxedChoice>& choices : by_begin) KeepBest(&choices);
    }
  }
  return relaxed;
}

std::vector<std::vector<int>> LeastDevices(const FlatGraph& graph, const RelaxedTable& table, double most) {
  std::vector<std::vector<int>> least(graph.chains.size());
  for (size_t c = graph.chains.size(); c-- > 0;) {  // inner chains first
    const FlatChain& chain = graph.chains[c];
    least[c].assign(static_cast<size_t>(chain.positions()), kNoWay);
    least[c][0] = 0;
    for (int end = 1; end <= chain.size(); ++end) {
      for (int begin = 0; begin < chain.positions(); ++begin) {
        if (!chain.MayBegin(begin, end)) continue;
        const std::vector<RelaxedChoice>& choices = table.choices[c][end][begin];
        const auto choice = FirstWithin(choices, most);
        if (choice != choices.end()) least[c][end] = std::min(least[c][end], least[c][begin] + choice->devices);
      }
      const std::vector<int>& branches = chain.items[end - 1].branches;
      if (branches.empty()) continue;
      int64_t others = least[c][end - 1];
      for (size_t b = 0; b + 1 < branches.size(); ++b) others += WholeOf(least, graph, branches[b]);
      const int64_t apart = others + WholeOf(least, graph, branches.back());
      least[c][end] = static_cast<int>(std::min<int64_t>(least[c][end], apart));
      for (int at = chain.size() + 1; at < chain.positions(); ++at) {
        const FlatChain::Crossing& crossing = *chain.CrossingAt(at);
        if (crossing.item != end - 1) continue;
        least[c][at] = static_cast<int>(std::min<int64_t>(kNoWay, others + least[branches.back()][crossing.position]));
      }
    }
  }
  return least;
}

double LeastBottleneck(const FlatGraph& graph, const RelaxedTable& table, int devices) {
  const auto whole = [&](double most) { return LeastDevices(graph, table, most)[0][graph.chains[0].size()]; };
  if (whole(kInfinity) > devices) return kInfinity;
  double most = 0, least = kInfinity;
  for (const auto& ends : table.choices) {
    for (const auto& begins : ends) {
      for (const auto& choices : begins) {
        for (const RelaxedChoice& choice : choices) {
          most = std::max(most, choice.seconds);
          least = std::min(least, choice.seconds);
        }
      }
    }
  }
  if (least <= 0) return 0;
  double low = std::min(least, most) * (1 - kBottleneckPrecision), high = most;  // nothing is below `least`
  while (high - low > kBottleneckPrecision * high) {
    const double middle = low + (high - low) / 2;
    (whole(middle) > devices ? low : high) = middle;
  }
  return low;
}

std::vector<std::vector<std::vector<double>>> LeastLatency(const FlatGraph& graph, const RelaxedTable& table,
                                                           const std::vector<std::vector<int>>& least_devices,
                                                           double most, int devices) {
  std::vector<std::vector<std::vector<double>>> latency(graph.chains.size());
  for (size_t c = graph.chains.size(); c-- > 0;) {
    const FlatChain& chain = graph.chains[c];
    latency[c].assign(static_cast<size_t>(chain.positions()), std::vector<double>(devices + 1, kInfinity));
    std::fill(latency[c][0].begin(), latency[c][0].end(), 0);
    for (int end = 1; end <= chain.size(); ++end) {
      std::vector<double>& best = latency[c][end];
      for (int begin = 0; begin < chain.positions(); ++begin) {
        if (!chain.MayBegin(begin, end)) continue;
        const double* in_front = latency[c][begin].data();
        const std::vector<RelaxedChoice>& choices = table.choices[c][end][begin];
        for (auto choice = FirstWithin(choices, most); choice != choices.end(); ++choice) {
          if (choice->seconds > most) continue;
          const double seconds = choice->latency;
          const int need = choice->devices;
          for (int d = need + least_devices[c][begin]; d <= devices; ++d) {
            best[d] = std::min(best[d], in_front[d - need] + seconds);
          }
        }
      }
      const std::vector<int>& branches = chain.items[end - 1].branches;
      if (branches.empty()) continue;
      // The branches apart, the last one up to `position`, each with all devices that the others can spare.
      const auto apart = [&](int position, std::vector<double>* into) {
        const auto of = [&](int branch) { return branch == branches.back() ? position : graph.chains[branch].size(); };
        int64_t all = 0;
        for (const int branch : branches) all += least_devices[branch][of(branch)];
        for (auto d = static_cast<int>(std::min<int64_t>(all, devices + 1)); d <= devices; ++d) {
          double longest = 0;
          for (const int branch : branches) {
            longest = std::max(longest, latency[branch][of(branch)][d - (all - least_devices[branch][of(branch)])]);
          }
          (*into)[d] = std::min((*into)[d], latency[c][end - 1][d - all] + longest);
        }
      };
      apart(graph.chains[branches.back()].size(), &best);
      for (int at = chain.size() + 1; at < chain.positions(); ++at) {
        const FlatChain::Crossing& crossing = *chain.CrossingAt(at);
        if (crossing.item == end - 1) apart(crossing.position, &latency[c][at]);
      }
    }
  }
  return latency;
}

}  // namespace alpa::inter
