#include "alpa/intra/price_program.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "alpa/intra/build_problem.h"
#include "alpa/intra/evaluate_program.h"
#include "alpa/intra/lifetimes.h"
#include "alpa/solver/solve.h"

namespace alpa::intra {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kAllForMemory =
    30;  // times the price at which the fastest solution's memory costs as much as its time

std::vector<Lifetime> LifetimesOf(const ProgramToPrice& program, const ir::Module& module,
                                  const std::vector<OpWork>& work) {
  std::vector<char> accumulates(work.size(), 0);
  for (size_t i = 0; i < work.size(); ++i) accumulates[i] = work[i].accumulates && work[i].runs > 1;
  return FindLifetimes(module, *program.signature, accumulates, HandedOver(program));
}

class Pricer {
 public:
  Pricer(const ProgramToPrice& program, const cost::Model& model, const PriceOptions& options)
      : program_(program),
        module_(*program.module),
        model_(model),
        options_(options),
        lifetimes_(LifetimesOf(program, module_, program.work)),
        small_lifetimes_(LifetimesOf(program, *program.small, program.small_work)),
        far_lifetimes_(program.far == nullptr ? std::vector<Lifetime>()
                                              : LifetimesOf(program, *program.far, program.far_work)),
        table_(module_, lifetimes_, program.work, model) {
    Result<BuiltProblem> built =
        BuildProblem(module_, *program.signature, lifetimes_, table_, program.work, model, ProblemOptions{});
    ALPA_CHECK(built.ok());
    built_ = *std::move(built);
    for (const solver::Node& node : built_.problem.nodes) costs_.push_back(node.costs);
    MeasureMemory();
  }

  std::vector<ProgramPrice> Price() {
    std::vector<ProgramPrice> prices;
    const auto masks = cost::AxisMask{1} << model_.mesh.shape.size();
    for (cost::AxisMask mask = 0; mask < masks; ++mask) {
      int64_t parts = 1;
      bool pointless = false;
      for (size_t a = 0; a < model_.mesh.shape.size(); ++a) {
        if ((mask >> a & 1) == 0) continue;
        parts *= model_.mesh.shape[a];
        pointless = pointless || model_.mesh.shape[a] == 1;
      }
      if (options_.batch_axes && mask != *options_.batch_axes) continue;
      if (pointless || program_.examples % parts != 0 || program_.small_examples % parts != 0) continue;
      PriceSplit(mask, parts, &prices);
    }
    return prices;
  }

 private:
  // Bytes by node and candidate, in state and in what is kept.
  void MeasureMemory() {
    const std::vector<MemoryKind> kinds = MemoryKinds(program_, lifetimes_);
    for (size_t n = 0; n < built_.op_of_node.size(); ++n) {
      memory_.emplace_back();
      const MemoryKind kind = kinds[static_cast<size_t>(built_.op_of_node[n])];
      if (kind != MemoryKind::kState && kind != MemoryKind::kKept) continue;
      const double copies = kind == MemoryKind::kKept ? options_.kept_microbatches : 1;
      for (const int64_t usage : built_.problem.nodes[n].usages)
        memory_[n].push_back(copies * static_cast<double>(usage));
    }
  }

  // Whether every part of the batch that spec `id` of `v` makes stays whole for any multiple of `parts` examples.
  bool Divides(ir::ValueId v, int id, int64_t parts) const {
    const int dim = program_.batch_dims[static_cast<size_t>(v)];
    if (dim < 0 || id < 0) return true;
    const int64_t extent = module_.shape(v).dims[static_cast<size_t>(dim)];
    const int64_t per_example = extent / program_.examples;
    const int64_t split = sharding::Parts(table_.space(v).spec(id), dim, model_.mesh);
    return extent % program_.examples == 0 ? per_example * parts % split == 0 : split == 1;
  }

  bool Allowed(const ir::Op& op, const Candidate& c, int64_t parts) const {
    for (size_t i = 0; i < op.operands.size(); ++i) {
      if (!Divides(op.operands[i], c.operands[i], parts)) return false;
    }
    for (size_t r = 0; r < op.results.size(); ++r) {
      if (!Divides(op.results[r], c.results[r], parts)) return false;
    }
    return true;
  }

  // Node costs with borders as `mask` says; false when some node has nothing left.
  bool Restrict(cost::AxisMask mask, int64_t parts, std::vector<std::vector<double>>* costs) {
    costs->clear();
    for (size_t n = 0; n < built_.op_of_node.size(); ++n) {
      const ir::Op& op = module_.op(built_.op_of_node[n]);
      const OpClass& op_class = ClassOf(n);
      std::vector<double> cost = costs_[n];
      for (size_t c = 0; c < cost.size(); ++c) {
        if (!Allowed(op, op_class.candidates[c], parts)) cost[c] = kInfinity;
      }
      costs->push_back(std::move(cost));
    }
    for (size_t i = 0; i < module_.inputs.size(); ++i) {
      const ir::ValueId v = module_.inputs[i];
      if (program_.inputs[i] == Border::kNone || !table_.HasLayout(v)) continue;
      const std::optional<sharding::Spec> spec = BorderSpec(program_, table_, v, model_, mask);
      if (!spec) return false;
      const int node = built_.node_of_op[static_cast<size_t>(module_.value(v).producer)];
      const OpClass& op_class = ClassOf(static_cast<size_t>(node));
      const int id = table_.space(v).id(*spec);
      auto& cost = (*costs)[static_cast<size_t>(node)];
      for (size_t c = 0; c < cost.size(); ++c) {
        if (op_class.candidates[c].results[0] != id) cost[c] = kInfinity;
      }
    }
    border_specs_.assign(module_.outputs.size(), std::nullopt);
    for (size_t o = 0; o < module_.outputs.size(); ++o) {
      const ir::ValueId v = module_.outputs[o];
      if (program_.outputs[o] == Border::kNone || !table_.HasLayout(v)) continue;
      border_specs_[o] = BorderSpec(program_, table_, v, model_, mask);
      if (!border_specs_[o]) return false;
      const int id = table_.space(v).id(*border_specs_[o]);
      const ir::OpId producer = module_.value(v).producer;
      const auto node = static_cast<size_t>(built_.node_of_op[static_cast<size_t>(producer)]);
      const auto runs = static_cast<double>(program_.work[static_cast<size_t>(producer)].runs);
      const OpClass& op_class = ClassOf(node);
      const auto result = static_cast<size_t>(module_.value(v).index);
      for (size_t c = 0; c < (*costs)[node].size(); ++c)
        (*costs)[node][c] += runs * table_.space(v).reshard_seconds(op_class.candidates[c].results[result], id);
    }
    return std::all_of(costs->begin(), costs->end(), [](const auto& cost) {
      return std::any_of(cost.begin(), cost.end(), [](double c) { return c < kInfinity; });
    });
  }

  // The best for a price of memory, in seconds per byte; nothing if none is found in time.
  std::optional<ProgramPrice> Solve(const std::vector<std::vector<double>>& costs, double weight) {
    for (size_t n = 0; n < costs.size(); ++n) {
      auto& node = built_.problem.nodes[n];
      node.costs = costs[n];
      for (size_t c = 0; c < memory_[n].size(); ++c) node.costs[c] += weight * memory_[n][c];
    }
    solver::SolveOptions solve;
    solve.time_limit = options_.time_limit;
    solve.threads = 1;
    solve.gap = options_.gap;
    const solver::Solution solution = solver::Solve(built_.problem, solve);
    if (solution.assignment.empty() || solution.cost >= kInfinity) return std::nullopt;
    ProgramPrice price = PriceOf(solution.assignment);
    for (size_t n = 0; n < memory_.size(); ++n)
      price.bytes += memory_[n].empty() ? 0 : memory_[n][static_cast<size_t>(solution.assignment[n])];
    price.step_seconds = solution.cost - weight * price.bytes;
    price.layouts = std::make_shared<const OpLayouts>(LayoutsOf(module_, table_, built_, solution.assignment));
    return price;
  }

  void PriceSplit(cost::AxisMask mask, int64_t parts, std::vector<ProgramPrice>* prices) {
    std::vector<std::vector<double>> costs;
    if (!Restrict(mask, parts, &costs)) return;
    std::optional<ProgramPrice> fastest = Solve(costs, 0);
    if (!fastest) return;
    std::vector<ProgramPrice> hull = {*fastest};
    const double scale = fastest->bytes > 0 ? fastest->step_seconds / fastest->bytes : 0;
    std::optional<ProgramPrice> smallest = scale > 0 ? Solve(costs, kAllForMemory * scale) : std::nullopt;
    if (smallest && smallest->bytes < fastest->bytes * (1 - options_.least_gain)) {
      hull.push_back(*smallest);
      // Between neighbours: the best for the price at which they are equally good.
      size_t i = 0;
      for (int tries = 0; i + 1 < hull.size() && tries < options_.between; ++tries) {
        const ProgramPrice &a = hull[i], &b = hull[i + 1];
        const double weight = (b.step_seconds - a.step_seconds) / (a.bytes - b.bytes);
        const double equal = a.step_seconds + weight * a.bytes;
        const std::optional<ProgramPrice> between = weight > 0 ? Solve(costs, weight) : std::nullopt;
        const bool gains = between && between->bytes < a.bytes && between->bytes > b.bytes &&
                           between->step_seconds + weight * between->bytes < equal * (1 - options_.least_gain);
        if (!gains) {
          ++i;
          continue;
        }
        hull.insert(hull.begin() + static_cast<std::ptrdiff_t>(i) + 1, *between);
        // Next where the two are further apart.
        const bool first = hull[i].bytes - hull[i + 1].bytes > hull[i + 1].bytes - hull[i + 2].bytes;
        i += first ? 0 : 1;
      }
    }
    for (ProgramPrice& price : hull) {
      price.batch_axes = mask;
      price.batch_parts = parts;
      prices->push_back(price);
    }
  }

  ProgramPrice PriceOf(const std::vector<int32_t>& assignment) const {
    const SizedProgram large{module_, *program_.signature, program_.work, lifetimes_, 1};
    const double ratio = static_cast<double>(program_.small_examples) / static_cast<double>(program_.examples);
    const SizedProgram small{*program_.small, *program_.signature, program_.small_work, small_lifetimes_, ratio};
    const ProgramCost at1 = EvaluateProgram(large, program_, table_, built_, assignment, border_specs_, model_);
    const ProgramCost at0 = EvaluateProgram(small, program_, table_, built_, assignment, border_specs_, model_);
    const auto x0 = static_cast<double>(program_.small_examples);
    const auto x1 = static_cast<double>(program_.examples);
    const auto line = [&](double y0, double y1) { return AffineThrough(x0, y0, x1, y1); };
    const auto pass = [&](Pass p) {
      return line(at0.seconds[static_cast<size_t>(p)], at1.seconds[static_cast<size_t>(p)]);
    };
    ProgramPrice price;
    price.forward = pass(Pass::kForward);
    price.weight = pass(Pass::kWeight);
    price.backward = pass(Pass::kBackward);
    price.backward += price.weight;
    price.per_step = at1.seconds[static_cast<size_t>(Pass::kUpdate)];
    price.state = at1.state;
    price.activation = line(at0.activation, at1.activation);
    price.border = line(at0.border, at1.border);
    price.workspace = line(at0.workspace, at1.workspace);
    price.joined = at1.joined;
    if (program_.far != nullptr) price.far_error = FarError(price, assignment);
    return price;
  }

  double FarError(const ProgramPrice& price, const std::vector<int32_t>& assignment) const {
    const auto x = static_cast<double>(program_.far_examples);
    const SizedProgram far{*program_.far, *program_.signature, program_.far_work, far_lifetimes_,
                           x / static_cast<double>(program_.examples)};
    const ProgramCost cost = EvaluateProgram(far, program_, table_, built_, assignment, border_specs_, model_);
    double seconds = 0;
    for (const Pass p : {Pass::kForward, Pass::kBackward, Pass::kWeight})
      seconds += cost.seconds[static_cast<size_t>(p)];
    const double expected = price.forward.at(x) + price.backward.at(x);
    return expected > 0 ? std::abs(seconds - expected) / expected : 0;
  }

  const OpClass& ClassOf(size_t node) const { return table_.op_class(table_.class_of(built_.op_of_node[node])); }

  const ProgramToPrice& program_;
  const ir::Module& module_;
  const cost::Model& model_;
  const PriceOptions& options_;
  std::vector<Lifetime> lifetimes_, small_lifetimes_, far_lifetimes_;
  CandidateTable table_;
  BuiltProblem built_;
  std::vector<std::vector<double>> costs_;   // by node and candidate, before any restriction
  std::vector<std::vector<double>> memory_;  // by node and candidate; empty: none that counts
  std::vector<std::optional<sharding::Spec>> border_specs_;
};

}  // namespace

Affine AffineThrough(double x0, double y0, double x1, double y1) {
  if (x0 == x1) return {0, x1 > 0 ? y1 / x1 : 0};
  Affine line{0, (y1 - y0) / (x1 - x0)};
  line.fixed = y1 - line.per_example * x1;
  if (line.per_example < 0) return {std::max(y0, y1), 0};
  if (line.fixed < 0) return {0, std::max(x0 > 0 ? y0 / x0 : 0, x1 > 0 ? y1 / x1 : 0)};
  return line;
}

std::vector<ProgramPrice> PriceProgram(const ProgramToPrice& program, const cost::Model& model,
                                       const PriceOptions& options) {
  return Pricer(program, model, options).Price();
}

}  // namespace alpa::intra
