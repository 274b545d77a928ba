// A solution apart from the problem that it solves, to be carried over to a larger program with the same ops.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "alpa/intra/build_problem.h"
#include "alpa/intra/candidates.h"
#include "alpa/ir/module.h"
#include "alpa/sharding/spec.h"

namespace alpa::intra {

// How the ops of a program lie.
struct OpLayouts {
  std::vector<sharding::Spec> specs;  // each once
  // By OpId: of its operands, then of its results, numbers in `specs`; -1: no choice. Empty: the op has none.
  std::vector<std::vector<int16_t>> ops;
};
OpLayouts LayoutsOf(const ir::Module& module, const CandidateTable& table, const BuiltProblem& built,
                    const std::vector<int32_t>& assignment);

// An op lies as op `op` of another program, which has as many operands and results.
struct LiesAs {
  const OpLayouts* layouts = nullptr;  // null: not known
  ir::OpId op = -1;
};

// The candidates for the nodes of `built` that lie as `ops` says, by OpId; where nothing is known, or no candidate lies
// so, one that is cheap. Whether it is allowed and fits is for the solver to find out.
std::vector<int32_t> AssignmentAs(const std::vector<LiesAs>& ops, const ir::Module& module, const CandidateTable& table,
                                  const BuiltProblem& built);

}  // namespace alpa::intra
