#include "alpa/solver/branch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "alpa/solver/ascent.h"
#include "alpa/solver/extract.h"
#include "alpa/solver/flat.h"
#include "alpa/solver/reduce.h"

namespace alpa::solver {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class Searcher {
 public:
  Searcher(double upper, const BranchOptions& options, Budget& budget)
      : upper_(upper), options_(options), budget_(budget) {}

  // Searches the assignments of `core`; the lowest cost they can have, as far as it is known (upper_ if none is below).
  // `up` turns an assignment of the core into one of the first core.
  using Up = std::function<std::vector<int32_t>(const std::vector<int32_t>&)>;
  double Search(Core core, std::vector<double> by_time, int depth, double inherited, const Up& up);

  bool out_of_budget() const { return out_; }
  bool found() const { return found_; }
  double upper() const { return upper_; }
  std::vector<int32_t> TakeAssignment() { return std::move(best_); }

 private:
  double Limit() const { return upper_ - options_.tolerance; }
  void Offer(const Core& core, const Flat& flat, const std::vector<int32_t>& choice, double cost, const Up& up) {
    if (!(cost < Limit())) return;
    upper_ = cost;
    found_ = true;
    best_ = up(ToAssignment(core, flat, choice));
    if (options_.found) options_.found(best_, cost);
  }
  bool Prune(Core& core, const Flat& flat, const Dual& dual) const;
  static std::pair<int32_t, int32_t> ChooseBranch(const Flat& flat, const Ascent& ascent, const Dual& dual);

  double upper_;
  const BranchOptions& options_;
  Budget& budget_;
  std::vector<int32_t> best_;
  bool found_ = false;
  bool out_ = false;
};

// Prices move along with the points: point_time is where each came from.
std::vector<double> PricesAt(const std::vector<double>& by_time, const Core& core) {
  std::vector<double> prices;
  if (by_time.empty()) return prices;
  for (const int64_t time : core.point_time) prices.push_back(by_time[static_cast<size_t>(time)]);
  return prices;
}

// Removes strategies that only assignments above the best one known have; false when there are none.
bool Searcher::Prune(Core& core, const Flat& flat, const Dual& dual) const {
  if (!std::isfinite(upper_)) return false;
  const double room = Limit() - dual.ExactBound();  // the prices moved since the last pass
  std::vector<std::vector<char>> keep(flat.node.size());
  int64_t removed = 0;
  dual.ForEachReducedCost([&](int32_t v, int32_t, double more) {
    const bool keeps = more < room;
    keep[v].push_back(keeps ? 1 : 0);
    removed += keeps ? 0 : 1;
  });
  if (removed == 0) return false;
  for (int32_t v = 0; v < flat.nodes(); ++v) {
    if (std::find(keep[v].begin(), keep[v].end(), 0) != keep[v].end()) KeepStrategies(core, flat.node[v], keep[v]);
  }
  return true;
}

// The node where a wrong choice costs most, so that one side of the branch is soon excluded.
std::pair<int32_t, int32_t> Searcher::ChooseBranch(const Flat& flat, const Ascent& ascent, const Dual& dual) {
  std::pair<int32_t, int32_t> chosen{0, ascent.rounded()[0]};
  double most = -1;
  std::vector<std::pair<double, int32_t>> lowest(flat.node.size(), {kInfinity, 0});
  std::vector<double> second(flat.node.size(), kInfinity);
  dual.ForEachReducedCost([&](int32_t v, int32_t i, double more) {
    if (more < lowest[v].first) {
      second[v] = lowest[v].first;
      lowest[v] = {more, i};
    } else {
      second[v] = std::min(second[v], more);
    }
  });
  for (int32_t v = 0; v < flat.nodes(); ++v) {
    const double regret = second[v] * (1 + 0.1 * (flat.links_begin[v + 1] - flat.links_begin[v]));
    if (regret > most) {
      most = regret;
      chosen = {v, lowest[v].second};
    }
  }
  return chosen;
}

double Searcher::Search(Core core, std::vector<double> by_time, int depth, double inherited, const Up& up) {
  double bound = inherited;
  for (int round = 0;; ++round) {
    Reduce(core);
    if (core.infeasible) return upper_;
    const Flat flat = MakeFlat(core);
    if (!budget_.Spend(std::ssize(flat.table) + std::ssize(core.nodes) * 8 + 16)) {
      out_ = true;
      return bound;
    }
    if (flat.nodes() == 0) {
      Offer(core, flat, {}, flat.constant, up);
      return upper_;
    }
    Ascent ascent(flat, PricesAt(by_time, core));
    const int passes = depth == 0 && round == 0 ? options_.root_passes : options_.passes;
    bool again = false;
    for (int pass = 0; pass < passes; ++pass) {
      ascent.Step(upper_);
      if (ascent.rounded_fits()) Offer(core, flat, ascent.rounded(), ascent.rounded_cost(), up);
      bound = std::max(bound, ascent.bound());
      if (bound >= Limit()) return upper_;
      if (!budget_.Spend(ascent.work_per_step())) {
        out_ = true;
        return bound;
      }
      if (pass % 10 == 9 && Prune(core, flat, ascent.dual())) {
        again = true;
        break;
      }
    }
    if (by_time.empty()) by_time.resize(static_cast<size_t>(core.point_time.empty() ? 0 : core.point_time.back() + 1));
    for (size_t p = 0; p < ascent.prices().size(); ++p) {
      const auto time = static_cast<size_t>(flat.slack.size() == core.point_time.size() ? core.point_time[p] : 0);
      if (time >= by_time.size()) by_time.resize(time + 1);
      by_time[time] = ascent.prices()[p];
    }
    if (again) continue;

    const auto [v, i] = ChooseBranch(flat, ascent, ascent.dual());
    // Children are cores of their own, so that what is eliminated below does not weigh on the copies.
    const auto child_up = [&](const std::vector<int32_t>& choice) { return up(ToAssignment(core, flat, choice)); };
    double lowest = kInfinity;
    for (const bool take : {true, false}) {
      Core child = Extract(flat);
      child.point_time = core.point_time;
      std::vector<char> keep(static_cast<size_t>(flat.size[v]), take ? 0 : 1);
      keep[i] = take ? 1 : 0;
      KeepStrategies(child, v, keep);
      lowest = std::min(lowest, Search(std::move(child), by_time, depth + 1, bound, child_up));
      if (out_ && !take) break;
      if (out_) return bound;
    }
    return std::max(bound, lowest);
  }
}

}  // namespace

BranchResult Branch(Core core, double upper, const std::vector<double>& prices, const BranchOptions& options,
                    Budget& budget) {
  Searcher searcher(upper, options, budget);
  BranchResult result;
  const double least = searcher.Search(std::move(core), prices, 0, -kInfinity,
                                       [](const std::vector<int32_t>& assignment) { return assignment; });
  result.complete = !searcher.out_of_budget();
  result.found = searcher.found();
  result.assignment = searcher.TakeAssignment();
  result.cost = searcher.upper();
  result.bound = result.complete ? searcher.upper() - options.tolerance : std::min(least, searcher.upper());
  return result;
}

}  // namespace alpa::solver
