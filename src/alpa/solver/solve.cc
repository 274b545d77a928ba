#include "alpa/solver/solve.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <thread>
#include <utility>

#include "alpa/solver/ascent.h"
#include "alpa/solver/branch.h"
#include "alpa/solver/core.h"
#include "alpa/solver/extract.h"
#include "alpa/solver/flat.h"
#include "alpa/solver/least_peak.h"
#include "alpa/solver/local_search.h"
#include "alpa/solver/reduce.h"

namespace alpa::solver {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kRelativeTolerance = 1e-9;   // costs that differ by less count as equal
constexpr int kLanesOfWork = 4;               // searches side by side when work is counted, whatever the machine
constexpr int64_t kFirstTree = 400'000'000;   // work for the first attempt to search everything
constexpr int64_t kFirstRound = 100'000'000;  // work per lane and round; grows
constexpr int64_t kLongestRound = 1'000'000'000;
constexpr int kFirstSteps = 300;
constexpr double kGraceSeconds = 1;
constexpr double kFirstPart = 0.25;  // of the time, at most, before the search begins

// Whether all costs are whole numbers that doubles add up exactly. Then assignments differ by 1 or not at all.
bool CostsAreWhole(const Problem& problem) {
  // The largest finite cost, or nothing when one is no whole number.
  const auto largest_whole = [](const std::vector<double>& costs) -> std::optional<double> {
    double largest = 0;
    for (const double cost : costs) {
      if (!std::isfinite(cost)) continue;
      if (cost != std::floor(cost)) return std::nullopt;
      largest = std::max(largest, cost);
    }
    return largest;
  };
  double sum = 0;
  for (const Node& node : problem.nodes) {
    const auto largest = largest_whole(node.costs);
    if (!largest) return false;
    sum += *largest;
  }
  std::vector<double> of_table;
  for (const CostTable& table : problem.tables) {
    const auto largest = largest_whole(table.costs);
    if (!largest) return false;
    of_table.push_back(*largest);
  }
  for (const Edge& edge : problem.edges) sum += of_table[edge.table];
  return sum < 1e15;
}

class Solver {
 public:
  Solver(const Problem& problem, const SolveOptions& options)
      : problem_(problem),
        options_(options),
        start_(std::chrono::steady_clock::now()),
        whole_(CostsAreWhole(problem)),
        lanes_(options.work_limit > 0 ? kLanesOfWork : Threads()) {}

  Solution Run();

 private:
  int Threads() const {
    if (options_.threads > 0) return options_.threads;
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
  double Elapsed() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  bool Stopped() const {
    return (options_.work_limit <= 0 && Elapsed() >= options_.time_limit.value) ||
           (options_.cancelled && options_.cancelled());
  }
  Budget MakeBudget(int64_t work) const {
    Budget budget;
    budget.work = options_.work_limit > 0 ? std::min(work, options_.work_limit - work_) : work;
    budget.stopped = [this] { return Stopped(); };
    return budget;
  }
  bool OutOfWork() const { return options_.work_limit > 0 && work_ >= options_.work_limit; }
  // Cheaper by more than this counts as cheaper; with --gap, only what matters for it.
  double Tolerance() const {
    double tolerance = whole_ ? 0.5 : kRelativeTolerance * std::fabs(cost_);
    if (std::isfinite(cost_)) tolerance = std::max(tolerance, options_.gap * cost_);
    return std::isfinite(tolerance) ? tolerance : 0;
  }
  void Report(const char* phase) const {
    if (options_.progress) options_.progress({Seconds(Elapsed()), phase, cost_, std::min(Bound(), cost_)});
  }
  double Bound() const { return std::max(bound_, 0.0); }
  bool Closed() const { return std::isfinite(cost_) && cost_ - bound_ <= Tolerance(); }

  bool Offer(const std::vector<int32_t>& assignment);
  void OfferChoice(const std::vector<int32_t>& choice) { Offer(ToAssignment(core_, *flat_, choice)); }
  // Whether all strategies of the best assignment are there to be improved.
  bool CoreHasBest() const {
    const std::vector<int32_t> choice = FromAssignment(core_, *flat_, assignment_);
    return std::find(choice.begin(), choice.end(), -1) == choice.end();
  }
  void Rebuild();
  void FirstBound();
  bool SearchTree(int64_t work);
  void Round(int64_t work);
  bool Shrink();
  Solution Finish(SolveStatus status);
  Solution NothingFits();

  const Problem& problem_;
  const SolveOptions& options_;
  std::chrono::steady_clock::time_point start_;
  bool whole_;
  int lanes_;
  int64_t work_ = 0;
  Core core_;
  std::optional<Flat> flat_;
  std::optional<Ascent> ascent_;
  std::vector<double> prices_;  // by time of the core's points
  std::vector<int64_t> price_times_;
  std::vector<int32_t> assignment_;
  double cost_ = kInfinity;
  double bound_ = -kInfinity;
  int64_t least_peak_ = 0;
  bool exhausted_ = false;          // nothing better than cost_ exists
  double shrunk_room_ = kInfinity;  // cost - bound when strategies were last removed
  uint64_t round_ = 0;
};

bool Solver::Offer(const std::vector<int32_t>& assignment) {
  const double cost = CostOf(problem_, assignment);
  if (!(cost < cost_)) return false;
  if (problem_.usage_limit && PeakUsage(problem_, assignment).usage > *problem_.usage_limit) return false;
  cost_ = cost;
  assignment_ = assignment;
  return true;
}

// After the core changed: its flat form, and the ascent from the prices there were.
void Solver::Rebuild() {
  if (ascent_) {
    prices_ = ascent_->prices();
  }
  std::vector<double> prices;
  if (!price_times_.empty()) {
    for (const int64_t time : core_.point_time) {
      const auto at = std::lower_bound(price_times_.begin(), price_times_.end(), time);
      prices.push_back(at != price_times_.end() && *at == time ? prices_[at - price_times_.begin()] : 0);
    }
  }
  ascent_.reset();
  flat_.emplace(MakeFlat(core_));
  ascent_.emplace(*flat_, prices);
  price_times_ = core_.point_time;
}

// Steps of the dual until it has settled somewhat; its rounded assignments are first answers.
void Solver::FirstBound() {
  // On large problems a part of the limit, so that enough is left to search.
  Budget budget = MakeBudget(kFirstSteps * ascent_->work_per_step());
  if (options_.work_limit > 0) budget.work = std::min(budget.work, options_.work_limit / 4 + 1);
  const double until = Elapsed() + kFirstPart * (options_.time_limit.value - Elapsed());
  if (options_.work_limit <= 0) budget.stopped = [this, until] { return Stopped() || Elapsed() >= until; };
  const int64_t had = budget.work;
  for (int step = 0; step < kFirstSteps; ++step) {
    ascent_->Step(cost_);
    if (ascent_->rounded_fits() && ascent_->rounded_cost() < cost_) OfferChoice(ascent_->rounded());
    bound_ = std::max(bound_, ascent_->bound());
    if (Closed() || !budget.Spend(ascent_->work_per_step())) break;
    if (step % 50 == 49) Report("bound");
  }
  work_ += had - budget.work;
}

// Branch and bound on everything; true when it got through.
bool Solver::SearchTree(int64_t work) {
  BranchOptions options;
  options.tolerance = Tolerance();
  options.found = [&](const std::vector<int32_t>& choice, double) {
    OfferChoice(choice);
    Report("search");
  };
  Budget budget = MakeBudget(work);
  const int64_t had = budget.work;
  const BranchResult result = Branch(Extract(*flat_), cost_, ascent_->prices(), options, budget);
  work_ += had - budget.work;
  bound_ = std::max(bound_, std::min(result.bound, cost_));
  exhausted_ = exhausted_ || result.complete;
  return result.complete;
}

// Removes what only assignments above the best one have; true when the core became smaller.
bool Solver::Shrink() {
  if (!std::isfinite(cost_)) return false;
  ascent_->Rewind();
  for (int i = 0; i < 5; ++i) ascent_->dual().Pass();
  const Dual& dual = ascent_->dual();
  const double exact = dual.ExactBound();
  bound_ = std::max(bound_, exact);
  const double room = cost_ - Tolerance() - exact;
  const std::vector<int32_t> own = FromAssignment(core_, *flat_, assignment_);
  std::vector<std::vector<char>> keep(flat_->node.size());
  int64_t removed = 0;
  dual.ForEachReducedCost([&](int32_t v, int32_t i, double more) {
    const bool keeps = more < room || i == own[v];
    keep[v].push_back(keeps ? 1 : 0);
    removed += keeps ? 0 : 1;
  });
  if (removed * 20 < std::ssize(flat_->cost)) return false;
  for (int32_t v = 0; v < flat_->nodes(); ++v) {
    if (std::find(keep[v].begin(), keep[v].end(), 0) != keep[v].end()) KeepStrategies(core_, flat_->node[v], keep[v]);
  }
  // Without dominance, so that the best assignment stays one of the core.
  ReduceOptions options;
  options.dominance = false;
  options.stopped = [this] { return Stopped(); };
  Reduce(core_, options);
  if (core_.infeasible) {
    exhausted_ = true;
    return false;
  }
  Rebuild();
  return true;
}

// The lanes: one works on the bound or on the whole tree, all others improve the best assignment locally.
void Solver::Round(int64_t work) {
  const std::vector<int32_t> choice = FromAssignment(core_, *flat_, assignment_);
  const bool known = std::isfinite(cost_) && std::find(choice.begin(), choice.end(), -1) == choice.end();
  if (!known) {
    SearchTree(work);
    return;
  }
  const Incumbent start = MakeIncumbent(*flat_, choice);
  std::vector<Incumbent> found(static_cast<size_t>(lanes_), start);
  std::vector<Budget> budgets(static_cast<size_t>(lanes_));
  for (Budget& budget : budgets) {
    budget = MakeBudget(work);
    if (options_.work_limit > 0) budget.work = std::max<int64_t>(1, budget.work / lanes_);
  }
  const int64_t had = budgets[0].work;
  LocalSearchOptions local;
  local.tolerance = whole_ ? 0.5 : kRelativeTolerance * std::fabs(cost_);
  local.prices = ascent_->prices();
  BranchOptions branch;
  branch.tolerance = Tolerance();
  BranchResult tree;
  const bool do_tree = round_ % 3 == 2;
  const bool do_bound = round_ % 3 == 0 || round_ < 3;
  const auto lane = [&](int n) {
    if (n == 0 && do_tree) {
      tree = Branch(Extract(*flat_), cost_, local.prices, branch, budgets[0]);
      if (tree.found) found[0] = MakeIncumbent(*flat_, tree.assignment);
    } else if (n == 0 && do_bound) {
      for (int64_t left = std::min<int64_t>(2000, budgets[0].work / ascent_->work_per_step() / 2); left > 0; --left) {
        ascent_->Step(cost_);
        if (ascent_->rounded_fits() && ascent_->rounded_cost() < found[0].cost) {
          found[0] = MakeIncumbent(*flat_, ascent_->rounded());
        }
        if (!budgets[0].Spend(ascent_->work_per_step())) return;
      }
      ImproveLocally(*flat_, found[0], local, options_.seed * 1000003 + round_ * 1009, budgets[0]);
    } else {
      ImproveLocally(*flat_, found[n], local, options_.seed * 1000003 + round_ * 1009 + static_cast<uint64_t>(n),
                     budgets[n]);
    }
  };
  // `threads` of them at a time; which thread takes which lane makes no difference.
  std::vector<std::thread> threads;
  const int side = std::min(Threads(), lanes_);
  for (int t = 1; t < side; ++t) {
    threads.emplace_back([&, t] {
      for (int n = t; n < lanes_; n += side) lane(n);
    });
  }
  for (int n = 0; n < lanes_; n += side) lane(n);
  for (std::thread& thread : threads) thread.join();

  for (const Budget& budget : budgets) work_ += had - budget.work;
  bound_ = std::max(bound_, ascent_->bound());
  if (do_tree) {
    bound_ = std::max(bound_, std::min(tree.bound, cost_));
    exhausted_ = exhausted_ || tree.complete;
  }
  size_t best = 0;
  for (size_t n = 1; n < found.size(); ++n) {
    if (found[n].cost < found[best].cost) best = n;
  }
  Incumbent merged = found[best];
  for (size_t n = 0; n < found.size(); ++n) {
    if (n != best) MergeChanges(*flat_, start, found[n], merged);
  }
  OfferChoice(merged.choice);
}

Solution Solver::Run() {
  if (!options_.start.empty()) Offer(options_.start);
  core_ = MakeCore(problem_);
  least_peak_ = core_.least_peak;  // before strategies that do not fit are gone
  Report("reduce");
  ReduceOptions reduce;
  reduce.stopped = [this] { return Stopped(); };
  Reduce(core_, reduce);
  if (core_.infeasible) return NothingFits();
  Rebuild();
  if (flat_->nodes() == 0) {
    OfferChoice({});
    ALPA_CHECK(std::isfinite(cost_), "an assignment that cannot miss");
    bound_ = cost_;
    return Finish(SolveStatus::kOptimal);
  }
  FirstBound();
  Report("bound");
  if (!Closed() && !Stopped() && !OutOfWork()) SearchTree(kFirstTree);
  double work = kFirstRound;
  while (!Closed() && !exhausted_ && !Stopped() && !OutOfWork()) {
    if (!std::isfinite(cost_)) {
      // Feasibility first.
      Budget budget = MakeBudget(static_cast<int64_t>(work) * 4);
      const int64_t had = budget.work;
      const LeastPeak least = FindLeastPeak(problem_, /*enough=*/true, budget);
      work_ += had - budget.work;
      if (!least.assignment.empty()) Offer(least.assignment);
      if (!std::isfinite(cost_) &&
          (least.none_allowed || (problem_.usage_limit && least.bound > *problem_.usage_limit))) {
        return NothingFits();
      }
    }
    if (std::isfinite(cost_) && !CoreHasBest()) {  // lost to a better one
      core_ = MakeCore(problem_);
      ReduceOptions gentle;
      gentle.dominance = false;
      gentle.stopped = [this] { return Stopped(); };
      Reduce(core_, gentle);
      Rebuild();
      if (flat_->nodes() == 0) continue;
    }
    const double room = cost_ - bound_;
    if (room < 0.8 * shrunk_room_) {
      shrunk_room_ = room;
      Shrink();
      if (exhausted_ || Closed()) break;
    }
    if (flat_->nodes() == 0) {
      exhausted_ = true;
      break;
    }
    Round(static_cast<int64_t>(work));
    ++round_;
    work = std::min<double>(work * 1.3, static_cast<double>(kLongestRound));
    Report("search");
  }
  if (!std::isfinite(cost_)) {
    if (exhausted_) return NothingFits();
    return Finish(SolveStatus::kUnknown);
  }
  if (exhausted_) bound_ = options_.gap > 0 ? std::max(bound_, cost_ - Tolerance()) : cost_;
  const double proof = whole_ ? 0.5 : kRelativeTolerance * std::fabs(cost_);
  if (cost_ - bound_ <= proof) bound_ = cost_;
  return Finish(bound_ >= cost_ ? SolveStatus::kOptimal : SolveStatus::kFeasible);
}

Solution Solver::NothingFits() { return Finish(SolveStatus::kInfeasible); }

Solution Solver::Finish(SolveStatus status) {
  Solution solution;
  solution.status = status;
  solution.least_peak_bound = least_peak_;
  if (status == SolveStatus::kInfeasible || status == SolveStatus::kUnknown) {
    // There must be some answer, so a little more time when it is up.
    Budget budget;
    budget.work = kFirstTree;
    const double until = std::max(options_.time_limit.value, Elapsed()) + kGraceSeconds;
    if (options_.work_limit <= 0) budget.stopped = [this, until] { return Elapsed() >= until; };
    LeastPeak least = FindLeastPeak(problem_, /*enough=*/false, budget);
    assignment_ = std::move(least.assignment);
    solution.least_peak_bound = std::max(solution.least_peak_bound, least.bound);
    if (status == SolveStatus::kInfeasible && problem_.usage_limit && !least.none_allowed) {
      solution.least_peak_bound = std::max(solution.least_peak_bound, *problem_.usage_limit + 1);
    }
  }
  solution.assignment = assignment_;
  if (!assignment_.empty() || problem_.nodes.empty()) {
    solution.cost = CostOf(problem_, assignment_);
    solution.peak = PeakUsage(problem_, assignment_);
  } else {
    solution.cost = kInfinity;
  }
  solution.bound = std::min(Bound(), solution.cost);
  if (status == SolveStatus::kInfeasible) solution.bound = kInfinity;
  if (std::isfinite(solution.cost) && solution.cost > 0 && std::isfinite(solution.bound)) {
    solution.gap = (solution.cost - solution.bound) / solution.cost;
  }
  solution.work = work_;
  solution.elapsed = Seconds(Elapsed());
  cost_ = solution.cost;
  return solution;
}

}  // namespace

std::string_view Name(SolveStatus status) {
  switch (status) {
    case SolveStatus::kOptimal:
      return "optimal";
    case SolveStatus::kFeasible:
      return "feasible";
    case SolveStatus::kInfeasible:
      return "infeasible";
    case SolveStatus::kUnknown:
      return "unknown";
  }
  return "";
}

Solution Solve(const Problem& problem, const SolveOptions& options) { return Solver(problem, options).Run(); }

}  // namespace alpa::solver
