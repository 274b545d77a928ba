#include "alpa/driver/find_pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "alpa/driver/microbatches.h"
#include "alpa/frontend/unstack.h"
#include "alpa/inter/equal_stages.h"
#include "alpa/inter/submeshes.h"

namespace alpa::driver {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr size_t kEqualPlans = 8;  // by schedule

// The time since it was made or last asked.
class StopWatch {
 public:
  Seconds Lap() {
    const auto now = std::chrono::steady_clock::now();
    const Seconds lap(std::chrono::duration<double>(now - last_).count());
    last_ = now;
    return lap;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

inter::Chain ChainOf(const frontend::LayerChain& chain) {
  inter::Chain out;
  for (const frontend::LayerChain::Item& item : chain.items) {
    inter::Chain::Item copy;
    copy.layer = item.layer;
    for (const frontend::LayerChain& branch : item.branches) copy.branches.push_back(ChainOf(branch));
    out.items.push_back(std::move(copy));
  }
  return out;
}

Status CheckAllMicrobatches(const LoadedStep& loaded, const FindPipelineOptions& options) {
  const std::vector<int64_t> legal = LegalMicrobatches(loaded, options.per_microbatch);
  for (const int64_t m : options.microbatches) {
    ALPA_RETURN_IF_ERROR(CheckMicrobatches(loaded, m, options.per_microbatch));
    if (std::find(legal.begin(), legal.end(), m) == legal.end()) {
      return Error{
          Code::kInvalidArgument,
          fmt::format("{} microbatches: the shapes of the step allow {} at most, or any number that divides it", m,
                      legal.back()),
          ""};
    }
  }
  return Ok();
}

std::string Describe(const cluster::Cluster& cluster, const inter::Submesh& submesh) {
  const std::string type = DeviceTypes(cluster)[static_cast<size_t>(submesh.type)];
  return submesh.hosts == 1 ? fmt::format("{} x {}", submesh.devices, type)
                            : fmt::format("{} hosts of {} x {}", submesh.hosts, submesh.devices, type);
}

std::string BytesText(double bytes) { return ToString(Bytes(static_cast<int64_t>(bytes))); }

bool HasHalfParameters(const LoadedStep& loaded) {
  const ir::StepSignature& signature = loaded.analysis.signature;
  for (size_t i = 0; i < signature.inputs.size(); ++i) {
    const ir::DType type = loaded.step.module.shape(loaded.step.module.inputs[i]).dtype;
    const bool half = type == ir::DType::kBF16 || type == ir::DType::kF16;
    if (half && signature.inputs[i].role == ir::InputRole::kParameter) return true;
  }
  return false;
}

// What is missing, and what plan there would be with more memory.
Error NothingFits(const cluster::Cluster& cluster, inter::SearchProblem problem, const inter::SearchOptions& search,
                  const inter::SearchResult& result) {
  if (!result.shortage) {
    return Error{Code::kInvalidArgument, "no plan: nothing that was looked at fits these microbatches and stages",
                 "leave out --stages, --microbatches or --schedule"};
  }
  const inter::Shortage& s = *result.shortage;
  std::string message = fmt::format(
      "no plan fits: layers {} to {} on {} with {} microbatches need {} per device, {} more than there is", s.first,
      s.last, Describe(cluster, s.submesh), s.microbatches, BytesText(s.needed), BytesText(s.needed - s.available));
  const double factor = s.available > 0 ? s.needed / s.available : kInfinity;
  std::string hint = "give more devices or memory, or a smaller batch";
  // The stage named is the first to fail; others may need still more.
  constexpr int kTries = 8;
  constexpr double kMore = 1.25;
  for (int i = 0; std::isfinite(factor) && i < kTries; ++i) {
    for (double& memory : problem.memory) memory *= i == 0 ? factor * (1 + 1e-6) : kMore;
    const inter::SearchResult nearest = inter::SearchStages(problem, search);
    if (nearest.plans.empty()) continue;
    const inter::FoundPlan& plan = nearest.plans.front();
    hint = fmt::format("nearest plan: with {} per device, {} stages, {} microbatches, {}, {} a step",
                       BytesText(problem.memory[static_cast<size_t>(s.submesh.type)]), plan.stages.size(),
                       plan.microbatches, inter::Name(plan.schedule), ToString(Seconds(plan.seconds)));
    break;
  }
  return Error{Code::kInvalidArgument, message, hint};
}

// Pairs of layers -> pairs of stages.
std::vector<plan::PipelineStepEdge> StepEdges(const StageCosts& costs, const inter::FoundPlan& found) {
  const auto stage_of = [&](int layer) {
    for (size_t s = 0; s < found.stages.size(); ++s) {
      if (found.stages[s].first <= layer && layer <= found.stages[s].last) return static_cast<int>(s);
    }
    ALPA_CHECK(false, "every layer is in a stage");
    return -1;
  };
  std::map<std::tuple<int, int, int>, int64_t> bytes;
  for (const plan::PipelineStepEdge& edge : costs.step_edges()) {
    const int from = stage_of(edge.from), to = stage_of(edge.to);
    if (from != to) bytes[{from, to, edge.round}] += edge.bytes.value;
  }
  std::vector<plan::PipelineStepEdge> edges;
  edges.reserve(bytes.size());
  for (const auto& [key, total] : bytes)
    edges.push_back({std::get<0>(key), std::get<1>(key), std::get<2>(key), Bytes(total)});
  return edges;
}

}  // namespace

std::optional<Bytes> MemoryLimit(const cluster::DeviceType& type, const FindPipelineOptions& options) {
  if (options.unlimited_memory) return std::nullopt;
  return options.memory ? *options.memory : type.memory;
}

bool UsesRectangles(const cluster::Cluster& cluster, const FindPipelineOptions& options) {
  return options.rectangles.value_or(!inter::PlacedByCount(HostsOf(cluster)) &&
                                     cluster.device_count() <= kMostForRectangles);
}

StageCostOptions PricesOf(const FindPipelineOptions& options) {
  StageCostOptions prices;
  prices.per_microbatch = options.per_microbatch;
  prices.half_sums = options.half_sums;
  prices.recompute = options.recompute;
  prices.local_gather = options.local_gather;
  prices.threads = options.threads;
  prices.known = options.known_prices;
  return prices;
}

ExactOptions ExactOf(const FindPipelineOptions& options) {
  ExactOptions exact;
  exact.memory = options.memory;
  exact.unlimited_memory = options.unlimited_memory;
  exact.half_sums = options.half_sums;
  exact.threads = options.threads;
  exact.gap = options.gap;
  exact.time_limit = options.time_limit;
  return exact;
}

inter::SearchProblem MakeSearchProblem(const LoadedStep& loaded, const cluster::Cluster& cluster,
                                       const frontend::Layering& layering, const StageCosts& costs,
                                       const FindPipelineOptions& options) {
  inter::SearchProblem problem;
  problem.layers = layering.count;
  problem.graph = ChainOf(layering.graph);
  const std::vector<std::string> types = DeviceTypes(cluster);
  problem.hosts = HostsOf(cluster);
  problem.rectangles = UsesRectangles(cluster, options);
  for (const std::string& type : types) {
    const std::optional<Bytes> limit = MemoryLimit(cluster.device_types.at(type), options);
    problem.memory.push_back(limit ? static_cast<double>(limit->value) : kInfinity);
  }
  problem.microbatches =
      options.microbatches.empty() ? LegalMicrobatches(loaded, options.per_microbatch) : options.microbatches;
  problem.schedules = options.schedules;
  if (problem.schedules.empty())
    problem.schedules = {inter::Schedule::k1F1B, inter::Schedule::kGpipe, inter::Schedule::kInterleaved,
                         inter::Schedule::kZbH1};
  problem.costs = &costs;
  return problem;
}

std::vector<inter::FoundPlan> Candidates(const inter::SearchProblem& problem, const inter::SearchOptions& options,
                                         inter::SearchResult* result) {
  inter::SearchResult found = inter::SearchStages(problem, options);
  std::vector<inter::FoundPlan> candidates = found.plans;
  const auto known = [&](const inter::FoundPlan& plan) {
    return std::any_of(candidates.begin(), candidates.end(), [&](const inter::FoundPlan& other) {
      return other.microbatches == plan.microbatches && other.schedule == plan.schedule &&
             std::equal(other.stages.begin(), other.stages.end(), plan.stages.begin(), plan.stages.end(),
                        [](const inter::Stage& a, const inter::Stage& b) {
                          return a.first == b.first && a.submesh == b.submesh;
                        });
    });
  };
  // By closed form the best plans with rectangles may leave no room for those without, which can be faster all the
  // same.
  if (problem.rectangles && !found.plans.empty()) {
    inter::SearchProblem regular = problem;
    regular.rectangles = false;
    for (inter::FoundPlan& plan : inter::SearchStages(regular, options).plans) {
      if (!known(plan)) candidates.push_back(std::move(plan));
    }
  }
  for (const inter::Schedule schedule : problem.schedules) {
    if (schedule == inter::Schedule::kInterleaved || found.plans.empty()) continue;
    for (inter::FoundPlan& plan : inter::EqualStages(problem, schedule, kEqualPlans)) {
      const bool wanted = options.stages == 0 || static_cast<int>(plan.stages.size()) == options.stages;
      if (wanted && !known(plan)) candidates.push_back(std::move(plan));
    }
  }
  if (result != nullptr) *result = std::move(found);
  return candidates;
}

plan::PipelinePlan DraftPlan(const LoadedStep& loaded, const cluster::Cluster& cluster, const StageCosts& costs,
                             const inter::FoundPlan& found, const FindPipelineOptions& options) {
  plan::PipelinePlan plan;
  plan.model = loaded.step.module.name;
  plan.model_fingerprint = ir::Fingerprint(loaded.step.module);
  plan.cluster = cluster.name;
  plan.microbatches = found.microbatches;
  plan.per_microbatch = options.per_microbatch;
  plan.half_sums = options.half_sums;
  plan.schedule = inter::Name(found.schedule);
  plan.update_rounds = costs.update_rounds();
  plan.prediction.closed_form = Seconds(found.seconds);
  plan.prediction.flops = loaded.analysis.total().dot_conv;
  const std::vector<std::string> types = DeviceTypes(cluster);
  const auto bytes = [](double b) { return Bytes(static_cast<int64_t>(b)); };
  for (const inter::Stage& stage : found.stages) {
    const inter::StageVariant& v = stage.variant;
    plan::PipelineStage out;
    out.first_layer = stage.first;
    out.last_layer = stage.last;
    out.chunk = stage.chunk;
    out.recompute = ChoiceOf(v.id).recompute;
    out.placement = {stage.first_host, stage.submesh.hosts, stage.first_device, stage.submesh.devices,
                     types[static_cast<size_t>(stage.submesh.type)]};
    out.layout.mesh = LogicalMesh(stage.submesh, v.id);
    out.prediction = {Seconds(v.forward), Seconds(v.backward), Seconds(v.weight),  Seconds(v.per_step),
                      bytes(v.state),     bytes(v.activation), bytes(v.workspace), bytes(v.memory(stage.in_flight)),
                      stage.in_flight};
    plan.layers = std::max(plan.layers, stage.last + 1);
    plan.stages.push_back(std::move(out));
  }
  for (size_t s = 0; s < found.stages.size(); ++s) {
    for (const int n : found.stages[s].next) {
      const inter::Stage &from = found.stages[s], &to = found.stages[static_cast<size_t>(n)];
      plan::PipelineEdge edge;
      edge.from = static_cast<int>(s);
      edge.to = n;
      edge.activation = costs.ActivationBytes(from.last, to.first, found.microbatches);
      edge.cotangent = costs.CotangentBytes(from.last, to.first, found.microbatches);
      edge.forward_gather = costs.GatherTime(edge.activation, {to.submesh, to.variant.layout});
      edge.backward_gather = costs.GatherTime(edge.cotangent, {from.submesh, from.variant.layout});
      plan.edges.push_back(edge);
    }
  }
  plan.step_edges = StepEdges(costs, found);
  return plan;
}

bool HasBranches(const frontend::LayerChain& graph) {
  return std::any_of(graph.items.begin(), graph.items.end(), [](const auto& item) { return !item.branches.empty(); });
}

namespace {

// Solves the stages of the best plans in out->ranked, and puts the one that is fastest then to the front. A price can
// be above the exact cost, by more for some plans than for others; and it can promise what memory over time does not
// hold: such plans are taken out, and the next ones tried.
Status SolveBest(const LoadedStep& loaded, const cluster::Cluster& cluster, const StageCosts& costs,
                 const FindPipelineOptions& options, const ExactOptions& exact, FoundPipeline* out) {
  ExactStages stages(loaded, out->layering, cluster, exact);
  const bool hurry = options.cancelled && options.cancelled();
  const size_t at_once = hurry ? 1 : static_cast<size_t>(options.exact);
  std::optional<Error> error;
  std::vector<RankedPlan> solved;
  size_t next = 0;
  while (next < out->ranked.size() && solved.empty()) {
    const size_t end = std::min(out->ranked.size(), next + at_once);
    std::vector<plan::PipelinePlan> plans;
    std::vector<const inter::FoundPlan*> found;
    for (size_t r = next; r < end; ++r) {
      found.push_back(&out->ranked[r].found);
      plans.push_back(DraftPlan(loaded, cluster, costs, *found.back(), options));
    }
    std::vector<plan::PipelinePlan*> pointers(plans.size());
    std::transform(plans.begin(), plans.end(), pointers.begin(), [](plan::PipelinePlan& plan) { return &plan; });
    const std::vector<Status> outcomes = stages.Solve(found, pointers);
    for (size_t p = 0; p < plans.size(); ++p) {
      if (!outcomes[p].ok()) {
        if (!error) error = outcomes[p].error();
        continue;
      }
      ALPA_TRY(SimulatedPlan simulated, SimulatePlan(plans[p], cluster, {}));
      plans[p].prediction.step = Seconds(simulated.timeline.makespan);
      RankedPlan ranked{std::move(out->ranked[next + p].found), plans[p].prediction.step};
      const bool best = solved.empty() || ranked.simulated < solved.front().simulated;
      if (best) {
        out->plan = std::move(plans[p]);
        out->simulated = std::move(simulated);
      }
      solved.insert(best ? solved.begin() : solved.end(), std::move(ranked));
    }
    next = end;
  }
  if (solved.empty()) return *error;
  for (; next < out->ranked.size(); ++next) solved.push_back(std::move(out->ranked[next]));
  std::stable_sort(solved.begin() + 1, solved.end(),
                   [](const RankedPlan& a, const RankedPlan& b) { return a.simulated < b.simulated; });
  out->ranked = std::move(solved);
  return Ok();
}

Result<FoundPipeline> FindWith(const LoadedStep& loaded, const cluster::Cluster& cluster,
                               const FindPipelineOptions& options) {
  const auto report = [&](std::string_view phase, double share, double best) {
    if (options.progress) options.progress(phase, share, best);
  };
  FoundPipeline out;
  StopWatch watch;
  report("layers", 0, kInfinity);
  frontend::LayerOptions layer_options;
  layer_options.count = options.layers;
  layer_options.branches = options.branches;
  ALPA_TRY(out.layering, frontend::FindLayers(loaded.step.module, loaded.analysis, layer_options));
  out.times.layers = watch.Lap();

  StageCostOptions cost_options = PricesOf(options);
  cost_options.rectangles = UsesRectangles(cluster, options);
  cost_options.cancelled = options.cancelled;
  cost_options.progress = [&](double share) { report("prices", share, kInfinity); };
  ALPA_TRY(const std::unique_ptr<StageCosts> costs, StageCosts::Make(loaded, out.layering, cluster, cost_options));
  out.times.prices = watch.Lap();

  const inter::SearchProblem problem = MakeSearchProblem(loaded, cluster, out.layering, *costs, options);
  out.memory =
      Bytes(static_cast<int64_t>(std::min(*std::max_element(problem.memory.begin(), problem.memory.end()), 9.0e18)));
  inter::SearchOptions search;
  search.top = options.top;
  search.stages = options.stages;
  search.tolerance = options.tolerance;
  search.threads = options.threads;
  search.cancelled = options.cancelled;
  search.progress = [&](double share, double best) { report("search", share, best); };
  inter::SearchResult result;
  std::vector<inter::FoundPlan> candidates = Candidates(problem, search, &result);
  out.times.search = watch.Lap();
  out.complete = result.complete;
  if (result.plans.empty() && options.cancelled && options.cancelled())
    return Error{Code::kInvalidArgument, "stopped before there was any plan",
                 "let it run until progress shows the best so far"};
  if (result.plans.empty()) {
    Error error = NothingFits(cluster, problem, search, result);
    if (result.shortage && !options.half_sums && HasHalfParameters(loaded))
      error.hint += "; or --half-sums, which adds up 16-bit gradients in 16 bits";
    return error;
  }

  for (inter::FoundPlan& found : candidates) {
    ALPA_TRY(const SimulatedPlan simulated,
             SimulatePlan(DraftPlan(loaded, cluster, *costs, found, options), cluster, {}));
    out.ranked.push_back({std::move(found), Seconds(simulated.timeline.makespan)});
  }
  std::stable_sort(out.ranked.begin(), out.ranked.end(),
                   [](const RankedPlan& a, const RankedPlan& b) { return a.simulated < b.simulated; });
  out.times.simulate = watch.Lap();

  ExactOptions exact = ExactOf(options);
  exact.costs = costs.get();
  const double priced = out.ranked.front().simulated.value;
  exact.progress = [&](double share) { report("stages", share, priced); };
  ALPA_RETURN_IF_ERROR(SolveBest(loaded, cluster, *costs, options, exact, &out));
  const double closed_form = out.ranked.front().found.seconds;
  out.plan.prediction.bound = Seconds(result.flat_bound);
  out.gap = closed_form > 0 ? std::max(0.0, 1 - result.flat_bound / closed_form) : 0;
  out.interleaved_bound = Seconds(result.bound);
  out.times.exact = watch.Lap();
  return out;
}

}  // namespace

Result<std::optional<TakenApart>> TakeApart(const LoadedStep& loaded) {
  ALPA_TRY(frontend::Unstacked unstacked, frontend::UnstackParameters(loaded.step.module, loaded.analysis.signature));
  if (unstacked.stacks == 0) return std::optional<TakenApart>();
  LoadedStep apart;
  apart.sidecar = loaded.sidecar;
  apart.step.module = std::move(unstacked.module);
  frontend::AnalyzeOptions options;
  options.roles.batch_args.emplace();
  for (size_t i = 0; i < unstacked.signature.inputs.size(); ++i) {
    if (unstacked.signature.inputs[i].role == ir::InputRole::kBatch)
      options.roles.batch_args->push_back(static_cast<int>(i));
  }
  ALPA_TRY(apart.analysis, frontend::AnalyzeStep(apart.step.module, options));
  // Taken apart or not, it is the same step; what the analysis cannot follow there is left as it was.
  if (apart.analysis.microbatching.max_microbatches != loaded.analysis.microbatching.max_microbatches ||
      apart.analysis.batch.batch_size != loaded.analysis.batch.batch_size)
    return std::optional<TakenApart>();
  return std::optional<TakenApart>({std::move(apart), std::move(unstacked.inputs), std::move(unstacked.outputs)});
}

Result<FoundPipeline> FindPipeline(const LoadedStep& loaded, const cluster::Cluster& cluster,
                                   const FindPipelineOptions& options) {
  ALPA_RETURN_IF_ERROR(CheckAllMicrobatches(loaded, options));
  if (options.unstack) {
    ALPA_TRY(const std::optional<TakenApart> apart, TakeApart(loaded));
    FindPipelineOptions rest = options;
    rest.unstack = false;
    if (apart) {
      rest.known_prices = nullptr;  // it is another step
      ALPA_TRY(FoundPipeline found, FindPipeline(apart->loaded, cluster, rest));
      found.plan.model_fingerprint = ir::Fingerprint(loaded.step.module);
      found.plan.unstacked = true;
      return found;
    }
  }
  FindPipelineOptions branches = options;
  if (branches.known_prices == nullptr) branches.known_prices = std::make_shared<LayerPrices>();
  Result<FoundPipeline> found = FindWith(loaded, cluster, branches);
  const bool cancelled = options.cancelled && options.cancelled();
  if (cancelled || (found.ok() && !HasBranches(found->layering.graph)) || !options.branches) return found;
  // Stages of a branch are ranges of its own layers; one after the other, a stage can end one branch and begin the
  // next.
  FindPipelineOptions linear = branches;
  linear.branches = false;
  Result<FoundPipeline> other = FindWith(loaded, cluster, linear);
  if (!other.ok()) return found;
  if (found.ok() && found->plan.prediction.step <= other->plan.prediction.step) return found;
  return other;
}

}  // namespace alpa::driver
