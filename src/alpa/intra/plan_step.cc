#include "alpa/intra/plan_step.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <numeric>
#include <set>
#include <tuple>

#include "alpa/intra/build_problem.h"
#include "alpa/intra/methods.h"
#include "alpa/plan/collective_totals.h"

namespace alpa::intra {
namespace {

constexpr std::array<std::string_view, kMethodCount> kMethodNames = {"auto", "data-parallel", "zero-2", "zero-3",
                                                                     "largest-dimension"};

Seconds Since(std::chrono::steady_clock::time_point start) {
  return Seconds(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

// Turns one candidate per node into a plan.
class Decoder {
 public:
  Decoder(const StepToPlan& step, const cost::Model& model, const CandidateTable& table, const BuiltProblem& built,
          const std::vector<int32_t>& assignment)
      : step_(step),
        module_(step.module),
        signature_(step.signature),
        model_(model),
        table_(table),
        built_(built),
        assignment_(assignment) {}

  void Decode(const std::vector<std::optional<sharding::Spec>>& handed_over, PlannedStep* out) {
    plan::Plan& plan = out->plan;
    plan.mesh = model_.mesh;
    for (const ir::ValueId input : module_.inputs) plan.inputs.push_back(SpecOf(input));
    for (size_t o = 0; o < module_.outputs.size(); ++o) {
      const ir::StepOutput& output = signature_.outputs[o];
      plan.outputs.push_back(output.role == ir::OutputRole::kUpdatedState
                                 ? plan.inputs[static_cast<size_t>(output.updates)]
                                 : SpecOf(module_.outputs[o]));
      if (!handed_over.empty() && handed_over[o]) plan.outputs.back() = *handed_over[o];
    }
    plan::Prediction prediction;
    double compute = 0, communication = 0;
    for (size_t n = 0; n < built_.op_of_node.size(); ++n) {
      const ir::Op& op = module_.op(built_.op_of_node[n]);
      OpChoice choice = DecodeOp(op, static_cast<int>(n), &plan);
      compute += choice.compute;
      communication += choice.communication;
      out->choices.push_back(std::move(choice));
    }
    for (size_t o = 0; o < module_.outputs.size(); ++o) {
      const ir::ValueId value = module_.outputs[o];
      if (!table_.HasLayout(value)) continue;
      const bool hands_over = !handed_over.empty() && handed_over[o].has_value();
      const int64_t runs = hands_over ? step_.work[static_cast<size_t>(module_.value(value).producer)].runs : 1;
      const Pass pass = hands_over ? ProgramOf(module_.value(value).producer) : Pass::kUpdate;
      communication += Bring(value, table_.space(value).id(plan.outputs[o]), pass, runs, nullptr);
    }
    prediction.compute = Seconds(compute);
    prediction.communication = Seconds(communication);
    prediction.collectives = totals_.Get();
    plan.prediction = std::move(prediction);
  }

 private:
  void Count(const std::vector<sharding::Collective>& collectives, int64_t runs) {
    for (const sharding::Collective& collective : collectives) totals_.Add(collective, runs);
  }

  int NodeOf(ir::ValueId v) const { return built_.node_of_op[static_cast<size_t>(module_.value(v).producer)]; }
  const Candidate& Chosen(int node) const {
    const int id = table_.class_of(built_.op_of_node[static_cast<size_t>(node)]);
    return table_.op_class(id).candidates[static_cast<size_t>(assignment_[static_cast<size_t>(node)])];
  }
  int SpecIdOf(ir::ValueId v) const { return Chosen(NodeOf(v)).results[static_cast<size_t>(module_.value(v).index)]; }
  sharding::Spec SpecOf(ir::ValueId v) const {
    return table_.HasLayout(v) ? table_.space(v).spec(SpecIdOf(v)) : sharding::Spec{};
  }

  // Of a stage: the program that runs `op`. A step on one mesh is one program.
  Pass ProgramOf(ir::OpId op) const {
    if (step_.stage == nullptr) return Pass::kUpdate;
    const ProgramToPrice& program = step_.stage->program;
    return program.ProgramOf(program.passes[static_cast<size_t>(op)]);
  }

  // Communication in front of a reader. The same array brought into the same spec for several readers in one program is
  // brought once, as XLA's common-subexpression elimination sees to.
  double Bring(ir::ValueId value, int to, Pass program, int64_t runs, std::vector<sharding::Collective>* collectives) {
    const int from = SpecIdOf(value);
    if (from == to || !brought_.insert({value, to, program}).second) return 0;
    std::vector<sharding::Collective> steps = table_.space(value).reshard_collectives(from, to);
    Count(steps, runs);
    if (collectives != nullptr) collectives->insert(collectives->end(), steps.begin(), steps.end());
    return SecondsOf(model_, steps) * static_cast<double>(runs);
  }

  OpChoice DecodeOp(const ir::Op& op, int node, plan::Plan* plan) {
    const OpClass& op_class = table_.op_class(table_.class_of(built_.op_of_node[static_cast<size_t>(node)]));
    const Candidate& candidate = Chosen(node);
    const sharding::Strategy& strategy = op_class.strategies[static_cast<size_t>(candidate.strategy)];
    OpChoice choice;
    choice.op = built_.op_of_node[static_cast<size_t>(node)];
    choice.strategy = sharding::Describe(strategy, op_class.rule, model_.mesh);
    choice.compute = candidate.compute;
    choice.communication = candidate.communication;
    const OpWork& work = step_.work[static_cast<size_t>(choice.op)];
    const int64_t runs = work.runs;
    choice.collectives = strategy.halo;
    Count(strategy.halo, runs);
    for (size_t r = 0; r < op.results.size(); ++r) {
      if (strategy.results[r].partial.empty()) continue;
      const SpecSpace& space = table_.space(op.results[r]);
      const bool late = candidate.whole_runs < runs;
      if (late) plan->sums[plan::ResultName(op, r)] = strategy.results[r].spec;
      const ir::Shape shape = late ? SumShape(space.shape(), work) : space.shape();
      for (const auto& step :
           sharding::Reshard(strategy.results[r], space.spec(candidate.results[r]), shape, model_.mesh)) {
        choice.collectives.insert(choice.collectives.end(), step.collectives.begin(), step.collectives.end());
        Count(step.collectives, candidate.whole_runs);
      }
    }
    if (table_.HasLayout(op.results[0])) choice.result = table_.space(op.results[0]).spec(candidate.results[0]);
    if (op.kind == ir::OpKind::kParameter) return choice;
    for (size_t r = 0; r < op.results.size(); ++r) {
      if (table_.HasLayout(op.results[r]))
        plan->ops[plan::ResultName(op, r)] = table_.space(op.results[r]).spec(candidate.results[r]);
    }
    std::vector<std::optional<sharding::Spec>> operands(op.operands.size());
    bool any = false;
    for (size_t o = 0; o < op.operands.size(); ++o) {
      const ir::ValueId value = op.operands[o];
      if (IsScalarLike(module_.shape(value))) continue;
      if (!table_.HasLayout(value)) {
        operands[o] = strategy.operands[o];
      } else if (candidate.operands[o] != SpecIdOf(value)) {
        operands[o] = table_.space(value).spec(candidate.operands[o]);
        choice.communication += Bring(value, candidate.operands[o], ProgramOf(choice.op), runs, &choice.collectives);
      }
      any = any || operands[o].has_value();
    }
    if (any) plan->operands[op.name] = std::move(operands);
    return choice;
  }

  const StepToPlan& step_;
  const ir::Module& module_;
  const ir::StepSignature& signature_;
  const cost::Model& model_;
  const CandidateTable& table_;
  const BuiltProblem& built_;
  const std::vector<int32_t>& assignment_;
  std::set<std::tuple<ir::ValueId, int, Pass>> brought_;
  plan::CollectiveTotals totals_;
};

// Alternatives for the choices a reader asks about first.
void Explain(const CandidateTable& table, const BuiltProblem& built, const std::vector<int32_t>& assignment,
             size_t count, std::vector<OpChoice>* choices) {
  const std::vector<std::vector<int>> edges = EdgesOfNodes(built.problem);
  std::vector<size_t> order(choices->size());
  std::iota(order.begin(), order.end(), 0);
  std::set<size_t> wanted;
  const auto take = [&](const auto& key) {
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return key((*choices)[a]) > key((*choices)[b]); });
    wanted.insert(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(std::min(count, order.size())));
  };
  take([](const OpChoice& c) { return static_cast<double>(c.bytes.value); });
  take([](const OpChoice& c) { return c.compute + c.communication; });
  for (const size_t n : wanted)
    (*choices)[n].others = Alternatives(table, built, edges, assignment, static_cast<int>(n), 2);
}

// The restrictions that a stage puts on its sharding problem.
void RestrictToStage(const StepToPlan& step, const std::vector<Lifetime>& lifetimes, const CandidateTable& table,
                     const cost::Model& model, ProblemOptions* options) {
  const StageToPlan& stage = *step.stage;
  const auto spec_of = [&](ir::ValueId v) { return BorderSpec(stage.program, table, v, model, stage.batch_axes); };
  for (size_t i = 0; i < step.module.inputs.size(); ++i) {
    const ir::ValueId v = step.module.inputs[i];
    if (stage.program.inputs[i] == Border::kNone || !table.HasLayout(v)) continue;
    const std::optional<sharding::Spec> spec = spec_of(v);
    ALPA_CHECK(spec.has_value(), "the border layout fits");
    options->pins.emplace(v, *spec);
  }
  for (size_t o = 0; o < step.module.outputs.size(); ++o) {
    options->handed_over.emplace_back();
    if (stage.program.outputs[o] != Border::kNone) options->handed_over.back() = spec_of(step.module.outputs[o]);
  }
  for (const MemoryKind kind : MemoryKinds(stage.program, lifetimes))
    options->copies.push_back(kind == MemoryKind::kKept ? stage.in_flight : 1);
}

std::vector<int32_t> FirstThatFits(const std::vector<std::vector<LiesAs>>& starts, const ir::Module& module,
                                   const CandidateTable& table, const BuiltProblem& built) {
  for (const std::vector<LiesAs>& start : starts) {
    std::vector<int32_t> assignment = AssignmentAs(start, module, table, built);
    const bool fits =
        !built.problem.usage_limit || solver::PeakUsage(built.problem, assignment).usage <= *built.problem.usage_limit;
    if (fits && std::isfinite(solver::CostOf(built.problem, assignment))) return assignment;
  }
  return {};
}

Error DoesNotFit(const StepToPlan& step, const solver::Solution& solution, Bytes limit) {
  const auto at =
      static_cast<size_t>(std::clamp<int64_t>(solution.peak.time, 0, static_cast<int64_t>(step.module.ops.size()) - 1));
  const Bytes found(solution.peak.usage);
  const std::string place = fmt::format("at {} ({})", ir::Describe(step.module, step.module.ops[at]),
                                        step.update_ops[at] != 0 ? "update" : "forward or backward");
  const bool proven = solution.status == solver::SolveStatus::kInfeasible;
  return Error{Code::kInvalidArgument,
               fmt::format("no plan {} in {} per device: the least found needs {}, {} too much, {}",
                           proven ? "fits" : "was found that fits", ToString(limit), ToString(found),
                           ToString(Bytes(std::max<int64_t>(0, (found - limit).value))), place),
               "give more memory or devices, or a smaller batch"};
}

}  // namespace

std::string_view Name(Method method) { return kMethodNames[static_cast<size_t>(method)]; }

std::optional<Method> MethodFromName(std::string_view name) {
  for (size_t i = 0; i < kMethodNames.size(); ++i) {
    if (kMethodNames[i] == name) return static_cast<Method>(i);
  }
  return std::nullopt;
}

Result<PlannedStep> PlanStep(const StepToPlan& step, const cost::Model& model, const PlanStepOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  PlannedStep out;
  ProblemOptions problem_options;
  problem_options.memory = options.memory;
  problem_options.split_all_products = options.split_all_products;
  ALPA_TRY(problem_options.pins, ResolvePins(options.pins, step.module, model.mesh));
  for (const auto& [input, spec] : options.inputs) {
    const ir::ValueId value = step.module.inputs[static_cast<size_t>(input)];
    sharding::Spec padded = spec;
    padded.dims.resize(static_cast<size_t>(step.module.shape(value).rank()));
    problem_options.pins[value] = std::move(padded);
  }
  std::vector<char> accumulates(step.work.size(), 0);
  for (size_t i = 0; i < accumulates.size(); ++i) accumulates[i] = step.work[i].accumulates && step.work[i].runs > 1;
  const std::vector<Lifetime> lifetimes =
      FindLifetimes(step.module, step.signature, accumulates,
                    step.stage != nullptr ? HandedOver(step.stage->program) : std::vector<char>());
  const CandidateTable table(step.module, lifetimes, step.work, model);
  if (options.method != Method::kAuto) {
    ALPA_TRY(problem_options.allowed, AllowedSpecs(options.method, step, table, model.mesh));
  }
  if (step.stage != nullptr) RestrictToStage(step, lifetimes, table, model, &problem_options);
  ALPA_TRY(const BuiltProblem built,
           BuildProblem(step.module, step.signature, lifetimes, table, step.work, model, problem_options));
  out.report.build = Since(start);
  solver::SolveOptions solve = options.solve;
  if (step.stage != nullptr) solve.start = FirstThatFits(step.stage->starts, step.module, table, built);
  const solver::Solution solution = solver::Solve(built.problem, solve);
  out.report.solve = solution.elapsed;
  out.report.status = solution.status;
  out.report.cost = solution.cost;
  out.report.bound = solution.bound;
  out.report.gap = solution.gap;
  out.report.nodes = static_cast<int64_t>(built.problem.nodes.size());
  out.report.edges = static_cast<int64_t>(built.problem.edges.size());
  out.report.classes = table.class_count();
  out.report.tables = static_cast<int64_t>(built.problem.tables.size());
  if (solution.status != solver::SolveStatus::kOptimal && solution.status != solver::SolveStatus::kFeasible) {
    if (options.memory) return DoesNotFit(step, solution, *options.memory);
    return Error{Code::kInvalidArgument,
                 "the pins leave no plan: they ask an operation for a layout that it cannot have",
                 "leave out pins of operations one by one; those of inputs can always be met"};
  }
  Decoder(step, model, table, built, solution.assignment).Decode(problem_options.handed_over, &out);
  if (step.stage != nullptr) {
    out.stage = EvaluateProgram({step.module, step.signature, step.work, lifetimes, 1}, step.stage->program, table,
                                built, solution.assignment, problem_options.handed_over, model);
  }
  for (OpChoice& choice : out.choices) {
    const ir::ValueId v = step.module.op(choice.op).results[0];
    if (lifetimes[static_cast<size_t>(v)].materialized) choice.bytes = step.module.shape(v).bytes();
  }
  Explain(table, built, solution.assignment, options.explain, &out.choices);
  plan::Plan& plan = out.plan;
  plan.method = options.method == Method::kAuto ? "intra" : std::string(Name(options.method));
  plan.model = step.module.name;
  plan.model_fingerprint = step.fingerprint;
  plan.prediction->memory = Bytes(solution.peak.usage);
  plan.prediction->cost = solution.cost;
  plan.prediction->bound = solution.bound;
  return out;
}

}  // namespace alpa::intra
