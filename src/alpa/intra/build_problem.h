// From a step and a mesh to a sharding problem (Alpa §4.2).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/intra/candidates.h"
#include "alpa/intra/lifetimes.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"
#include "alpa/solver/problem.h"

namespace alpa::intra {

// A problem whose nodes are the ops that have something to choose, in their order.
struct BuiltProblem {
  solver::Problem problem;
  std::vector<ir::OpId> op_of_node;
  std::vector<int> node_of_op;  // by OpId, -1: none
};

struct ProblemOptions {
  std::optional<Bytes> memory;  // per device
  // Products and convolutions use as many devices as they can: Alpa's assumption, which has no price for repeated work.
  bool split_all_products = false;
  std::map<ir::ValueId, sharding::Spec> pins;  // these values lie like this
  // By output, optional: the spec in which it is handed over to another stage, as often as its op runs.
  std::vector<std::optional<sharding::Spec>> handed_over;
  // By OpId, optional: so many copies of an op's results are in memory at once.
  std::vector<int64_t> copies;
  // By ValueId, optional: of these results only the listed specs are allowed (heuristics to compare with).
  std::map<ir::ValueId, std::vector<int>> allowed;  // numbers in the value's SpecSpace
};

// Nodes: one per op of `table` with a class, candidates as strategies; costs are seconds of compute and communication
// of the op. Edges: bringing an operand from the spec its producer leaves it in into the one its reader needs; bringing
// a new state value into the layout of the input it replaces. Results other than state stay as their op leaves them.
// kInvalidArgument when pins leave an op nothing to choose.
Result<BuiltProblem> BuildProblem(const ir::Module& module, const ir::StepSignature& signature,
                                  const std::vector<Lifetime>& lifetimes, const CandidateTable& table,
                                  const std::vector<OpWork>& work, const cost::Model& model,
                                  const ProblemOptions& options);

}  // namespace alpa::intra
