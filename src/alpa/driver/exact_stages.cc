#include "alpa/driver/exact_stages.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <tuple>

#include "alpa/driver/stage_costs.h"
#include "alpa/driver/stage_program.h"

namespace alpa::driver {
namespace {

constexpr int64_t kWork = 300'000'000;  // of a solver: some 0.4 seconds
constexpr double kHardlyMore = 0.05;    // of the memory of a device

// The plan of `from` with the names of `to`, which has the same ops.
plan::Plan Renamed(const plan::Plan& plan, const frontend::Segment& from, const frontend::Segment& to) {
  plan::Plan out = plan;
  out.ops.clear();
  out.operands.clear();
  out.sums.clear();
  out.model = to.module.name;
  out.model_fingerprint = ir::Fingerprint(to.module);
  for (size_t i = 0; i < from.module.ops.size(); ++i) {
    const ir::Op& x = from.module.ops[i];
    const ir::Op& y = to.module.ops[i];
    for (size_t r = 0; r < x.results.size(); ++r) {
      const std::string name = plan::ResultName(x, r);
      if (const auto it = plan.ops.find(name); it != plan.ops.end()) out.ops[plan::ResultName(y, r)] = it->second;
      if (const auto it = plan.sums.find(name); it != plan.sums.end()) out.sums[plan::ResultName(y, r)] = it->second;
    }
    if (const auto it = plan.operands.find(x.name); it != plan.operands.end()) out.operands[y.name] = it->second;
  }
  return out;
}

}  // namespace

// Stages that have the same ops in the same order on the same kind of mesh, in microbatches of the same size, and run
// as the same programs.
struct ExactStages::Group {
  using Key = std::tuple<int, int, int, bool, int, bool, int64_t, bool>;
  Key key;
  std::map<int32_t, sharding::Spec> state;  // inputs that lie so
  std::unique_ptr<StageProgram> program;    // of the first of them
  cost::Block block;
  std::optional<intra::PlannedStep> free;   // without a limit of memory
  std::optional<intra::PlannedStep> tight;  // the last one with a limit
  int64_t tight_in_flight = 0;
  bool sized = false;
};

class ExactStages::Solver {
 public:
  explicit Solver(ExactStages* all)
      : loaded_(all->loaded_),
        layering_(all->layering_),
        cluster_(all->cluster_),
        options_(all->options_),
        groups_(all->groups_),
        types_(DeviceTypes(cluster_)) {}

  std::vector<Status> Solve(const std::vector<const inter::FoundPlan*>& found,
                            const std::vector<plan::PipelinePlan*>& plans) {
    for (size_t p = 0; p < found.size(); ++p) jobs_.push_back({*found[p], plans[p], {}, {}});
    for (Job& job : jobs_) Collect(&job);
    std::atomic<size_t> next = 0;
    size_t done = 0;
    std::mutex mutex;
    const auto work = [&] {
      for (size_t g = next++; g < todo_.size(); g = next++) {
        const std::vector<std::pair<Job*, Error>> errors = SolveGroup(&todo_[g]);
        const std::lock_guard lock(mutex);
        for (const auto& [job, error] : errors) {
          if (!job->error) job->error = error;
        }
        ++done;
        if (options_.progress) options_.progress(static_cast<double>(done) / static_cast<double>(todo_.size()));
      }
    };
    const int cores = options_.threads > 0 ? options_.threads : static_cast<int>(std::thread::hardware_concurrency());
    std::vector<std::thread> threads;
    for (int i = 1; i < std::min(cores, static_cast<int>(todo_.size())); ++i) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
    std::vector<Status> out;
    for (const Job& job : jobs_) out.push_back(job.error ? Status(*job.error) : Ok());
    return out;
  }

 private:
  // One plan.
  struct Job {
    const inter::FoundPlan& found;
    plan::PipelinePlan* plan = nullptr;
    std::vector<std::unique_ptr<StageProgram>> segments;  // by stage; null: that of its group
    std::optional<Error> error;
  };
  struct StageOfJob {
    Job* job = nullptr;
    size_t index = 0;
    const inter::Stage& stage() const { return job->found.stages[index]; }
  };
  // A group and the stages that are of it.
  struct Todo {
    Group* group = nullptr;
    std::vector<StageOfJob> stages;
  };

  void Collect(Job* job) {
    for (size_t s = 0; s < job->found.stages.size(); ++s) {
      const inter::Stage& stage = job->found.stages[s];
      const VariantChoice choice = ChoiceOf(stage.variant.id);
      auto program = std::make_unique<StageProgram>();
      program->segment = frontend::ExtractSegment(loaded_.step.module, loaded_.analysis, layering_, stage.first,
                                                  stage.last, choice.recompute);
      const Group::Key key(stage.submesh.hosts, stage.submesh.devices, stage.submesh.type, stage.submesh.rectangle,
                           LayoutId(choice), choice.recompute, job->found.microbatches, WeightApart(job->found));
      const std::map<int32_t, sharding::Spec> state =
          options_.state.empty() ? std::map<int32_t, sharding::Spec>() : options_.state[s];
      const auto known = std::find_if(groups_.begin(), groups_.end(), [&](const auto& g) {
        return g->key == key && g->state == state && frontend::SameOps(g->program->segment, program->segment);
      });
      Group* group = nullptr;
      if (known != groups_.end()) {
        group = known->get();
        job->segments.push_back(std::move(program));  // kept for its names
      } else {
        group = groups_.emplace_back(std::make_unique<Group>()).get();
        group->key = key;
        group->state = state;
        group->block = {stage.first_host, stage.submesh.hosts, stage.first_device, stage.submesh.devices};
        group->program = std::move(program);
        job->segments.push_back(nullptr);
      }
      const auto todo = std::find_if(todo_.begin(), todo_.end(), [&](const Todo& t) { return t.group == group; });
      if (todo == todo_.end()) {
        todo_.push_back({group, {{job, s}}});
      } else {
        todo->stages.push_back({job, s});
      }
    }
  }

  // Bytes per device of what was planned for `planned_for` microbatches in flight. The solver, which sets the memory
  // for whole sums apart all the time, and the sum of the parts each say at most so much.
  static double PeakOf(const intra::PlannedStep& planned, int64_t in_flight, int64_t planned_for) {
    const intra::ProgramCost& cost = planned.stage;
    const double solver = static_cast<double>(planned.plan.prediction->memory.value) +
                          static_cast<double>(in_flight - planned_for) * cost.activation;
    const double parts = cost.state + static_cast<double>(in_flight) * cost.activation + cost.workspace;
    return std::max(cost.state + cost.joined, std::min(solver, parts));
  }

  static bool WeightApart(const inter::FoundPlan& found) { return found.schedule == inter::Schedule::kZbH1; }

  std::optional<Bytes> MemoryOf(const inter::Stage& stage) const {
    if (options_.unlimited_memory) return std::nullopt;
    if (options_.memory) return options_.memory;
    return cluster_.device_types.at(types_[static_cast<size_t>(stage.submesh.type)]).memory;
  }

  Result<intra::PlannedStep> Plan(const Group& group, const StageOfJob& at, int64_t in_flight,
                                  const std::optional<Bytes>& memory) const {
    const inter::Stage& stage = at.stage();
    ALPA_TRY(const cost::Model model,
             cost::MakeModel(cluster_, LogicalMesh(stage.submesh, stage.variant.id), group.block));
    intra::PlanStepOptions options;
    options.memory = memory;
    options.explain = 0;
    options.inputs = group.state;
    options.solve.threads = 1;
    options.solve.gap = options_.gap;
    if (options_.time_limit) {
      options.solve.time_limit = *options_.time_limit;
    } else {
      options.solve.work_limit = kWork;
    }
    options.solve.cancelled = options_.cancelled;
    std::vector<std::vector<intra::LiesAs>> starts;
    if (options_.costs != nullptr) {
      const StageProgram* own = at.job->segments[at.index].get();
      starts = options_.costs->LayoutsOf((own == nullptr ? *group.program : *own).segment, stage.first, stage.last,
                                         stage.submesh, stage.variant.id, at.job->found.microbatches);
    }
    return PlanStage(*group.program, model, ChoiceOf(stage.variant.id).batch_axes, in_flight, options,
                     std::move(starts));
  }

  // What went wrong, with the plans that it went wrong for.
  std::vector<std::pair<Job*, Error>> SolveGroup(Todo* todo) {
    // Stages with most microbatches in flight first.
    std::stable_sort(todo->stages.begin(), todo->stages.end(), [](const StageOfJob& a, const StageOfJob& b) {
      return a.stage().in_flight > b.stage().in_flight;
    });
    std::vector<std::pair<Job*, Error>> errors;
    for (const StageOfJob& at : todo->stages) {
      if (const Status status = SolveStage(todo->group, at); !status.ok()) {
        const Error& error = status.error();
        errors.emplace_back(at.job,
                            Error{error.code, fmt::format("stage {}: {}", at.index, error.message), error.hint});
      }
    }
    return errors;
  }

  Status SolveStage(Group* group, const StageOfJob& at) {
    const inter::Stage& stage = at.stage();
    if (!group->sized) {
      const int64_t microbatches = at.job->found.microbatches;
      ALPA_RETURN_IF_ERROR(SizeProgram(loaded_, microbatches, microbatches, options_.half_sums, group->program.get()));
      group->program->program.weight_apart = WeightApart(at.job->found);
      group->sized = true;
    }
    const std::optional<Bytes> limit = MemoryOf(stage);
    // Where the search already took prices that save memory, the fastest way does not fit.
    const bool saves = limit && ChoiceOf(stage.variant.id).weight_level > 0;
    if (!group->free && !saves) {
      ALPA_TRY(group->free, Plan(*group, at, 1, std::nullopt));
    }
    const double peak = group->free ? PeakOf(*group->free, stage.in_flight, 1) : 0;
    if (group->free && (!limit || peak <= static_cast<double>(limit->value))) {
      Fill(*group, at, *group->free, Bytes(static_cast<int64_t>(peak)));
      return Ok();
    }
    // A solution for more microbatches in flight will do if fewer of them leave hardly more memory.
    const auto fewer = static_cast<double>(group->tight_in_flight - stage.in_flight);
    const bool good = group->tight && fewer >= 0 &&
                      fewer * group->tight->stage.activation <= kHardlyMore * static_cast<double>(limit->value);
    if (!good) {
      ALPA_TRY(group->tight, Plan(*group, at, stage.in_flight, limit));
      group->tight_in_flight = stage.in_flight;
    }
    const double tight = PeakOf(*group->tight, stage.in_flight, group->tight_in_flight);
    Fill(*group, at, *group->tight, Bytes(static_cast<int64_t>(tight)));
    return Ok();
  }

  static void Fill(const Group& group, const StageOfJob& at, const intra::PlannedStep& planned, Bytes peak) {
    plan::PipelineStage& out = at.job->plan->stages[at.index];
    const StageProgram* own = at.job->segments[at.index].get();
    out.layout = own == nullptr ? planned.plan : Renamed(planned.plan, group.program->segment, own->segment);
    const auto& seconds = planned.stage.seconds;
    const auto pass = [&](intra::Pass p) { return seconds[static_cast<size_t>(p)]; };
    plan::StagePrediction& p = out.prediction;
    p.forward = Seconds(pass(intra::Pass::kForward));
    p.weight = Seconds(pass(intra::Pass::kWeight));
    p.backward = Seconds(pass(intra::Pass::kBackward) + pass(intra::Pass::kWeight));
    p.per_step = Seconds(pass(intra::Pass::kUpdate));
    p.state = Bytes(static_cast<int64_t>(planned.stage.state));
    p.activation = Bytes(static_cast<int64_t>(planned.stage.activation));
    p.peak = peak;
    p.workspace = Bytes(std::max<int64_t>(0, peak.value - p.state.value - p.activation.value * at.stage().in_flight));
    p.in_flight = at.stage().in_flight;
  }

  const LoadedStep& loaded_;
  const frontend::Layering& layering_;
  const cluster::Cluster& cluster_;
  const ExactOptions& options_;
  std::vector<std::unique_ptr<Group>>& groups_;
  std::vector<std::string> types_;
  std::deque<Job> jobs_;
  std::vector<Todo> todo_;
};

ExactStages::ExactStages(const LoadedStep& loaded, const frontend::Layering& layering, const cluster::Cluster& cluster,
                         const ExactOptions& options)
    : loaded_(loaded), layering_(layering), cluster_(cluster), options_(options) {}
ExactStages::~ExactStages() = default;

Status ExactStages::Solve(const inter::FoundPlan& found, plan::PipelinePlan* plan) {
  return Solver(this).Solve({&found}, {plan}).front();
}

std::vector<Status> ExactStages::Solve(const std::vector<const inter::FoundPlan*>& found,
                                       const std::vector<plan::PipelinePlan*>& plans) {
  return Solver(this).Solve(found, plans);
}

}  // namespace alpa::driver
