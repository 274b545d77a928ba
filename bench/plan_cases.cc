// Plans of one model on one cluster under several restrictions of one search, side by side: for bench/plan.
//
//   plan_cases MODEL CLUSTER [--per-microbatch] [--half-sums] [--layers N] [--memory BYTES] [--matrix X] [--rest Y]
//   [--alpa-space] MODE...
//
//   --matrix X    matrix products run X times as fast as the cluster says, everything else Y times: calibration
//   --alpa-space  what Alpa chooses from: 1F1B, recomputation always, submeshes of 1, 2, 4, 8, ... devices or whole
//   hosts
//
//   --at-prices   the fastest at prices is taken and reported at prices
//
//   MODE  auto                 no restriction
//         auto:m=64            this number of microbatches
//         intra                one stage
//         inter                every stage on one device
//         data                 one stage, the batch over all devices (copies of the model)
//         manual               equal stages on equal submeshes (Megatron-LM's, DeepSpeed's and PP-DP's space): the best
//         of them equal-layers         stages with equally many layers, on any submeshes equal-operators      stages
//         with equally many operations, on any submeshes free-traffic         searched without a price for traffic
//         between stages, then charged for it no-gather            copies are sent one by one to each device of the
//         receiving mesh linear               branches one after the other given:m:A/HxD,B/HxD  stages with A, B, ...
//         parts of the layers on H hosts x D devices, in m microbatches
//
// One line of JSON per mode on standard output. Plans are ranked at prices; the fastest of the best three with their
// stages solved exactly is taken.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "alpa/driver/find_pipeline.h"
#include "alpa/driver/load_step.h"
#include "alpa/inter/equal_stages.h"
#include "alpa/inter/search.h"
#include "alpa/xla/engine.h"

namespace alpa {
namespace {

constexpr int kExactPlans = 3;

using inter::FoundPlan;
using inter::SearchProblem;
using inter::StageVariant;
using inter::Submesh;

// Prices with some stages left out, or without traffic.
class Restricted : public inter::StageCosts {
 public:
  explicit Restricted(const inter::StageCosts& base) : base_(base) {}
  std::function<bool(int first, int last, const Submesh&)> allow;
  bool free_traffic = false;
  bool all_axes = false;  // the batch is split over all devices
  std::function<bool(const StageVariant&)> allow_variant;

  std::vector<StageVariant> Variants(int first, int last, const Submesh& submesh, int64_t m) const override {
    if (allow && !allow(first, last, submesh)) return {};
    std::vector<StageVariant> variants = base_.Variants(first, last, submesh, m);
    if (allow_variant) std::erase_if(variants, [&](const StageVariant& v) { return !allow_variant(v); });
    const auto all = (1 << driver::LogicalShapes(submesh)[0].mesh.shape.size()) - 1;
    if (all_axes && submesh.size() > 1) std::erase_if(variants, [&](const StageVariant& v) { return v.layout != all; });
    return variants;
  }
  Transfer TransferTime(int last, int next_first, const inter::TransferEnd& from, const inter::TransferEnd& to,
                        bool same_host, int64_t m) const override {
    return free_traffic ? Transfer{} : base_.TransferTime(last, next_first, from, to, same_host, m);
  }

 private:
  const inter::StageCosts& base_;
};

struct Case {
  driver::LoadedStep loaded;
  cluster::Cluster cluster;
  driver::FindPipelineOptions options;
  frontend::Layering layering;
  std::unique_ptr<driver::StageCosts> costs;
  driver::ExactOptions exact_options;
  std::unique_ptr<driver::ExactStages> exact;
  bool alpa_space = false;
  bool at_prices = false;              // no stage is solved exactly
  int64_t simulated_microbatches = 0;  // 0: those of the plan

  SearchProblem Problem() const { return MakeSearchProblem(loaded, cluster, layering, *costs, options); }
  // Simulated seconds of a step at prices.
  double Simulate(const FoundPlan& found) const { return Simulate(Draft(found)); }
  plan::PipelinePlan Draft(const FoundPlan& found) const { return DraftPlan(loaded, cluster, *costs, found, options); }
  double Simulate(const plan::PipelinePlan& plan) const {
    const auto simulated = driver::SimulatePlan(plan, cluster, {});
    ALPA_CHECK(simulated.ok(), simulated.ok() ? "" : simulated.error().message);
    return simulated->timeline.makespan;
  }
};

template <typename T>
T Get(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "plan_cases: %s\n", ToString(result.error()).c_str());
    std::exit(2);
  }
  return std::move(result).value();
}

inter::SearchOptions Options() {
  inter::SearchOptions options;
  options.tolerance = 0.005;
  options.top = 24;
  return options;
}

// Fastest first, at prices.
std::vector<FoundPlan> Ranked(const Case& c, const std::vector<FoundPlan>& plans) {
  std::vector<std::pair<double, size_t>> order;
  for (size_t p = 0; p < plans.size(); ++p) order.emplace_back(c.Simulate(plans[p]), p);
  std::sort(order.begin(), order.end());
  std::vector<FoundPlan> out;
  out.reserve(plans.size());
  for (const auto& [seconds, p] : order) out.push_back(plans[p]);
  return out;
}

// Equal stages on equal submeshes: each number of stages and of microbatches.
std::vector<FoundPlan> Manual(const Case& c, const SearchProblem& problem) {
  return Ranked(c, inter::EqualStages(problem, inter::Schedule::k1F1B, 8));
}

// Which layers end a stage when the model is cut into `stages` parts with equally many operations.
std::vector<std::pair<int, int>> EqualOperators(const Case& c, int stages) {
  std::vector<double> ops(static_cast<size_t>(c.layering.count), 0);
  for (size_t i = 0; i < c.layering.layer_of_op.size(); ++i) {
    if (c.layering.layer_of_op[i] >= 0 && c.loaded.analysis.phases[i] == frontend::OpPhase::kForward)
      ++ops[static_cast<size_t>(c.layering.layer_of_op[i])];
  }
  double all = 0;
  for (const double n : ops) all += n;
  std::vector<std::pair<int, int>> ranges;
  double sum = 0;
  int first = 0;
  for (int layer = 0; layer < c.layering.count; ++layer) {
    sum += ops[static_cast<size_t>(layer)];
    const int left = stages - static_cast<int>(ranges.size()) - 1;
    const bool full = sum >= all * static_cast<double>(ranges.size() + 1) / stages - 1e-9;
    if ((full || c.layering.count - layer - 1 == left) && left > 0) {
      ranges.emplace_back(first, layer);
      first = layer + 1;
    }
  }
  ranges.emplace_back(first, c.layering.count - 1);
  return ranges;
}

// The best plan whose stages are one of these partitions, on any submeshes.
std::vector<FoundPlan> WithPartitions(const Case& c, const std::vector<std::vector<std::pair<int, int>>>& partitions) {
  std::vector<FoundPlan> plans;
  for (const auto& ranges : partitions) {
    Restricted costs(*c.costs);
    if (c.alpa_space) costs.allow_variant = [](const StageVariant& v) { return driver::ChoiceOf(v.id).recompute; };
    costs.allow = [&](int first, int last, const Submesh&) {
      return std::find(ranges.begin(), ranges.end(), std::pair(first, last)) != ranges.end();
    };
    SearchProblem problem = c.Problem();
    problem.costs = &costs;
    std::erase(problem.schedules, inter::Schedule::kInterleaved);
    if (c.alpa_space) problem.schedules = {inter::Schedule::k1F1B};
    for (FoundPlan& plan : inter::SearchStages(problem, Options()).plans) plans.push_back(std::move(plan));
  }
  return Ranked(c, plans);
}

// The fastest of the first few that fit, with their stages solved exactly.
nlohmann::ordered_json Row(Case* c, const std::string& mode, const std::vector<FoundPlan>& ranked) {
  nlohmann::ordered_json j;
  j["mode"] = mode;
  j["fits"] = false;
  const int most = c->at_prices ? 1 : kExactPlans;
  int taken = 0;
  for (const FoundPlan& found : ranked) {
    if (taken >= most) break;
    auto plan = c->Draft(found);
    const double priced = c->Simulate(plan);
    if (!c->at_prices && !c->exact->Solve(found, &plan).ok()) continue;
    ++taken;
    if (c->simulated_microbatches > 0) plan.microbatches = c->simulated_microbatches;
    const double seconds = c->Simulate(plan);
    if (j.contains("step_s") && seconds >= j["step_s"].get<double>()) continue;
    j["fits"] = true;
    j["step_s"] = seconds;
    j["priced_s"] = priced;
    j["closed_form_s"] = found.seconds;
    j["microbatches"] = found.microbatches;
    j["schedule"] = inter::Name(found.schedule);
    j["flops"] = c->loaded.analysis.total().dot_conv.value;
    j["stages"] = nlohmann::ordered_json::array();
    for (size_t s = 0; s < found.stages.size(); ++s) {
      const inter::Stage& stage = found.stages[s];
      const plan::StagePrediction& prediction = plan.stages[s].prediction;
      j["stages"].push_back({{"layers", {stage.first, stage.last}},
                             {"mesh", {stage.submesh.hosts, stage.submesh.devices}},
                             {"type", stage.submesh.type},
                             {"recompute", driver::ChoiceOf(stage.variant.id).recompute},
                             {"forward_s", prediction.forward.value},
                             {"backward_s", prediction.backward.value}});
    }
  }
  return j;
}

std::vector<FoundPlan> Search(const Case& c, const SearchProblem& problem, int stages = 0) {
  inter::SearchOptions options = Options();
  options.stages = stages;
  return Ranked(c, driver::Candidates(problem, options, nullptr));
}

std::vector<FoundPlan> ParseGiven(const Case& c, const std::string& text) {
  std::istringstream in(text);
  std::string m_text, stages_text;
  std::getline(in, m_text, ':');
  std::getline(in, stages_text);
  std::vector<double> parts;
  std::vector<Submesh> submeshes;
  std::istringstream list(stages_text);
  for (std::string stage; std::getline(list, stage, ',');) {
    double part = 0;
    Submesh submesh;
    submesh.type = c.Problem().hosts[0].type;
    ALPA_CHECK(std::sscanf(stage.c_str(), "%lf/%dx%d", &part, &submesh.hosts, &submesh.devices) == 3, stage);
    parts.push_back(part);
    submeshes.push_back(submesh);
  }
  double all = 0, sum = 0;
  for (const double part : parts) all += part;
  std::vector<std::pair<int, int>> ranges;
  int first = 0;
  for (const double part : parts) {
    sum += part;
    const int end = static_cast<int>(std::lround(sum / all * c.layering.count));
    ranges.emplace_back(first, end - 1);
    first = end;
  }
  SearchProblem problem = c.Problem();
  Restricted costs(*c.costs);
  if (c.alpa_space) costs.allow_variant = [](const StageVariant& v) { return driver::ChoiceOf(v.id).recompute; };
  problem.costs = &costs;
  const auto plan = inter::PlanOfStages(problem, std::stoll(m_text), inter::Schedule::k1F1B, ranges, submeshes);
  return plan ? std::vector<FoundPlan>{*plan} : std::vector<FoundPlan>();
}

std::vector<FoundPlan> Run(Case* c, const std::string& mode) {
  SearchProblem problem = c->Problem();
  Restricted costs(*c->costs);
  problem.costs = &costs;
  if (c->alpa_space) {
    problem.schedules = {inter::Schedule::k1F1B};
    costs.allow_variant = [](const StageVariant& v) { return driver::ChoiceOf(v.id).recompute; };
  }
  if (mode == "auto") return Search(*c, problem);
  if (mode.rfind("auto:m=", 0) == 0) {
    problem.microbatches = {std::stoll(mode.substr(7))};
    return Search(*c, problem);
  }
  if (mode == "intra") return Search(*c, problem, 1);
  if (mode == "inter") {
    costs.allow = [](int, int, const Submesh& submesh) { return submesh.size() == 1; };
    return Search(*c, problem);
  }
  if (mode == "data") {
    const int64_t devices = c->cluster.device_count();
    costs.allow = [=](int, int, const Submesh& submesh) { return submesh.size() == devices; };
    costs.allow_variant = [alpa = c->alpa_space](const StageVariant& v) {
      const driver::VariantChoice choice = driver::ChoiceOf(v.id);
      return choice.weight_level == 0 && v.layout != 0 && (choice.recompute || !alpa);
    };
    return Search(*c, problem, 1);
  }
  if (mode == "manual") return Manual(*c, problem);
  if (mode == "pp-dp") {
    costs.allow_variant = [alpa = c->alpa_space](const StageVariant& v) {
      const driver::VariantChoice choice = driver::ChoiceOf(v.id);
      return choice.weight_level == 0 && (choice.recompute || !alpa);
    };
    costs.all_axes = true;
    return Manual(*c, problem);
  }
  if (mode.rfind("measured:", 0) == 0) {
    const size_t second = mode.find(':', 9);
    const size_t third = mode.find(':', second + 1);
    c->simulated_microbatches = std::stoll(mode.substr(second + 1));
    return ParseGiven(*c, mode.substr(9, second - 9) + mode.substr(third));
  }
  if (mode == "equal-layers" || mode == "equal-operators") {
    std::vector<std::vector<std::pair<int, int>>> partitions;
    const int most = static_cast<int>(std::min<int64_t>(c->layering.count, c->cluster.device_count()));
    for (int stages = 1; stages <= most; ++stages) {
      if (c->cluster.device_count() % stages != 0) continue;
      partitions.push_back(mode == "equal-layers" ? inter::EqualRanges(c->layering.count, stages)
                                                  : EqualOperators(*c, stages));
    }
    return WithPartitions(*c, partitions);
  }
  if (mode == "free-traffic") {
    costs.free_traffic = true;
    const std::vector<FoundPlan> plans = inter::SearchStages(problem, Options()).plans;
    if (plans.empty()) return {};
    return {plans.front()};
  }
  if (mode.rfind("layers:", 0) == 0) {  // what each layer costs alone on this many devices of a host, in m microbatches
    int m = 1, devices = 1;
    ALPA_CHECK(std::sscanf(mode.c_str(), "layers:%d:%d", &m, &devices) == 2, mode);
    for (int layer = 0; layer < c->layering.count; ++layer) {
      for (const StageVariant& v : problem.costs->Variants(layer, layer, {1, devices, problem.hosts[0].type}, m))
        std::fprintf(stderr,
                     "layer %d layout %d level %d recompute %d: forward %.4g backward %.4g per step %.4g state %.4g "
                     "activation %.4g workspace %.4g\n",
                     layer, v.layout, driver::ChoiceOf(v.id).weight_level, driver::ChoiceOf(v.id).recompute ? 1 : 0,
                     v.forward, v.backward, v.per_step, v.state, v.activation, v.workspace);
    }
    return {};
  }
  if (mode.rfind("given:", 0) == 0) return ParseGiven(*c, mode.substr(6));
  std::fprintf(stderr, "plan_cases: no mode '%s'\n", mode.c_str());
  std::exit(2);
}

void Speed(double matrix, double rest, cluster::Cluster* cluster) {
  for (auto& [name, type] : cluster->device_types) {
    for (auto& [dtype, flops] : type.matrix_flops) flops *= matrix;
    type.vector_flops *= rest;
    type.memory_bandwidth *= rest;
  }
}

int Main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr,
                 "usage: plan_cases MODEL CLUSTER [--per-microbatch] [--layers N] [--memory BYTES] [--speed X] "
                 "[--alpa-space] MODE...\n");
    return 2;
  }
  Case c;
  driver::LoadOptions load;
  load.model = argv[1];
  c.cluster = Get(cluster::LoadCluster(argv[2]));
  c.loaded = Get(driver::LoadStep(*Get(xla::LoadEngine()), load, driver::Gate({})));
  std::vector<std::string> modes;
  for (int i = 3; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--per-microbatch") {
      c.options.per_microbatch = true;
    } else if (word == "--at-prices") {
      c.at_prices = true;
    } else if (word == "--half-sums") {
      c.options.half_sums = true;
    } else if (word == "--alpa-space") {
      c.alpa_space = true;
    } else if (word == "--matrix") {
      Speed(std::stod(argv[++i]), 1, &c.cluster);
    } else if (word == "--rest") {
      Speed(1, std::stod(argv[++i]), &c.cluster);
    } else if (word == "--layers") {
      c.options.layers = std::stoi(argv[++i]);
    } else if (word == "--memory") {
      c.options.memory = Bytes(std::stoll(argv[++i]));
    } else {
      modes.push_back(word);
    }
  }
  const auto prepare = [&](bool branches, bool gather) {
    c.options.branches = branches;
    c.options.local_gather = gather;
    frontend::LayerOptions layers;
    layers.count = c.options.layers;
    layers.branches = branches;
    c.layering = Get(frontend::FindLayers(c.loaded.step.module, c.loaded.analysis, layers));
    c.costs = Get(driver::StageCosts::Make(c.loaded, c.layering, c.cluster, driver::PricesOf(c.options)));
    c.exact_options = driver::ExactOf(c.options);
    c.exact_options.costs = c.costs.get();
    c.exact = std::make_unique<driver::ExactStages>(c.loaded, c.layering, c.cluster, c.exact_options);
  };
  bool branches = true, gather = true;
  prepare(branches, gather);
  for (const std::string& mode : modes) {
    const bool want_branches = mode.rfind("linear", 0) != 0, want_gather = mode != "no-gather";
    if (want_branches != branches || want_gather != gather) prepare(branches = want_branches, gather = want_gather);
    std::string inner = mode == "no-gather" ? "auto" : mode;
    if (!want_branches) inner.replace(0, std::string("linear").size(), "auto");
    std::printf("%s\n", Row(&c, mode, Run(&c, inner)).dump().c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace alpa

int main(int argc, char** argv) { return alpa::Main(argc, argv); }
