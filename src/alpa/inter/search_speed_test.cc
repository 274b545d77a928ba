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

struct Size {
  int layers = 48;
  std::vector<Hosts> hosts;
  double memory = 16e9;
  std::vector<Schedule> schedules = {Schedule::k1F1B};
  int top = 1;
  Chain graph = {};  // empty: a row
};

std::vector<Hosts> EqualHosts(int count) { return {{0, std::vector<int>(count, 8)}}; }

void Measure(const char* what, const Size& size, double limit) {
  const TransformerCosts costs(size.layers);
  SearchProblem problem;
  problem.layers = size.layers;
  problem.graph = size.graph.items.empty() ? testing::Row(0, size.layers) : size.graph;
  problem.hosts = size.hosts;
  problem.memory = {size.memory};
  for (int64_t m = 1; m <= 1024; m *= 2) problem.microbatches.push_back(m);
  problem.schedules = size.schedules;
  problem.costs = &costs;
  SearchOptions options;
  options.tolerance = 0.005;
  options.threads = 2;
  options.top = size.top;
  const SearchResult result = SearchStages(problem, options);
  ASSERT_FALSE(result.plans.empty());
  const FoundPlan& best = result.plans[0];
  std::printf("%s: %.2f s, %lld states; best %.4f s (bound %.4f), m = %lld, %zu stages, %.*s; %zu plans\n", what,
              result.elapsed.value, static_cast<long long>(result.states), best.seconds, result.bound,
              static_cast<long long>(best.microbatches), best.stages.size(),
              static_cast<int>(Name(best.schedule).size()), Name(best.schedule).data(), result.plans.size());
  EXPECT_TRUE(result.complete);
  EXPECT_LE(result.bound, best.seconds);
  // The search for interleaved plans ends after a fixed amount of work; the bound is then what it can be.
  const auto& wanted = size.schedules;
  if (std::find(wanted.begin(), wanted.end(), Schedule::kInterleaved) == wanted.end())
    EXPECT_LE(best.seconds, result.bound * 1.005 * (1 + 1e-9));
  EXPECT_LT(result.elapsed.value, limit);
}

TEST(SearchSpeed, SixtyFourDevices) {
  Measure("64 devices", {48, EqualHosts(8)}, 60);
  Measure("64 devices, 8 plans", {48, EqualHosts(8), 16e9, {Schedule::k1F1B}, 8}, 60);
  Measure("64 devices, little memory", {48, EqualHosts(8), 7e9}, 60);
  Measure("64 devices, all schedules", {48, EqualHosts(8), 16e9, {Schedule::k1F1B, Schedule::kGpipe, Schedule::kZbH1}},
          60);
  Measure("64 devices, interleaved too", {48, EqualHosts(8), 16e9, {Schedule::k1F1B, Schedule::kInterleaved}}, 60);
}

TEST(SearchSpeed, ABrokenHost) {
  std::vector<Hosts> hosts = EqualHosts(8);
  hosts[0].devices[3] = 7;
  Measure("63 devices in order", {48, hosts}, 60);
}

TEST(SearchSpeed, Branches) {
  // Eight times a layer and a block of two branches of two layers.
  Chain graph;
  for (int l = 0; l < 40; l += 5) {
    graph.items.push_back({l, {}});
    graph.items.push_back({-1, {testing::Row(l + 1, 2), testing::Row(l + 3, 2)}});
  }
  Measure("64 devices, branches", {40, EqualHosts(8), 16e9, {Schedule::k1F1B}, 1, graph}, 60);
}

TEST(SearchSpeed, ThousandDevices) { Measure("1024 devices", {60, EqualHosts(128)}, 400); }

}  // namespace
}  // namespace alpa::inter
