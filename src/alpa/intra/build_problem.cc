#include "alpa/intra/build_problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>

namespace alpa::intra {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Cost tables by what they follow from: the classes at both ends, and which result goes into which operand.
class TableCache {
 public:
  explicit TableCache(solver::Problem* problem) : problem_(problem) {}

  template <typename Make>
  int32_t Get(const std::tuple<int, int, int, int>& key, const Make& make) {
    const auto [it, inserted] = ids_.emplace(key, static_cast<int32_t>(problem_->tables.size()));
    if (inserted) problem_->tables.push_back(make());
    return it->second;
  }

 private:
  solver::Problem* problem_;
  std::map<std::tuple<int, int, int, int>, int32_t> ids_;
};

// The cost of bringing result `result` of each candidate of `from` into the spec that `wanted` names for each of `to`.
template <typename Wanted>
solver::CostTable ReshardTable(const OpClass& from, size_t result, const OpClass& to, const Wanted& wanted,
                               const SpecSpace& space, double runs) {
  solver::CostTable table{static_cast<int32_t>(from.candidates.size()), static_cast<int32_t>(to.candidates.size()), {}};
  table.costs.reserve(from.candidates.size() * to.candidates.size());
  for (const Candidate& a : from.candidates) {
    for (const Candidate& b : to.candidates)
      table.costs.push_back(runs * space.reshard_seconds(a.results[result], wanted(b)));
  }
  return table;
}

class Builder {
 public:
  Builder(const ir::Module& module, const ir::StepSignature& signature, const std::vector<Lifetime>& lifetimes,
          const CandidateTable& table, const std::vector<OpWork>& work, const cost::Model& model,
          const ProblemOptions& options)
      : module_(module),
        signature_(signature),
        lifetimes_(lifetimes),
        table_(table),
        work_(work),
        model_(model),
        options_(options),
        cache_(&built_.problem) {}

  Result<BuiltProblem> Build() && {
    built_.problem.name = module_.name;
    if (options_.memory) built_.problem.usage_limit = options_.memory->value;
    AddNodes();
    AddOperandEdges();
    AddOutputs();
    ALPA_RETURN_IF_ERROR(Restrict());
    return std::move(built_);
  }

 private:
  int NodeOf(ir::ValueId value) const { return built_.node_of_op[static_cast<size_t>(module_.value(value).producer)]; }
  const OpClass& ClassOfNode(int node) const {
    return table_.op_class(table_.class_of(built_.op_of_node[static_cast<size_t>(node)]));
  }

  void AddNodes() {
    built_.node_of_op.assign(module_.ops.size(), -1);
    for (size_t i = 0; i < module_.ops.size(); ++i) {
      const int id = table_.class_of(static_cast<ir::OpId>(i));
      if (id < 0) continue;
      built_.node_of_op[i] = static_cast<int>(built_.op_of_node.size());
      built_.op_of_node.push_back(static_cast<ir::OpId>(i));
      solver::Node node;
      bool uses = false;
      for (const Candidate& c : table_.op_class(id).candidates) {
        node.costs.push_back(c.compute + c.communication);
        uses = uses || c.usage > 0;
      }
      if (uses) {
        const int64_t copies = options_.copies.empty() ? 1 : options_.copies[i];
        for (const Candidate& c : table_.op_class(id).candidates) node.usages.push_back(copies * c.usage);
        node.live = LiveOf(module_.ops[i], lifetimes_);
      }
      built_.problem.nodes.push_back(std::move(node));
    }
  }

  void AddEdge(int from, int to, int32_t table) { built_.problem.edges.push_back({from, to, table}); }

  void AddOperandEdges() {
    for (size_t i = 0; i < module_.ops.size(); ++i) {
      const int to = built_.node_of_op[i];
      if (to < 0) continue;
      const ir::Op& op = module_.ops[i];
      for (size_t o = 0; o < op.operands.size(); ++o) {
        const ir::ValueId value = op.operands[o];
        if (!table_.HasLayout(value)) continue;
        const int from = NodeOf(value);
        ALPA_CHECK(from >= 0);
        const auto result = static_cast<size_t>(module_.value(value).index);
        const OpClass& a = ClassOfNode(from);
        const OpClass& b = ClassOfNode(to);
        const auto runs = static_cast<double>(work_[i].runs);
        const auto key = std::tuple(table_.class_of(module_.value(value).producer), static_cast<int>(result),
                                    table_.class_of(static_cast<ir::OpId>(i)), static_cast<int>(o));
        AddEdge(from, to, cache_.Get(key, [&] {
          return ReshardTable(
              a, result, b, [&](const Candidate& c) { return c.operands[o]; }, table_.space(value), runs);
        }));
      }
    }
  }

  void AddOutputs() {
    for (size_t o = 0; o < module_.outputs.size(); ++o) {
      const ir::ValueId value = module_.outputs[o];
      if (!table_.HasLayout(value)) continue;
      const int from = NodeOf(value);
      const auto result = static_cast<size_t>(module_.value(value).index);
      if (!options_.handed_over.empty() && options_.handed_over[o]) HandOver(value, *options_.handed_over[o]);
      const ir::StepOutput& output = signature_.outputs[o];
      if (output.role != ir::OutputRole::kUpdatedState) continue;  // results stay as their op leaves them
      const ir::ValueId input = module_.inputs[static_cast<size_t>(output.updates)];
      const int to = NodeOf(input);
      if (to < 0 || to == from) continue;
      // State that has the batch as a dimension, in the program of a microbatch: its layouts are not those of the part.
      if (module_.shape(input) != module_.shape(value)) continue;
      const auto key = std::tuple(table_.class_of(module_.value(value).producer), static_cast<int>(result),
                                  table_.class_of(module_.value(input).producer), -1);
      AddEdge(from, to, cache_.Get(key, [&] {
        return ReshardTable(
            ClassOfNode(from), result, ClassOfNode(to), [](const Candidate& c) { return c.results[0]; },
            table_.space(value), 1);
      }));
    }
  }

  void HandOver(ir::ValueId value, const sharding::Spec& spec) {
    const SpecSpace& space = table_.space(value);
    const auto node = static_cast<size_t>(NodeOf(value));
    const auto result = static_cast<size_t>(module_.value(value).index);
    const auto runs = static_cast<double>(work_[static_cast<size_t>(module_.value(value).producer)].runs);
    std::vector<double>& costs = built_.problem.nodes[node].costs;
    const OpClass& op_class = ClassOfNode(static_cast<int>(node));
    for (size_t c = 0; c < costs.size(); ++c)
      costs[c] += runs * space.reshard_seconds(op_class.candidates[c].results[result], space.id(spec));
  }

  // Pins, and the restrictions of heuristics: what is not allowed costs infinitely much.
  Status Restrict() {
    for (const auto& [value, spec] : options_.pins) {
      if (!table_.HasLayout(value)) continue;
      const int id = table_.space(value).id(spec);
      if (!Keep(value, {id})) {
        return Error{
            Code::kInvalidArgument,
            fmt::format("the pin {} cannot be met: {} has no such strategy", sharding::ToString(spec, model_.mesh),
                        ir::Describe(module_, module_.producer(value))),
            "pin inputs rather than the results of operations, or choose a spec that the operation can produce"};
      }
    }
    for (size_t n = 0; options_.split_all_products && n < built_.op_of_node.size(); ++n)
      SplitProduct(static_cast<int>(n));
    for (const auto& [value, ids] : options_.allowed) {
      if (table_.HasLayout(value)) Keep(value, ids);
    }
    return Ok();
  }

  void SplitProduct(int node) {
    const ir::OpKind kind = module_.op(built_.op_of_node[static_cast<size_t>(node)]).kind;
    if (kind != ir::OpKind::kDot && kind != ir::OpKind::kConvolution) return;
    const OpClass& c = ClassOfNode(node);
    int64_t most = 1;
    const auto parallelism = [&](const Candidate& candidate) {
      return c.strategies[static_cast<size_t>(candidate.strategy)].parallelism;
    };
    for (const Candidate& candidate : c.candidates) most = std::max(most, parallelism(candidate));
    auto& costs = built_.problem.nodes[static_cast<size_t>(node)].costs;
    for (size_t i = 0; i < costs.size(); ++i) {
      if (parallelism(c.candidates[i]) < most) costs[i] = kInfinity;
    }
  }

  // Forbids all candidates that leave `value` in another spec; changes nothing and says false when none would be left.
  bool Keep(ir::ValueId value, const std::vector<int>& ids) {
    const int node = NodeOf(value);
    const auto result = static_cast<size_t>(module_.value(value).index);
    const OpClass& c = ClassOfNode(node);
    auto& costs = built_.problem.nodes[static_cast<size_t>(node)].costs;
    const auto keeps = [&](size_t i) {
      return std::find(ids.begin(), ids.end(), c.candidates[i].results[result]) != ids.end();
    };
    bool any = false;
    for (size_t i = 0; i < costs.size(); ++i) any = any || (keeps(i) && costs[i] < kInfinity);
    if (!any) return false;
    for (size_t i = 0; i < costs.size(); ++i) {
      if (!keeps(i)) costs[i] = kInfinity;
    }
    return true;
  }

  const ir::Module& module_;
  const ir::StepSignature& signature_;
  const std::vector<Lifetime>& lifetimes_;
  const CandidateTable& table_;
  const std::vector<OpWork>& work_;
  const cost::Model& model_;
  const ProblemOptions& options_;
  BuiltProblem built_;
  TableCache cache_;
};

}  // namespace

Result<BuiltProblem> BuildProblem(const ir::Module& module, const ir::StepSignature& signature,
                                  const std::vector<Lifetime>& lifetimes, const CandidateTable& table,
                                  const std::vector<OpWork>& work, const cost::Model& model,
                                  const ProblemOptions& options) {
  return Builder(module, signature, lifetimes, table, work, model, options).Build();
}

}  // namespace alpa::intra
