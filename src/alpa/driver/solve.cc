#include "alpa/driver/solve.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "alpa/base/file.h"
#include "alpa/driver/catch_interrupt.h"
#include "alpa/solver/iopddl.h"

namespace alpa::driver {
namespace {

constexpr double kForOutput = 0.1;  // of the time limit, for writing the answer

// Whole numbers without a point or an exponent, as they came in.
std::string FormatCost(double cost) {
  if (!std::isfinite(cost)) return "none";
  return cost == std::floor(cost) && std::fabs(cost) < 1e15 ? fmt::format("{:.0f}", cost)
                                                            : fmt::format("{:.10g}", cost);
}

nlohmann::ordered_json Number(double x) {
  if (!std::isfinite(x)) return nullptr;
  if (x == std::floor(x) && std::fabs(x) < 1e15) return static_cast<int64_t>(x);
  return x;
}

Status CheckOptions(const SolveCommand& command) {
  if (!(command.time_limit > 0)) {
    return Error{Code::kInvalidArgument, fmt::format("--time-limit {} is not above 0", command.time_limit), ""};
  }
  if (!command.out.empty()) ALPA_RETURN_IF_ERROR(CheckWritable(command.out));
  return Ok();
}

}  // namespace

void SolveProgress::Update(const solver::Progress& progress) {
  if (!line_.Due()) return;
  std::string line = fmt::format("{:7.1f} s  {:<6}  cost {}  bound {}", progress.elapsed.value, progress.phase,
                                 FormatCost(progress.cost), FormatCost(progress.bound));
  if (std::isfinite(progress.cost) && progress.cost > 0) {
    line += fmt::format("  gap {:.3f} %", 100 * (progress.cost - progress.bound) / progress.cost);
  }
  line_.Show(std::move(line));
}

std::string SolutionJson(const solver::Problem& problem, const solver::Solution& solution) {
  nlohmann::ordered_json json;
  json["name"] = problem.name;
  json["status"] = solver::Name(solution.status);
  json["cost"] = Number(solution.cost);
  json["bound"] = Number(solution.bound);
  json["gap"] = solution.gap;
  json["assignment"] = solution.assignment;
  json["peak"] = {{"usage", solution.peak.usage}, {"time", solution.peak.time}};
  json["usage_limit"] = problem.usage_limit ? nlohmann::ordered_json(*problem.usage_limit) : nullptr;
  json["least_peak_bound"] = solution.least_peak_bound;
  json["work"] = solution.work;
  json["seconds"] = solution.elapsed.value;
  // Names come from files: what is no UTF-8 in them is replaced.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string SolutionText(const solver::Problem& problem, const solver::Solution& solution) {
  std::string text =
      fmt::format("problem   {}: {} nodes, {} edges\n", problem.name, problem.nodes.size(), problem.edges.size());
  const auto usage = [&](int64_t amount, int64_t time) { return fmt::format("{} at time {}", amount, time); };
  switch (solution.status) {
    case solver::SolveStatus::kOptimal:
    case solver::SolveStatus::kFeasible:
      text += fmt::format("cost      {}\n", FormatCost(solution.cost));
      if (solution.status == solver::SolveStatus::kOptimal) {
        text += "bound     the same: this is the best there is (proven)\n";
      } else {
        text += fmt::format("bound     {}: no assignment costs less (gap {:.3f} %)\n", FormatCost(solution.bound),
                            100 * solution.gap);
      }
      if (problem.usage_limit) {
        text += fmt::format("memory    {}; limit {}\n", usage(solution.peak.usage, solution.peak.time),
                            *problem.usage_limit);
      }
      break;
    case solver::SolveStatus::kInfeasible:
    case solver::SolveStatus::kUnknown: {
      const bool proven = solution.status == solver::SolveStatus::kInfeasible;
      if (solution.assignment.empty()) {
        text +=
            proven ? "no assignment is allowed, whatever the memory (proven)\n" : "no allowed assignment was found\n";
        break;
      }
      text += fmt::format("{}, limit {}\n", proven ? "nothing fits (proven)" : "nothing that fits was found",
                          problem.usage_limit.value_or(0));
      text += fmt::format("memory    least found {}; no assignment needs less than {}\n",
                          usage(solution.peak.usage, solution.peak.time), solution.least_peak_bound);
      break;
    }
  }
  text += fmt::format("time      {}\n", ToString(solution.elapsed));
  return text;
}

Status Solve(const SolveCommand& command) {
  const auto start = std::chrono::steady_clock::now();
  ALPA_RETURN_IF_ERROR(CheckOptions(command));
  ALPA_TRY(const solver::Problem problem, solver::ReadIopddl(command.problem));
  solver::SolveOptions options;
  const std::chrono::duration<double> read = std::chrono::steady_clock::now() - start;
  options.time_limit = Seconds(std::max(command.time_limit - read.count() - kForOutput, 0.1 * command.time_limit));
  options.threads = command.threads;
  options.seed = command.seed;
  options.work_limit = command.work_limit;
  options.gap = command.gap;
  solver::Solution solution;
  {
    const CatchInterrupt interrupt;
    options.cancelled = [&] { return interrupt.caught(); };
    SolveProgress progress(report::StderrScreen());
    if (!command.quiet) {
      options.progress = [&](solver::Progress now) {
        now.elapsed += Seconds(read.count());
        progress.Update(now);
      };
    }
    solution = solver::Solve(problem, options);
  }
  solution.elapsed += Seconds(read.count());
  const std::string json = SolutionJson(problem, solution);
  if (!command.out.empty()) ALPA_RETURN_IF_ERROR(WriteFileAtomic(command.out, json));
  std::fputs(command.json ? json.c_str() : SolutionText(problem, solution).c_str(), stdout);
  return Ok();
}

}  // namespace alpa::driver
