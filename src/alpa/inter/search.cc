#include "alpa/inter/search.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "alpa/base/result.h"
#include "alpa/inter/cell_search.h"
#include "alpa/inter/chain_search.h"
#include "alpa/inter/interleaved.h"
#include "alpa/inter/plan_list.h"
#include "alpa/inter/shortage.h"
#include "alpa/inter/stage_table.h"

namespace alpa::inter {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Units that are searched side by side, each with what was known before. Fixed, so that results do not depend on
// threads.
constexpr size_t kWave = 4;

// Calls work(0) .. work(n - 1) on `threads` threads, each as soon as one is free.
void ForEach(size_t n, int threads, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next{0};
  const auto lane = [&] {
    for (size_t i = next++; i < n; i = next++) work(i);
  };
  std::vector<std::thread> others;
  for (int t = 1; t < threads && t < static_cast<int>(n); ++t) others.emplace_back(lane);
  lane();
  for (std::thread& thread : others) thread.join();
}

// Labels for plans of a unit beyond its best one; then it has to do with those found.
constexpr int64_t kStatesForMorePlans = 15'000;

// A cell with all numbers of stages that are asked for, and what came of it.
struct Unit {
  Cell cell;
  Schedule name = Schedule::k1F1B;  // of its plans; differs from the cell's for plans of one stage
  size_t table = 0;                 // by number of microbatches
  double bound = 0;                 // at first the relaxed one
  bool interleaved = false;         // then all about it; `cell` is not used
  bool searched = false, complete = false;
  std::vector<FoundPlan> plans;
  int64_t states = 0;
};

class StageSearch {
 public:
  StageSearch(const SearchProblem& problem, const SearchOptions& options)
      : problem_(problem),
        options_(options),
        start_(std::chrono::steady_clock::now()),
        space_(MakeStageSpace(problem)),
        top_(static_cast<size_t>(std::max(1, options.top))),
        threads_(options.threads > 0 ? options.threads
                                     : std::max(1, static_cast<int>(std::thread::hardware_concurrency()))) {}

  SearchResult Run();

 private:
  bool Cancelled() const { return options_.cancelled && options_.cancelled(); }
  void MakeUnits();
  void SearchUnit(Unit* unit) const;
  void SearchInterleavedUnit(Unit* unit) const;
  void Report(double done);

  const SearchProblem& problem_;
  const SearchOptions& options_;
  std::chrono::steady_clock::time_point start_;
  StageSpace space_;
  size_t top_;
  int threads_;
  std::vector<StageTables> tables_;  // by number of microbatches
  std::vector<Unit> units_;
  std::vector<FoundPlan> plans_;  // best first, at most top_
  std::mutex progress_;
  double reported_ = 0;
};

// All parts of the space.
void StageSearch::MakeUnits() {
  for (size_t table = 0; table < tables_.size(); ++table) {
    for (const NamedCell& one : ListCells(space_, options_.stages)) {
      Unit unit;
      unit.cell = one.cell;
      unit.name = one.name;
      unit.table = table;
      units_.push_back(unit);
    }
    const std::vector<Schedule>& wanted = problem_.schedules;
    if (std::find(wanted.begin(), wanted.end(), Schedule::kInterleaved) == wanted.end()) continue;
    Unit unit;
    unit.interleaved = true;
    unit.table = table;
    units_.push_back(unit);
  }
}

void StageSearch::SearchInterleavedUnit(Unit* unit) const {
  InterleavedResult result = SearchInterleaved(space_, problem_.microbatches[unit->table],
                                               {plans_, top_, options_.stages, options_.tolerance, options_.cancelled});
  unit->bound = result.bound;
  unit->plans = std::move(result.plans);
  unit->states = result.states;
  unit->searched = true;
  unit->complete = result.complete;
}

// The best plans of a unit by number of stages: the best of all; then the best with fewer and with more stages; and so
// on.
void StageSearch::SearchUnit(Unit* unit) const {
  if (unit->bound >= Threshold(plans_, top_)) {
    unit->searched = unit->complete = true;
    return;
  }
  TransferTable transfers(problem_, space_.submeshes, tables_[unit->table]);
  const CellCosts costs = MakeCellCosts(space_, tables_[unit->table], unit->cell.schedule, &transfers);
  struct Part {
    Cell cell;
    FoundPlan plan;
  };
  std::vector<Part> parts;
  std::vector<FoundPlan> known = plans_;
  int64_t more_states = 0;
  const auto search = [&](const Cell& cell) {
    if (cell.least_stages > cell.most_stages || cell.least_stages > problem_.layers) return;
    const bool first = !unit->searched;
    if (!first && more_states > kStatesForMorePlans) return;
    CellQuery query{Threshold(known, top_), options_.tolerance, options_.cancelled};
    if (!first) query.most_states = kStatesForMorePlans - more_states;
    CellResult result = SearchCell(space_, cell, costs, query);
    unit->states += result.states;
    if (first) {
      unit->bound = std::max(unit->bound, result.bound);
      unit->complete = result.complete;
    } else {
      more_states += result.states;
    }
    unit->searched = true;
    if (!result.plan) return;
    result.plan->schedule = unit->name;
    AddPlans({*result.plan}, top_, &known);
    parts.push_back({cell, std::move(*result.plan)});
  };
  search(unit->cell);
  while (!parts.empty() && unit->plans.size() < top_ && !Cancelled()) {
    const auto best = std::min_element(parts.begin(), parts.end(),
                                       [](const Part& a, const Part& b) { return Better(a.plan, b.plan); });
    Part part = std::move(*best);
    parts.erase(best);
    const int stages = static_cast<int>(part.plan.stages.size());
    unit->plans.push_back(std::move(part.plan));
    if (unit->plans.size() == top_) break;
    Cell fewer = part.cell, more = part.cell;
    fewer.most_stages = stages - 1;
    more.least_stages = stages + 1;
    search(fewer);
    search(more);
  }
  for (Part& part : parts) unit->plans.push_back(std::move(part.plan));
}

void StageSearch::Report(double done) {
  if (!options_.progress) return;
  const std::lock_guard<std::mutex> lock(progress_);
  reported_ = std::max(reported_, done);
  options_.progress(reported_, plans_.empty() ? kInfinity : plans_[0].seconds);
}

SearchResult StageSearch::Run() {
  const bool delayed =
      std::find(problem_.schedules.begin(), problem_.schedules.end(), Schedule::kZbH1) != problem_.schedules.end();
  tables_.resize(problem_.microbatches.size());
  std::atomic<size_t> made{0};
  ForEach(tables_.size(), threads_, [&](size_t i) {
    if (Cancelled()) return;
    tables_[i] = MakeStageTables(problem_, space_.graph, space_.submeshes, problem_.microbatches[i], delayed);
    Report(0.3 * static_cast<double>(++made) / static_cast<double>(tables_.size()));
  });
  SearchResult result;
  if (!Cancelled()) {
    MakeUnits();
    ForEach(units_.size(), threads_, [&](size_t i) {
      Unit& unit = units_[i];
      if (unit.interleaved) return;  // no bound before it is searched
      const CellCosts costs = MakeCellCosts(space_, tables_[unit.table], unit.cell.schedule, nullptr);
      unit.bound = RelaxedBound(space_, unit.cell, costs);
    });
    std::stable_sort(units_.begin(), units_.end(), [](const Unit& a, const Unit& b) {
      return a.interleaved != b.interleaved ? b.interleaved : a.bound < b.bound;
    });
  }
  // The most promising unit alone; what it gives lets others end early.
  for (size_t begin = 0, end = std::min<size_t>(1, units_.size()); begin < units_.size() && !Cancelled();
       begin = end, end = std::min(units_.size(), end + kWave)) {
    ForEach(end - begin, threads_, [&](size_t i) {
      Unit* unit = &units_[begin + i];
      unit->interleaved ? SearchInterleavedUnit(unit) : SearchUnit(unit);
    });
    for (size_t i = begin; i < end; ++i) AddPlans(units_[i].plans, top_, &plans_);
    Report(0.3 + 0.7 * static_cast<double>(end) / static_cast<double>(units_.size()));
  }
  result.complete = !units_.empty() || !Cancelled();
  result.bound = units_.empty() ? (result.complete ? kInfinity : 0) : kInfinity;
  result.flat_bound = result.bound;
  for (const Unit& unit : units_) {
    result.complete = result.complete && unit.searched && unit.complete;
    result.bound = std::min(result.bound, unit.bound);
    if (!unit.interleaved) result.flat_bound = std::min(result.flat_bound, unit.bound);
    result.states += unit.states;
  }
  if (!plans_.empty()) {
    result.bound = std::min(result.bound, plans_[0].seconds);
    result.flat_bound = std::min(result.flat_bound, plans_[0].seconds);
  }
  result.plans = std::move(plans_);
  if (result.plans.empty() && result.complete) {
    result.shortage = FindShortage(space_, options_.stages, options_.cancelled);
  }
  result.elapsed = Seconds(std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count());
  return result;
}

}  // namespace

SearchResult SearchStages(const SearchProblem& problem, const SearchOptions& options) {
  ALPA_CHECK(problem.costs != nullptr && !problem.microbatches.empty() && !problem.schedules.empty(),
             "a stage search without costs, microbatches or schedules");
  return StageSearch(problem, options).Run();
}

}  // namespace alpa::inter
