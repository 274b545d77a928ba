#include "alpa/intra/op_layouts.h"

#include <algorithm>
#include <limits>

namespace alpa::intra {
namespace {

class Numbers {
 public:
  explicit Numbers(std::vector<sharding::Spec>* specs) : specs_(*specs) {}
  int16_t Of(const sharding::Spec& spec) {
    const auto at = std::find(specs_.begin(), specs_.end(), spec);
    if (at != specs_.end()) return static_cast<int16_t>(at - specs_.begin());
    specs_.push_back(spec);
    return static_cast<int16_t>(specs_.size() - 1);
  }

 private:
  std::vector<sharding::Spec>& specs_;
};

// How many of the values of `op` lie as `candidate` would have them, results first; -1 if a result does not.
int Likeness(const ir::Op& op, const Candidate& candidate, const CandidateTable& table, const LiesAs& as) {
  const std::vector<int16_t>& numbers = as.layouts->ops[static_cast<size_t>(as.op)];
  if (numbers.size() != op.operands.size() + op.results.size()) return -1;
  const auto alike = [&](ir::ValueId v, int id, int16_t number) {
    if (id < 0 || number < 0) return id < 0 && number < 0;
    return table.space(v).spec(id) == as.layouts->specs[static_cast<size_t>(number)];
  };
  for (size_t r = 0; r < op.results.size(); ++r) {
    if (!alike(op.results[r], candidate.results[r], numbers[op.operands.size() + r])) return -1;
  }
  int count = 0;
  for (size_t o = 0; o < op.operands.size(); ++o)
    count += alike(op.operands[o], candidate.operands[o], numbers[o]) ? 1 : 0;
  return count;
}

}  // namespace

OpLayouts LayoutsOf(const ir::Module& module, const CandidateTable& table, const BuiltProblem& built,
                    const std::vector<int32_t>& assignment) {
  OpLayouts layouts;
  Numbers numbers(&layouts.specs);
  layouts.ops.resize(module.ops.size());
  for (size_t n = 0; n < built.op_of_node.size(); ++n) {
    const ir::OpId id = built.op_of_node[n];
    const ir::Op& op = module.op(id);
    const Candidate& candidate = table.op_class(table.class_of(id)).candidates[static_cast<size_t>(assignment[n])];
    std::vector<int16_t>& out = layouts.ops[static_cast<size_t>(id)];
    const auto add = [&](ir::ValueId v, int spec) {
      out.push_back(spec < 0 ? int16_t{-1} : numbers.Of(table.space(v).spec(spec)));
    };
    for (size_t o = 0; o < op.operands.size(); ++o) add(op.operands[o], candidate.operands[o]);
    for (size_t r = 0; r < op.results.size(); ++r) add(op.results[r], candidate.results[r]);
  }
  return layouts;
}

std::vector<int32_t> AssignmentAs(const std::vector<LiesAs>& ops, const ir::Module& module, const CandidateTable& table,
                                  const BuiltProblem& built) {
  std::vector<int32_t> assignment;
  for (size_t n = 0; n < built.op_of_node.size(); ++n) {
    const ir::OpId id = built.op_of_node[n];
    const std::vector<Candidate>& candidates = table.op_class(table.class_of(id)).candidates;
    const std::vector<double>& costs = built.problem.nodes[n].costs;
    const LiesAs& as = ops[static_cast<size_t>(id)];
    size_t best = 0;
    int most = -2;
    double least = std::numeric_limits<double>::infinity();
    for (size_t c = 0; c < candidates.size(); ++c) {
      const int like = as.layouts == nullptr ? -1 : Likeness(module.op(id), candidates[c], table, as);
      const bool allowed = costs[c] < std::numeric_limits<double>::infinity();
      if (!allowed || like < most || (like == most && costs[c] >= least)) continue;
      best = c;
      most = like;
      least = costs[c];
    }
    assignment.push_back(static_cast<int32_t>(best));
  }
  return assignment;
}

}  // namespace alpa::intra
