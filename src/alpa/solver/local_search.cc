#include "alpa/solver/local_search.h"

#include <algorithm>
#include <random>
#include <utility>

#include "alpa/solver/extract.h"

namespace alpa::solver {
namespace {

constexpr int32_t kSmallest = 4;
constexpr int64_t kWorkPerPart = 20'000'000;

class LocalSearch {
 public:
  LocalSearch(const Flat& flat, Incumbent& incumbent, const LocalSearchOptions& options, uint64_t seed)
      : flat_(flat), incumbent_(incumbent), options_(options), random_(seed), in_part_(flat.node.size()) {
    for (int32_t p = 0; p < flat.points(); ++p) {
      if (!options.prices.empty() && options.prices[p] > 0) priced_points_.push_back(p);
    }
  }

  void Run(Budget& budget) {
    size_ = std::min(flat_.nodes(), 24);
    while (budget.Spend(flat_.points() + flat_.nodes())) Improve(ChoosePart(), budget);
  }

 private:
  int64_t Random(int64_t below) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(below)); }

  // A few connected groups of nodes; often such that share memory where it is short.
  std::vector<int32_t> ChoosePart() {
    std::vector<int32_t> part;
    const auto groups = 1 + Random(3);
    const bool at_point = groups > 1 && !priced_points_.empty() && Random(3) != 0;
    const int32_t point = at_point ? priced_points_[Random(std::ssize(priced_points_))] : 0;
    for (int64_t g = 0; g < groups; ++g) {
      int32_t seed = static_cast<int32_t>(Random(flat_.nodes()));
      for (int tries = 0; at_point && tries < 50 && !UsesPoint(seed, point); ++tries) {
        seed = static_cast<int32_t>(Random(flat_.nodes()));
      }
      Grow(seed, static_cast<int32_t>(std::ssize(part) + std::max<int64_t>(1, size_ / groups)), part);
    }
    for (const int32_t v : part) in_part_[v] = 0;
    std::sort(part.begin(), part.end());
    return part;
  }

  bool UsesPoint(int32_t v, int32_t point) const {
    for (int32_t u = flat_.uses_begin[v]; u < flat_.uses_begin[v + 1]; ++u) {
      if (flat_.uses[u].begin <= point && point < flat_.uses[u].end) return true;
    }
    return false;
  }

  // Adds nodes around `seed`, breadth first in a random order, until the part has `target` nodes.
  void Grow(int32_t seed, int32_t target, std::vector<int32_t>& part) {
    if (in_part_[seed] != 0) return;
    std::vector<int32_t> frontier{seed};
    in_part_[seed] = 1;
    part.push_back(seed);
    while (!frontier.empty() && std::ssize(part) < target) {
      const auto at = Random(std::ssize(frontier));
      const int32_t v = frontier[at];
      std::vector<int32_t> fresh;
      for (int32_t l = flat_.links_begin[v]; l < flat_.links_begin[v + 1]; ++l) {
        if (in_part_[flat_.links[l].other] == 0) fresh.push_back(flat_.links[l].other);
      }
      if (fresh.size() <= 1) {
        frontier[at] = frontier.back();
        frontier.pop_back();
      }
      if (fresh.empty()) continue;
      const int32_t w = fresh[Random(std::ssize(fresh))];
      in_part_[w] = 1;
      part.push_back(w);
      frontier.push_back(w);
    }
  }

  void Improve(const std::vector<int32_t>& part, Budget& budget) {
    Core core = Extract(flat_, part, incumbent_.choice, incumbent_.load);
    const double now = PartialCost(flat_, part, incumbent_.choice);
    BranchOptions options;
    options.tolerance = options_.tolerance;
    options.root_passes = options.passes = 20;
    Budget mine = budget;
    mine.work = std::min(budget.work, kWorkPerPart);
    const int64_t had = mine.work;
    const BranchResult result = Branch(std::move(core), now, options_.prices, options, mine);
    budget.work -= had - mine.work;
    if (result.found) {
      std::vector<int32_t> choice = incumbent_.choice;
      for (size_t n = 0; n < part.size(); ++n) choice[part[n]] = result.assignment[n];
      Incumbent next = MakeIncumbent(flat_, std::move(choice));
      if (next.cost < incumbent_.cost && ExcessOf(flat_, next.load) == 0) incumbent_ = std::move(next);
    }
    // As large as can be searched through.
    if (result.complete) {
      size_ = std::min(flat_.nodes(), size_ + 1);
    } else {
      size_ = std::max(std::min(kSmallest, flat_.nodes()), size_ * 3 / 4);
    }
  }

  const Flat& flat_;
  Incumbent& incumbent_;
  const LocalSearchOptions& options_;
  std::mt19937_64 random_;
  std::vector<char> in_part_;
  std::vector<int32_t> priced_points_;
  int32_t size_ = 0;
};

}  // namespace

Incumbent MakeIncumbent(const Flat& flat, std::vector<int32_t> choice) {
  Incumbent incumbent;
  incumbent.cost = CostOf(flat, choice);
  incumbent.load = LoadOf(flat, choice);
  incumbent.choice = std::move(choice);
  return incumbent;
}

void ImproveLocally(const Flat& flat, Incumbent& incumbent, const LocalSearchOptions& options, uint64_t seed,
                    Budget& budget) {
  if (flat.nodes() == 0) return;
  LocalSearch(flat, incumbent, options, seed).Run(budget);
}

void MergeChanges(const Flat& flat, const Incumbent& start, const Incumbent& other, Incumbent& into) {
  std::vector<char> changed(flat.node.size());
  for (int32_t v = 0; v < flat.nodes(); ++v) changed[v] = other.choice[v] != start.choice[v] ? 1 : 0;
  for (int32_t v = 0; v < flat.nodes(); ++v) {
    if (changed[v] == 0) continue;
    std::vector<int32_t> group{v};
    changed[v] = 0;
    for (size_t n = 0; n < group.size(); ++n) {
      for (int32_t l = flat.links_begin[group[n]]; l < flat.links_begin[group[n] + 1]; ++l) {
        const int32_t w = flat.links[l].other;
        if (changed[w] == 0) continue;
        changed[w] = 0;
        group.push_back(w);
      }
    }
    std::vector<int32_t> choice = into.choice;
    for (const int32_t w : group) choice[w] = other.choice[w];
    Incumbent next = MakeIncumbent(flat, std::move(choice));
    if (next.cost < into.cost && ExcessOf(flat, next.load) == 0) into = std::move(next);
  }
}

}  // namespace alpa::solver
