// solve_with_cbc PROBLEM SECONDS: CBC on the textbook integer program of an IOPDDL problem. Prints cost and seconds in
// CBC.
#include <cstdio>
#include <cstdlib>

#include "alpa/solver/iopddl.h"
#include "cbc.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: solve_with_cbc PROBLEM SECONDS\n", stderr);
    return 2;
  }
  const auto problem = alpa::solver::ReadIopddl(argv[1]);
  if (!problem.ok()) {
    std::fprintf(stderr, "%s\n", alpa::ToString(problem.error()).c_str());
    return 2;
  }
  const alpa::solver::CbcResult result = alpa::solver::SolveWithCbc(*problem, std::atof(argv[2]));
  std::printf("{\"optimal\": %s, \"cost\": %.17g, \"seconds\": %.6f}\n", result.optimal ? "true" : "false", result.cost,
              result.seconds);
  return 0;
}
