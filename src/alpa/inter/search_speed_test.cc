// How long the search takes on made-up tables as large as those of real models. Prints the times; fails only when the
// answer is wrong or the time is far beyond what it should be on any machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "alpa/inter/random_problem.h"
#include "alpa/inter/search.h"

namespace alpa::inter {
namespace {

// A transformer of equal blocks between an embedding and a head: work and bytes of the layers, and on each submesh
// 12 variants: 4 layouts times "fast", "small", "recomputing".
class TransformerCosts : public StageCosts {
 public:
  explicit TransformerCosts(int layers) {
    for (int l = 0; l <= layers; ++l) {
      const double weight = l == 1 ? 0.6 : l == layers ? 1.7 : 1 + 0.05 * ((l * 7) % 5);
      work_.push_back(l == 0 ? 0 : work_.back() + weight);
    }
  }

  std::vector<StageVariant> Variants(int first, int last, const Submesh& submesh, int64_t m) const override {
    const double work = work_[last + 1] - work_[first];
    const auto n = static_cast<double>(submesh.size());
    std::vector<StageVariant> variants;
    variants.reserve(12);
    for (int layout = 0; layout < 4; ++layout) {
      // Wider submeshes lose to communication, more between hosts.
      const double lost =
          1 + 0.02 * std::log2(n) * (1 + 0.3 * layout) + 0.06 * std::pow(submesh.hosts - 1, 0.7) * (1 + 0.2 * layout);
      for (int kind = 0; kind < 3; ++kind) {
        StageVariant v;
        v.forward = work / n * lost / static_cast<double>(m) * (kind == 1 ? 1.1 : 1) + 1e-4;
        v.backward = v.forward * (kind == 2 ? 3 : 2);
        v.weight = v.forward * 0.9;
        v.per_step = 0.02 * work / n + 1e-3 * std::log2(n);
        v.state = work * 4e9 / n * (kind == 1 ? 1 : 1.6) * (layout == 3 ? 0.7 : 1);
        v.activation = work * 60e9 / n / static_cast<double>(m) * (kind == 2 ? 0.15 : 1);
        v.workspace = 0.5e9;
        v.layout = layout;
        v.id = layout * 3 + kind;
        variants.push_back(v);
      }
    }
    return variants;
  }

  Transfer TransferTime(int, int, const TransferEnd& from, const TransferEnd& to, bool same_host,
                        int64_t m) const override {
    const double bytes =
        1.0 / static_cast<double>(m) / static_cast<double>(std::min(from.submesh.size(), to.submesh.size()));
    const double seconds = bytes * (same_host ? 0.01 : 0.03) * (from.layout == to.layout ? 1 : 1.5) + 2e-5;
    return {seconds, seconds};
  }

 private:
  std::vector<double> work_;  // of the layers in front
};

void Measure(int layers, int hosts, double limit) {
  const TransformerCosts costs(layers);
  SearchProblem problem;
  problem.layers = layers;
  problem.graph = testing::Row(0, layers);
  problem.hosts = {{0, std::vector<int>(hosts, 8)}};
  problem.memory = {16e9};
  for (int64_t m = 1; m <= 1024; m *= 2) problem.microbatches.push_back(m);
  problem.schedules = {Schedule::k1F1B};
  problem.costs = &costs;
  SearchOptions options;
  options.tolerance = 0.005;
  options.threads = 2;
  for (const int top : {1, 8}) {
    options.top = top;
    const SearchResult result = SearchStages(problem, options);
    ASSERT_FALSE(result.plans.empty());
    const FoundPlan& best = result.plans[0];
    std::printf("%d layers, %d devices, top %d: %.2f s, %lld states, best %.4f s (bound %.4f), m = %lld, %zu stages\n",
                layers, hosts * 8, top, result.elapsed.value, static_cast<long long>(result.states), best.seconds,
                result.bound, static_cast<long long>(best.microbatches), best.stages.size());
    EXPECT_TRUE(result.complete);
    EXPECT_LE(result.bound, best.seconds);
    EXPECT_LE(best.seconds, result.bound * 1.005 * (1 + 1e-9));
    EXPECT_LT(result.elapsed.value, limit);
  }
}

TEST(SearchSpeed, FortyEightLayersOnSixtyFourDevices) { Measure(48, 8, 60); }
TEST(SearchSpeed, SixtyLayersOnThousandDevices) { Measure(60, 128, 400); }

}  // namespace
}  // namespace alpa::inter
