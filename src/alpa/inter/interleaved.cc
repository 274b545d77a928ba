#include "alpa/inter/interleaved.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "alpa/inter/evaluate.h"
#include "alpa/inter/plan_list.h"

namespace alpa::inter {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kNodes = 2'000;      // of one tree
constexpr int64_t kAllNodes = 10'000;  // of all trees of a number of microbatches

// A variant of a range of items.
struct Option {
  double seconds = 0, state = 0, activation = 0, workspace = 0;
  int layout = 0, variant = 0;
};

// All about stages on one submesh.
struct RangeOptions {
  std::vector<std::vector<std::vector<Option>>> at;  // by begin and end
  std::vector<std::vector<double>> sum, bottleneck;  // least of k stages for the items from a position on
  std::vector<double> transfer;                      // least between stages on both sides of a position
  // The same as `sum` of seconds + price * memory, by price (seconds per byte). What does not fit in the memory of all
  // submeshes together shows there: seconds alone are at least that sum - price * memory of all. With at least `ranks`
  // submeshes and v >= 2 stages on each, (v - 1) ranks + 1 activations, as large as the largest, are at least ranks / 2
  // of each stage's.
  struct Priced {
    int ranks = 2;
    double price = 0;
    std::vector<std::vector<double>> sum;
    double Bytes(const Option& option) const {
      return option.state + static_cast<double>(ranks / 2) * option.activation;
    }
  };
  std::vector<Priced> priced;
  double memory = 0;  // for states and activations, on a submesh: what the smallest workspace leaves
};

// Prices of memory that bounds are tried with, in units of where all seconds and all memory cost the same.
constexpr double kPrices[] = {0, 0.1, 0.3, 1, 3, 10};

// How the submeshes and stages are arranged.
struct Arrangement {
  int submesh = 0, ranks = 0, chunks = 0, order = 0;
  std::vector<int> used;   // Place::used by rank
  std::vector<int> hosts;  // Place::host by rank
  double bound = 0;
  size_t priced = 0;  // the one of RangeOptions::priced that bounds best
};

bool Beats(const Option& a, const Option& b) {
  return a.layout == b.layout && a.seconds <= b.seconds && a.state <= b.state && a.activation <= b.activation &&
         a.workspace <= b.workspace;
}

// By position, over all layouts that stages on its sides may have.
std::vector<double> LeastTransfers(const StageSpace& space, const Submesh& submesh, int64_t microbatches,
                                   const RangeOptions& options) {
  const FlatChain& chain = space.graph.chains[0];
  std::set<int> layouts;
  for (const auto& ends : options.at) {
    for (const std::vector<Option>& list : ends) {
      for (const Option& option : list) layouts.insert(option.layout);
    }
  }
  std::vector<double> least(chain.size() + 1, 0);
  for (int cut = 1; cut < chain.size() && !layouts.empty(); ++cut) {
    least[cut] = kInfinity;
    for (const int from : layouts) {
      for (const int to : layouts) {
        for (const bool same_host : {false, true}) {
          const double seconds = TransferSeconds(
              space.problem.costs->TransferTime(chain.items[cut - 1].last, chain.items[cut].first, {submesh, from},
                                                {submesh, to}, same_host, microbatches));
          least[cut] = std::min(least[cut], seconds);
        }
      }
    }
  }
  return least;
}

// Fills in `priced`.
void AddUp(const RangeOptions& options, RangeOptions::Priced* priced) {
  const auto n = static_cast<int>(options.at.size());
  priced->sum.assign(n + 1, std::vector<double>(n + 1, kInfinity));
  priced->sum[0][n] = 0;
  for (int begin = n - 1; begin >= 0; --begin) {
    for (int end = begin + 1; end <= n; ++end) {
      double least = kInfinity;
      for (const Option& option : options.at[begin][end])
        least = std::min(least, option.seconds + priced->price * priced->Bytes(option));
      if (std::isinf(least)) continue;
      for (int k = 1; k <= n; ++k)
        priced->sum[k][begin] =
            std::min(priced->sum[k][begin], least + options.transfer[end] + priced->sum[k - 1][end]);
    }
  }
}

RangeOptions ListOptions(const StageSpace& space, const Submesh& submesh, int64_t microbatches) {
  const FlatChain& chain = space.graph.chains[0];
  const int n = chain.size();
  const double memory = space.problem.memory[submesh.type];
  RangeOptions options;
  options.at.resize(n);
  options.sum.assign(n + 1, std::vector<double>(n + 1, kInfinity));
  options.bottleneck = options.sum;
  for (int begin = 0; begin < n; ++begin) {
    options.at[begin].resize(n + 1);
    for (int end = begin + 1; end <= n; ++end) {
      std::vector<Option>& list = options.at[begin][end];
      const std::vector<StageVariant> variants =
          space.problem.costs->Variants(chain.items[begin].first, chain.items[end - 1].last, submesh, microbatches);
      for (size_t v = 0; v < variants.size(); ++v) {
        const StageVariant& one = variants[v];
        if (one.memory(std::min<int64_t>(3, 2 * microbatches)) > memory)
          continue;  // the least there is: ranks = chunks = 2
        const Option option{StageSeconds(one, microbatches, false),
                            one.state,
                            one.activation,
                            one.workspace,
                            one.layout,
                            static_cast<int>(v)};
        if (std::any_of(list.begin(), list.end(), [&](const Option& other) { return Beats(other, option); })) continue;
        std::erase_if(list, [&](const Option& other) { return Beats(option, other); });
        list.push_back(option);
      }
      std::stable_sort(list.begin(), list.end(),
                       [](const Option& a, const Option& b) { return a.seconds < b.seconds; });
    }
  }
  options.transfer = LeastTransfers(space, submesh, microbatches, options);
  options.sum[0][n] = options.bottleneck[0][n] = 0;
  for (int k = 1; k <= n; ++k) {
    for (int begin = 0; begin < n; ++begin) {
      for (int end = begin + 1; end <= n; ++end) {
        if (options.at[begin][end].empty()) continue;
        const double seconds = options.at[begin][end].front().seconds + options.transfer[end];
        options.sum[k][begin] = std::min(options.sum[k][begin], seconds + options.sum[k - 1][end]);
        options.bottleneck[k][begin] =
            std::min(options.bottleneck[k][begin], std::max(seconds, options.bottleneck[k - 1][end]));
      }
    }
  }
  double workspace = kInfinity;
  for (const auto& ends : options.at) {
    for (const std::vector<Option>& list : ends) {
      for (const Option& option : list) workspace = std::min(workspace, option.workspace);
    }
  }
  options.memory = std::isinf(workspace) ? memory : memory - workspace;
  const double seconds = *std::min_element(options.sum.begin(), options.sum.end(), [](const auto& a, const auto& b) {
                            return a[0] < b[0];
                          })->begin();
  const bool limited = std::isfinite(options.memory) && std::isfinite(seconds) && options.memory > 0;
  for (int ranks = 2; 2 * ranks <= n || ranks == 2; ranks *= 2) {
    for (const double price : kPrices) {
      if (price > 0 && !limited) break;
      options.priced.push_back({ranks, limited ? price * seconds / options.memory : 0, {}});
      AddUp(options, &options.priced.back());
    }
  }
  return options;
}

// One tree: the stages of one arrangement.
class Tree {
 public:
  Tree(const StageSpace& space, const RangeOptions& options, const Arrangement& arrangement, int64_t microbatches,
       const InterleavedQuery& query, double below, int64_t most_nodes)
      : space_(space),
        options_(options),
        arrangement_(arrangement),
        query_(query),
        submesh_(space.submeshes[arrangement.submesh]),
        memory_(space.problem.memory[submesh_.type]),
        microbatches_(microbatches),
        stages_(arrangement.ranks * arrangement.chunks),
        best_(below),
        most_nodes_(most_nodes),
        ranks_(arrangement.ranks) {}

  void Run() { Grow(0, 0, 0); }
  // Stages by begin, end and option; empty when nothing is better than `below`.
  struct Node {
    int begin = 0, end = 0;
    Option option;
  };
  const std::vector<Node>& best() const { return best_nodes_; }
  int64_t nodes() const { return nodes_; }
  bool gave_up() const { return nodes_ > most_nodes_; }

 private:
  struct Rank {
    double seconds = 0, state = 0, activation = 0, workspace = 0;
  };
  struct Child {
    Node node;
    double transfer = 0;  // from the stage in front
    double bound = 0;
  };
  double TransferFrom(const Node& node, int stage, const Node& next) const;
  // Puts a stage on its rank; false when it does not fit.
  bool Add(const Option& option, Rank* rank, int number) const;
  void Grow(int stage, int begin, double bottleneck);

  const StageSpace& space_;
  const RangeOptions& options_;
  const Arrangement& arrangement_;
  const InterleavedQuery& query_;
  const Submesh& submesh_;
  double memory_;
  int64_t microbatches_;
  int stages_;
  double best_;
  int64_t most_nodes_;
  std::vector<Rank> ranks_;
  std::vector<Node> path_, best_nodes_;
  double path_seconds_ = 0, path_bytes_ = 0;  // of all ranks
  int64_t nodes_ = 0;
};

double Tree::TransferFrom(const Node& node, int stage, const Node& next) const {
  const int from = stage % arrangement_.ranks, to = (stage + 1) % arrangement_.ranks;
  const bool same_host = arrangement_.hosts[from] >= 0 && arrangement_.hosts[from] == arrangement_.hosts[to];
  const FlatChain& chain = space_.graph.chains[0];
  return TransferSeconds(space_.problem.costs->TransferTime(
      chain.items[node.end - 1].last, chain.items[next.begin].first, {submesh_, node.option.layout},
      {submesh_, next.option.layout}, same_host, microbatches_));
}

bool Tree::Add(const Option& option, Rank* rank, int number) const {
  rank->state += option.state;
  rank->activation = std::max(rank->activation, option.activation);
  rank->workspace = std::max(rank->workspace, option.workspace);
  const int64_t in_flight = InterleavedInFlight(microbatches_, number, arrangement_.ranks, arrangement_.chunks);
  return rank->state + static_cast<double>(in_flight) * rank->activation + rank->workspace <= memory_;
}

// Tries all stages number `stage` that begin with item `begin`; `bottleneck` is that of the finished ones in front.
void Tree::Grow(int stage, int begin, double bottleneck) {
  if (++nodes_ > most_nodes_ || (query_.cancelled && query_.cancelled())) return;
  const int items = space_.graph.chains[0].size(), ranks = arrangement_.ranks, left = stages_ - stage - 1;
  const int number = stage % ranks, number_in_front = (stage + ranks - 1) % ranks;
  std::vector<Child> children;
  for (int end = left == 0 ? items : begin + 1; end <= items - left; ++end) {
    for (const Option& option : options_.at[begin][end]) {
      Child child;
      child.node = {begin, end, option};
      Rank rank = ranks_[number];
      if (!Add(option, &rank, number)) continue;
      const double seconds = option.seconds + options_.transfer[end];  // at least, with what it sends
      double slowest_stage = std::max({bottleneck, seconds, options_.bottleneck[left][end]});
      if (stage > 0) {
        child.transfer = TransferFrom(path_.back(), stage - 1, child.node);
        slowest_stage = std::max(slowest_stage, path_.back().option.seconds + child.transfer);
      }
      const RangeOptions::Priced& priced = options_.priced[arrangement_.priced];
      const double rest = std::max(
          options_.sum[left][end],
          priced.sum[left][end] +
              priced.price * (path_bytes_ + priced.Bytes(option) - options_.memory * static_cast<double>(ranks)));
      double slowest_rank = (path_seconds_ + child.transfer + seconds + rest) / static_cast<double>(ranks);
      for (int r = 0; r < ranks; ++r) {
        const double more = (r == number ? seconds : 0) + (r == number_in_front ? child.transfer : 0);
        slowest_rank = std::max(slowest_rank, ranks_[r].seconds + more);
      }
      child.bound = static_cast<double>(microbatches_) * slowest_rank + (ranks - 1) * slowest_stage;
      if (child.bound < best_ / (1 + query_.tolerance)) children.push_back(child);
    }
  }
  // Even stages first: those near their share of what is left.
  const double share = options_.sum[left + 1][begin] / (left + 1);
  std::stable_sort(children.begin(), children.end(), [&](const Child& a, const Child& b) {
    return std::pair(a.bound, std::abs(a.node.option.seconds - share)) <
           std::pair(b.bound, std::abs(b.node.option.seconds - share));
  });
  for (const Child& child : children) {
    if (child.bound >= best_ / (1 + query_.tolerance)) break;
    if (left == 0) {  // its bound is its seconds
      best_ = child.bound;
      best_nodes_ = path_;
      best_nodes_.push_back(child.node);
      break;
    }
    const std::vector<Rank> before = ranks_;
    const double seconds_before = path_seconds_, bytes_before = path_bytes_;
    const double in_front = stage == 0 ? 0 : path_.back().option.seconds + child.transfer;
    Add(child.node.option, &ranks_[number], number);
    ranks_[number].seconds += child.node.option.seconds;
    ranks_[number_in_front].seconds += child.transfer;
    path_seconds_ += child.transfer + child.node.option.seconds;
    path_bytes_ += options_.priced[arrangement_.priced].Bytes(child.node.option);
    path_.push_back(child.node);
    Grow(stage + 1, child.node.end, std::max(bottleneck, in_front));
    path_.pop_back();
    path_seconds_ = seconds_before;
    path_bytes_ = bytes_before;
    ranks_ = before;
  }
}

FoundPlan MakePlan(const StageSpace& space, const Arrangement& arrangement, int64_t microbatches,
                   const std::vector<Tree::Node>& nodes) {
  FoundPlan plan;
  plan.microbatches = microbatches;
  plan.schedule = Schedule::kInterleaved;
  const FlatChain& chain = space.graph.chains[0];
  std::vector<Stage> ranks(arrangement.ranks);
  std::vector<PlaceInChain> at;
  for (size_t r = 0; r < ranks.size(); ++r) {
    ranks[r].submesh = space.submeshes[arrangement.submesh];
    at.push_back({{arrangement.used[r], arrangement.hosts[r]}, 0});
  }
  PlaceStages(space.problem.hosts, space.orders[arrangement.order], at, &ranks);
  for (size_t s = 0; s < nodes.size(); ++s) {
    Stage stage = ranks[s % ranks.size()];
    stage.first = chain.items[nodes[s].begin].first;
    stage.last = chain.items[nodes[s].end - 1].last;
    stage.chunk = static_cast<int>(s / ranks.size());
    stage.variant =
        space.problem.costs->Variants(stage.first, stage.last, stage.submesh, microbatches)[nodes[s].option.variant];
    plan.stages.push_back(stage);
  }
  LinkStages(space.graph, &plan.stages);
  plan.seconds = EvaluatePlan(space.problem, &plan);
  return plan;
}

// All arrangements on a submesh, those that may be best first.
std::vector<Arrangement> ListArrangements(const StageSpace& space, int submesh, int64_t microbatches,
                                          const RangeOptions& options, int stages) {
  const int items = space.graph.chains[0].size();
  std::vector<Arrangement> list;
  std::set<std::vector<int>> seen;  // neighbourhoods of ranks
  for (int order = 0; order < static_cast<int>(space.orders.size()); ++order) {
    std::vector<int> used, hosts;  // from the last rank on
    while (2 * std::ssize(used) <= items) {
      const std::span<const Place> places = space.orders[order].At(used.empty() ? 0 : used.back(), submesh);
      const auto place = std::min_element(places.begin(), places.end(),
                                          [](const Place& a, const Place& b) { return a.used < b.used; });
      if (place == places.end()) break;
      used.push_back(place->used);
      hosts.push_back(place->host);
      const int ranks = static_cast<int>(used.size());
      if (ranks < 2 || microbatches % ranks != 0 || !seen.insert(hosts).second) continue;
      for (int chunks = 2; ranks * chunks <= items; ++chunks) {
        if (stages > 0 && ranks * chunks != stages) continue;
        Arrangement one{submesh, ranks, chunks, order, {used.rbegin(), used.rend()}, {hosts.rbegin(), hosts.rend()},
                        0,       0};
        double all = options.sum[ranks * chunks][0];
        for (size_t p = 0; p < options.priced.size(); ++p) {
          const RangeOptions::Priced& priced = options.priced[p];
          if (priced.ranks > ranks) continue;
          const double least = priced.sum[ranks * chunks][0] - priced.price * options.memory * ranks;
          if (least > all) {
            all = least;
            one.priced = p;
          }
        }
        one.bound =
            static_cast<double>(microbatches) * all / ranks + (ranks - 1) * options.bottleneck[ranks * chunks][0];
        if (std::isfinite(one.bound)) list.push_back(std::move(one));
      }
    }
  }
  std::stable_sort(list.begin(), list.end(),
                   [](const Arrangement& a, const Arrangement& b) { return a.bound < b.bound; });
  return list;
}

}  // namespace

InterleavedResult SearchInterleaved(const StageSpace& space, int64_t microbatches, const InterleavedQuery& query) {
  InterleavedResult result;
  result.bound = kInfinity;
  std::vector<FoundPlan> known = query.known;
  for (int submesh = 0; submesh < static_cast<int>(space.submeshes.size()) && result.complete; ++submesh) {
    if (2 * space.submeshes[submesh].size() > space.orders[0].devices || space.submeshes[submesh].rectangle) continue;
    const RangeOptions options = ListOptions(space, space.submeshes[submesh], microbatches);
    for (const Arrangement& one : ListArrangements(space, submesh, microbatches, options, query.stages)) {
      double below = Threshold(known, query.top);
      for (const FoundPlan& plan : result.plans) {
        if (static_cast<int>(plan.stages.size()) == one.ranks * one.chunks) below = std::min(below, plan.seconds);
      }
      const double enough = below / (1 + query.tolerance);
      if (one.bound >= enough) {
        result.bound = std::min(result.bound, one.bound);
        continue;
      }
      Tree tree(space, options, one, microbatches, query, below, std::min(kNodes, kAllNodes - result.states));
      tree.Run();
      result.states += tree.nodes();
      result.complete = !(query.cancelled && query.cancelled());
      double least = below;
      if (!tree.best().empty()) {
        const FoundPlan plan = MakePlan(space, one, microbatches, tree.best());
        least = plan.seconds;
        AddPlans({plan}, query.top, &result.plans);
        AddPlans({plan}, query.top, &known);
      }
      result.bound =
          std::min(result.bound, tree.gave_up() || !result.complete ? one.bound : least / (1 + query.tolerance));
      if (!result.complete) break;
    }
  }
  if (!result.complete) result.bound = 0;  // what was not looked at may take any time
  return result;
}

}  // namespace alpa::inter
