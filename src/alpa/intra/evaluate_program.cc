#include "alpa/intra/evaluate_program.h"

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

#include "alpa/sharding/reshard.h"

namespace alpa::intra {
namespace {

class Evaluator {
 public:
  Evaluator(const SizedProgram& sized, const ProgramToPrice& program, const CandidateTable& table,
            const BuiltProblem& built, const std::vector<int32_t>& assignment, const cost::Model& model)
      : sized_(sized),
        module_(sized.module),
        program_(program),
        table_(table),
        built_(built),
        assignment_(assignment),
        model_(model) {}

  ProgramCost Evaluate(const std::vector<std::optional<sharding::Spec>>& border_specs) {
    for (size_t n = 0; n < built_.op_of_node.size(); ++n) AddOp(n);
    for (size_t o = 0; o < module_.outputs.size(); ++o) AddOutput(o, border_specs[o]);
    AddMemory();
    return cost_;
  }

 private:
  Pass PassOf(ir::OpId op) const { return program_.passes[static_cast<size_t>(op)]; }
  double& SecondsOfPass(ir::OpId op) { return cost_.seconds[static_cast<size_t>(PassOf(op))]; }
  double& SecondsPerStep() { return cost_.seconds[static_cast<size_t>(Pass::kUpdate)]; }
  int NodeOf(ir::ValueId v) const { return built_.node_of_op[static_cast<size_t>(module_.value(v).producer)]; }
  const OpClass& ClassOf(size_t node) const { return table_.op_class(table_.class_of(built_.op_of_node[node])); }
  const Candidate& Chosen(size_t node) const {
    return ClassOf(node).candidates[static_cast<size_t>(assignment_[node])];
  }
  int SpecIdOf(ir::ValueId v) const {
    return Chosen(static_cast<size_t>(NodeOf(v))).results[static_cast<size_t>(module_.value(v).index)];
  }

  double ReshardSeconds(const sharding::Layout& from, const sharding::Spec& to, const ir::Shape& shape) const {
    double seconds = 0;
    for (const auto& step : sharding::Reshard(from, to, shape, model_.mesh))
      seconds += SecondsOf(model_, step.collectives);
    return seconds;
  }

  // As in the decoder of plans: what several readers in one program want alike is brought once.
  double Bring(ir::ValueId value, int to, Pass pass) {
    const int from = SpecIdOf(value);
    if (from == to || !brought_.insert({value, to, program_.ProgramOf(pass)}).second) return 0;
    const SpecSpace& space = table_.space(value);
    return ReshardSeconds({space.spec(from), {}, sharding::Combiner::kSum}, space.spec(to), module_.shape(value));
  }

  void AddOp(size_t node) {
    const ir::OpId id = built_.op_of_node[node];
    const ir::Op& op = module_.op(id);
    const OpWork& work = sized_.work[static_cast<size_t>(id)];
    const OpClass& op_class = ClassOf(node);
    const Candidate& candidate = Chosen(node);
    const sharding::Strategy& strategy = op_class.strategies[static_cast<size_t>(candidate.strategy)];
    double& seconds = SecondsOfPass(id);
    seconds += ComputeSeconds(module_, sized_.lifetimes, model_, op, strategy, work);
    for (const sharding::Collective& halo : strategy.halo) {
      const Bytes bytes(static_cast<int64_t>(static_cast<double>(halo.bytes.value) * sized_.halo_scale));
      seconds += cost::CollectiveTime(model_, halo.kind, cost::MaskOf(halo.axes), bytes).value;
    }
    for (size_t r = 0; r < op.results.size(); ++r) {
      const sharding::Layout& layout = strategy.results[r];
      if (layout.partial.empty()) continue;
      const bool late = candidate.whole_runs < work.runs;
      const ir::Shape shape = late ? SumShape(module_.shape(op.results[r]), work) : module_.shape(op.results[r]);
      const sharding::Spec& spec = table_.space(op.results[r]).spec(candidate.results[r]);
      (late ? SecondsPerStep() : seconds) += ReshardSeconds(layout, spec, shape);
      if (late && !IsScalarLike(shape))
        cost_.joined += static_cast<double>(sharding::ShardShape(spec, shape, model_.mesh).bytes().value);
    }
    if (op.kind == ir::OpKind::kParameter) return;
    for (size_t o = 0; o < op.operands.size(); ++o) {
      if (table_.HasLayout(op.operands[o])) seconds += Bring(op.operands[o], candidate.operands[o], PassOf(id));
    }
  }

  void AddOutput(size_t o, const std::optional<sharding::Spec>& border) {
    const ir::ValueId value = module_.outputs[o];
    if (!table_.HasLayout(value)) return;
    const SpecSpace& space = table_.space(value);
    const ir::StepOutput& output = sized_.signature.outputs[o];
    if (border) {
      const ir::OpId producer = module_.value(value).producer;
      SecondsOfPass(producer) += Bring(value, space.id(*border), PassOf(producer));
    } else if (output.role == ir::OutputRole::kUpdatedState) {
      const ir::ValueId state = module_.inputs[static_cast<size_t>(output.updates)];
      if (module_.shape(state) != module_.shape(value)) return;  // as in BuildProblem
      SecondsPerStep() += Bring(value, SpecIdOf(state), Pass::kUpdate);
    }
  }

  // Bytes on each device of what op `node` keeps in memory, with the shapes of this size.
  double UsageOf(size_t node) const {
    const ir::Op& op = module_.op(built_.op_of_node[node]);
    const Candidate& candidate = Chosen(node);
    double bytes = 0;
    for (size_t r = 0; r < op.results.size(); ++r) {
      const ir::ValueId v = op.results[r];
      const solver::Interval& live = sized_.lifetimes[static_cast<size_t>(v)].live;
      if (live.begin >= live.end || candidate.results[r] < 0) continue;
      const OpWork& work = sized_.work[static_cast<size_t>(built_.op_of_node[node])];
      const ir::Shape shape = SumShape(module_.shape(v), work);
      const auto parts = [&](int id) {
        return sharding::ShardShape(table_.space(v).spec(id), shape, model_.mesh).bytes().value;
      };
      // Sums that become whole once per step lie as the op makes them until then.
      const auto& layout = ClassOf(node).strategies[static_cast<size_t>(candidate.strategy)].results[r];
      const bool late = !layout.partial.empty() && candidate.whole_runs < work.runs;
      const int lies = late ? table_.space(v).id(layout.spec) : candidate.results[r];
      if (lies >= 0) bytes += static_cast<double>(parts(lies));
    }
    return bytes;
  }

  void AddMemory() {
    const std::vector<MemoryKind> kinds = MemoryKinds(program_, sized_.lifetimes);
    // Changes of what is transient, by position.
    std::vector<double> change(module_.ops.size() + 1, 0);
    for (size_t n = 0; n < built_.op_of_node.size(); ++n) {
      const auto id = static_cast<size_t>(built_.op_of_node[n]);
      if (kinds[id] == MemoryKind::kNone) continue;
      const double bytes = UsageOf(n);
      if (kinds[id] == MemoryKind::kState) cost_.state += bytes;
      if (kinds[id] == MemoryKind::kKept) cost_.activation += bytes;
      if (kinds[id] != MemoryKind::kTransient) continue;
      const solver::Interval live = LiveOf(module_.ops[id], sized_.lifetimes);
      change[static_cast<size_t>(live.begin)] += bytes;
      change[static_cast<size_t>(std::min<int64_t>(live.end, static_cast<int64_t>(module_.ops.size())))] -= bytes;
    }
    double now = 0;
    for (const double c : change) {
      now += c;
      cost_.workspace = std::max(cost_.workspace, now);
    }
    for (size_t i = 0; i < module_.inputs.size(); ++i) {
      const int node = NodeOf(module_.inputs[i]);
      const bool enters = sized_.signature.inputs[i].role == ir::InputRole::kBatch &&
                          program_.inputs[i] != Border::kCotangent && node >= 0 &&
                          program_.batch_dims[static_cast<size_t>(module_.inputs[i])] >= 0;
      if (enters) cost_.border += UsageOf(static_cast<size_t>(node));
    }
  }

  const SizedProgram& sized_;
  const ir::Module& module_;
  const ProgramToPrice& program_;
  const CandidateTable& table_;
  const BuiltProblem& built_;
  const std::vector<int32_t>& assignment_;
  const cost::Model& model_;
  std::set<std::tuple<ir::ValueId, int, Pass>> brought_;
  ProgramCost cost_;
};

}  // namespace

ProgramCost EvaluateProgram(const SizedProgram& sized, const ProgramToPrice& program, const CandidateTable& table,
                            const BuiltProblem& built, const std::vector<int32_t>& assignment,
                            const std::vector<std::optional<sharding::Spec>>& border_specs, const cost::Model& model) {
  return Evaluator(sized, program, table, built, assignment, model).Evaluate(border_specs);
}

std::optional<sharding::Spec> BorderSpec(const ProgramToPrice& program, const CandidateTable& table, ir::ValueId v,
                                         const cost::Model& model, cost::AxisMask mask) {
  if (!table.HasLayout(v)) return std::nullopt;
  const int dim = program.batch_dims[static_cast<size_t>(v)];
  sharding::Spec spec;
  spec.dims.resize(static_cast<size_t>(program.module->shape(v).rank()));
  for (size_t a = 0; dim >= 0 && a < model.mesh.shape.size(); ++a) {
    if ((mask >> a & 1) != 0) spec.dims[static_cast<size_t>(dim)].push_back(static_cast<int>(a));
  }
  if (table.space(v).id(spec) < 0) return std::nullopt;
  return spec;
}

std::vector<char> HandedOver(const ProgramToPrice& program) {
  std::vector<char> handed_over;
  for (const Border border : program.outputs) handed_over.push_back(border != Border::kNone ? 1 : 0);
  return handed_over;
}

int64_t ForwardEnd(const ProgramToPrice& program) {
  int64_t end = 0;
  for (size_t i = 0; i < program.passes.size(); ++i) {
    if (program.passes[i] == Pass::kForward && program.module->ops[i].kind != ir::OpKind::kParameter)
      end = static_cast<int64_t>(i) + 1;
  }
  return end;
}

std::vector<MemoryKind> MemoryKinds(const ProgramToPrice& program, const std::vector<Lifetime>& lifetimes) {
  const ir::Module& module = *program.module;
  const int64_t forward_end = ForwardEnd(program);
  std::vector<MemoryKind> kinds(module.ops.size(), MemoryKind::kNone);
  std::vector<char> is_state(module.ops.size(), 0);
  std::vector<char> is_cotangent(module.ops.size(), 0);
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    const auto op = static_cast<size_t>(module.value(module.inputs[i]).producer);
    is_state[op] = program.signature->inputs[i].role != ir::InputRole::kBatch;
    is_cotangent[op] = program.inputs[i] == Border::kCotangent;
  }
  for (size_t id = 0; id < kinds.size(); ++id) {
    const ir::Op& op = module.ops[id];
    const solver::Interval live = LiveOf(op, lifetimes);
    if (live.begin >= live.end) continue;
    const OpWork& work = program.work[id];
    const bool batch = std::any_of(op.results.begin(), op.results.end(),
                                   [&](ir::ValueId v) { return program.batch_dims[static_cast<size_t>(v)] >= 0; });
    if (is_state[id] != 0 || (work.accumulates && work.runs > 1)) {
      kinds[id] = MemoryKind::kState;
    } else if (is_cotangent[id] == 0 && batch && static_cast<int64_t>(id) < forward_end && live.end > forward_end) {
      kinds[id] = MemoryKind::kKept;
    } else {
      kinds[id] = MemoryKind::kTransient;
    }
  }
  return kinds;
}

}  // namespace alpa::intra
