// Small random problems and their exhaustive solution, for the tests.
#pragma once

#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "alpa/solver/problem.h"

namespace alpa::solver::testing {

struct RandomOptions {
  int nodes = 6;
  int strategies = 4;  // at most, by node
  int edges = 8;
  int forbidden_percent = 20;
  bool memory = true;
  bool whole = true;  // costs are whole numbers
  int tables = 0;     // > 0: edges share tables where they can
};

inline Problem RandomProblem(uint64_t seed, const RandomOptions& options) {
  std::mt19937_64 random(seed);
  const auto below = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); };
  const auto cost = [&]() -> double {
    if (below(100) < options.forbidden_percent) return std::numeric_limits<double>::infinity();
    if (below(4) == 0) return 0;
    return options.whole ? static_cast<double>(below(20)) : static_cast<double>(below(1000)) / 7;
  };
  Problem problem;
  problem.name = "random";
  int64_t most = 0;
  for (int v = 0; v < options.nodes; ++v) {
    Node node;
    const auto strategies = 1 + below(options.strategies);
    for (int64_t i = 0; i < strategies; ++i) {
      node.costs.push_back(
          below(20) == 0 ? cost() : static_cast<double>(below(options.whole ? 10 : 1000)) / (options.whole ? 1 : 7));
    }
    if (options.memory && below(6) != 0) {
      for (int64_t i = 0; i < strategies; ++i) node.usages.push_back(below(10));
      node.live.begin = below(8);
      node.live.end = node.live.begin + below(6);
      most += 5;
    }
    problem.nodes.push_back(std::move(node));
  }
  for (int e = 0; e < options.edges && options.nodes > 1; ++e) {
    const auto a = static_cast<int32_t>(below(options.nodes));
    const auto b = static_cast<int32_t>((a + 1 + below(options.nodes - 1)) % options.nodes);
    const auto rows = static_cast<int32_t>(problem.nodes[a].costs.size());
    const auto columns = static_cast<int32_t>(problem.nodes[b].costs.size());
    int32_t table = -1;
    for (int32_t t = 0; t < static_cast<int32_t>(problem.tables.size()) && options.tables > 0; ++t) {
      if (problem.tables[t].rows == rows && problem.tables[t].columns == columns) table = t;
    }
    if (table < 0) {
      table = static_cast<int32_t>(problem.tables.size());
      CostTable costs{rows, columns, {}};
      for (int32_t i = 0; i < rows * columns; ++i) costs.costs.push_back(cost());
      problem.tables.push_back(std::move(costs));
    }
    problem.edges.push_back({a, b, table});
  }
  if (options.memory) problem.usage_limit = below(most + 1);
  return problem;
}

struct Exhaustive {
  double cost = std::numeric_limits<double>::infinity();     // of the best that fits
  int64_t least_peak = std::numeric_limits<int64_t>::max();  // of all that are allowed
};

inline Exhaustive SolveExhaustively(const Problem& problem) {
  Exhaustive out;
  std::vector<int32_t> choice(problem.nodes.size());
  for (;;) {
    const double cost = CostOf(problem, choice);
    if (cost < std::numeric_limits<double>::infinity()) {
      const int64_t peak = PeakUsage(problem, choice).usage;
      out.least_peak = std::min(out.least_peak, peak);
      if (!problem.usage_limit || peak <= *problem.usage_limit) out.cost = std::min(out.cost, cost);
    }
    size_t v = 0;
    while (v < choice.size() && ++choice[v] == static_cast<int32_t>(problem.nodes[v].costs.size())) choice[v++] = 0;
    if (v == choice.size()) return out;
  }
}

}  // namespace alpa::solver::testing
