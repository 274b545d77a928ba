#include "cbc.h"

#include <coin/Cbc_C_Interface.h>
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <set>
#include <string>

namespace alpa::solver {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A matrix by columns, as CBC takes it. Rows are added first, columns then refer to them.
class Program {
 public:
  int AddRow(double low, double high) {
    low_.push_back(low);
    high_.push_back(high);
    return static_cast<int>(low_.size()) - 1;
  }
  // A variable that is 0 or 1, in the given rows; one of infinite cost is fixed at 0.
  int AddColumn(double cost, const std::vector<std::pair<int, double>>& rows) {
    cost_.push_back(std::isfinite(cost) ? cost : 0);
    upper_.push_back(std::isfinite(cost) ? 1 : 0);
    for (const auto& [row, value] : rows) {
      index_.push_back(row);
      value_.push_back(value);
    }
    start_.push_back(static_cast<CoinBigIndex>(index_.size()));
    return static_cast<int>(cost_.size()) - 1;
  }

  CbcResult Solve(double time_limit, std::vector<char>* chosen) const {
    const std::vector<double> zero(cost_.size());
    Cbc_Model* model = Cbc_newModel();
    Cbc_loadProblem(model, static_cast<int>(cost_.size()), static_cast<int>(low_.size()), start_.data(), index_.data(),
                    value_.data(), zero.data(), upper_.data(), cost_.data(), low_.data(), high_.data());
    for (int c = 0; c < static_cast<int>(cost_.size()); ++c) Cbc_setInteger(model, c);
    Cbc_setParameter(model, "log", "0");
    Cbc_setParameter(model, "sec", std::to_string(time_limit).c_str());
    CbcResult result;
    const auto start = std::chrono::steady_clock::now();
    Cbc_solve(model);
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result.optimal = Cbc_isProvenOptimal(model) != 0;
    result.infeasible = Cbc_isProvenInfeasible(model) != 0;
    if (result.optimal) {
      const double* values = Cbc_getColSolution(model);
      for (size_t c = 0; c < cost_.size(); ++c) chosen->push_back(values[c] > 0.5 ? 1 : 0);
    }
    Cbc_deleteModel(model);
    return result;
  }

 private:
  std::vector<double> low_, high_, cost_, upper_, value_;
  std::vector<int> index_;
  std::vector<CoinBigIndex> start_{0};
};

}  // namespace

CbcResult SolveWithCbc(const Problem& problem, double time_limit) {
  Program program;
  std::vector<int> one_hot;
  std::vector<std::vector<std::vector<std::pair<int, double>>>> rows(problem.nodes.size());
  for (const Node& node : problem.nodes) {
    const size_t v = one_hot.size();
    one_hot.push_back(program.AddRow(1, 1));
    rows[v].resize(node.costs.size(), {{one_hot.back(), 1.0}});
  }
  if (problem.usage_limit) {
    std::set<int64_t> times;
    for (const Node& node : problem.nodes) times.insert(node.live.begin);
    for (const int64_t time : times) {
      const int row = program.AddRow(-kInfinity, static_cast<double>(*problem.usage_limit));
      for (size_t v = 0; v < problem.nodes.size(); ++v) {
        const Node& node = problem.nodes[v];
        if (node.usages.empty() || time < node.live.begin || time >= node.live.end) continue;
        for (size_t i = 0; i < node.costs.size(); ++i)
          rows[v][i].emplace_back(row, static_cast<double>(node.usages[i]));
      }
    }
  }
  std::vector<int> first_row_of_edge;  // rows of a, then of b
  for (const Edge& edge : problem.edges) {
    for (const int32_t v : {edge.a, edge.b}) {
      for (size_t i = 0; i < problem.nodes[v].costs.size(); ++i) {
        const int row = program.AddRow(0, 0);
        if (v == edge.a && i == 0) first_row_of_edge.push_back(row);
        rows[v][i].emplace_back(row, -1.0);
      }
    }
  }
  std::vector<int> first_column;
  for (size_t v = 0; v < problem.nodes.size(); ++v) {
    for (size_t i = 0; i < problem.nodes[v].costs.size(); ++i) {
      const int column = program.AddColumn(problem.nodes[v].costs[i], rows[v][i]);
      if (i == 0) first_column.push_back(column);
    }
  }
  for (size_t e = 0; e < problem.edges.size(); ++e) {
    const CostTable& table = problem.tables[problem.edges[e].table];
    for (int32_t i = 0; i < table.rows; ++i) {
      for (int32_t j = 0; j < table.columns; ++j) {
        program.AddColumn(table.costs[static_cast<size_t>(i) * table.columns + j],
                          {{first_row_of_edge[e] + i, 1.0}, {first_row_of_edge[e] + table.rows + j, 1.0}});
      }
    }
  }
  std::vector<char> chosen;
  CbcResult result = program.Solve(time_limit, &chosen);
  if (!result.optimal) return result;
  for (size_t v = 0; v < problem.nodes.size(); ++v) {
    int32_t strategy = 0;
    while (strategy + 1 < std::ssize(problem.nodes[v].costs) && chosen[first_column[v] + strategy] == 0) ++strategy;
    result.assignment.push_back(strategy);
  }
  result.cost = CostOf(problem, result.assignment);
  return result;
}

}  // namespace alpa::solver
