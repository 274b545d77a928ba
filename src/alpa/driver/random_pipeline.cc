#include "alpa/driver/random_pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "alpa/cost/model.h"
#include "alpa/driver/find_pipeline.h"
#include "alpa/driver/microbatches.h"
#include "alpa/driver/stage_program.h"
#include "alpa/frontend/layers.h"
#include "alpa/frontend/segment.h"
#include "alpa/intra/plan_step.h"
#include "alpa/sharding/rule.h"
#include "alpa/sharding/strategy.h"

namespace alpa::driver {
namespace {

constexpr uint64_t kMostLayers = 8;
constexpr size_t kMostStages = 6;
constexpr int64_t kMostMicrobatches = 16;
constexpr double kSolveSeconds = 0.5;  // layouts need not be good

// The distributions of the standard library differ between implementations; these do not.
class Dice {
 public:
  explicit Dice(uint64_t seed) : bits_(seed) {}
  uint64_t Below(uint64_t n) { return bits_() % n; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  template <typename T>
  const T& Pick(const std::vector<T>& from) {
    return from[Below(from.size())];
  }

 private:
  std::mt19937_64 bits_;
};

struct Range {
  int first = 0, last = 0;
};

// The layers of a block of branches, or the one of a layer.
Range RangeOf(const frontend::LayerChain::Item& item) {
  if (item.branches.empty()) return {item.layer, item.layer};
  return {RangeOf(item.branches.front().items.front()).first, RangeOf(item.branches.back().items.back()).last};
}

// Cuts in front of one item in `sides`, and enters one block of branches in so many; others stay whole. `crosses`: a
// stage that ends a block's last branch may go on behind the block.
void CutChain(const frontend::LayerChain& chain, uint64_t sides, bool crosses, Dice& dice, std::vector<Range>* stages) {
  bool open = false;  // the last stage may be continued
  for (const frontend::LayerChain::Item& item : chain.items) {
    if (!item.branches.empty() && dice.OneIn(sides)) {
      for (const frontend::LayerChain& branch : item.branches) CutChain(branch, sides, crosses, dice, stages);
      open = crosses;
      continue;
    }
    const Range range = RangeOf(item);
    if (open && !dice.OneIn(sides)) {
      stages->back().last = range.last;
    } else {
      stages->push_back(range);
    }
    open = true;
  }
}

bool IsLine(const frontend::LayerChain& graph) {
  return std::all_of(graph.items.begin(), graph.items.end(), [](const auto& item) { return item.branches.empty(); });
}

class Maker {
 public:
  Maker(const LoadedStep& loaded, const cluster::Cluster& cluster, const RandomPipelineOptions& options)
      : loaded_(loaded),
        cluster_(cluster),
        options_(options),
        dice_(options.seed ^ ir::Fingerprint(loaded.step.module)) {}

  Result<plan::PipelinePlan> Make() {
    ALPA_RETURN_IF_ERROR(FindLayers());
    ALPA_RETURN_IF_ERROR(ChooseMicrobatches());
    plan_.model = loaded_.step.module.name;
    plan_.cluster = cluster_.name;
    plan_.per_microbatch = options_.per_microbatch;
    plan_.layers = layering_.count;
    if (!dice_.OneIn(4) || !CutInterleaved()) CutFlat();
    PlaceStages();
    for (plan::PipelineStage& stage : plan_.stages) ALPA_RETURN_IF_ERROR(LayOut(&stage));
    FindEdges();
    ALPA_RETURN_IF_ERROR(plan::Verify(plan_));
    return std::move(plan_);
  }

 private:
  Status FindLayers() {
    frontend::LayerOptions options;
    options.branches = dice_.OneIn(2);
    for (options.count = static_cast<int>(2 + dice_.Below(kMostLayers - 1));; --options.count) {
      auto layering = frontend::FindLayers(loaded_.step.module, loaded_.analysis, options);
      if (layering.ok() && layering->count == options.count) {
        layering_ = *std::move(layering);
        return Ok();
      }
      if (options.count > 1) continue;
      if (!layering.ok()) return layering.error();
      return Error{Code::kUnsupported, "the step cannot be taken as one layer", ""};
    }
  }

  Status ChooseMicrobatches() {
    if (options_.microbatches > 0) {
      ALPA_RETURN_IF_ERROR(CheckMicrobatches(loaded_, options_.microbatches, options_.per_microbatch));
      legal_ = {options_.microbatches};
    } else {
      legal_ = LegalMicrobatches(loaded_, options_.per_microbatch);
      std::erase_if(legal_, [](int64_t m) { return m > kMostMicrobatches; });
    }
    plan_.microbatches = dice_.Pick(legal_);
    return Ok();
  }

  // ---- stages

  void CutFlat() {
    plan_.schedule = dice_.Pick(std::vector<std::string>{"gpipe", "1f1b", "1f1b", "zb-h1"});
    std::vector<Range> stages;
    const auto most = std::min(kMostStages, static_cast<size_t>(cluster_.hosts.front().devices));
    for (uint64_t sides = 2; sides <= 8; ++sides) {
      stages.clear();
      CutChain(layering_.graph, sides, options_.seed % 2 == 0, dice_, &stages);
      if (stages.size() <= most) break;
    }
    if (stages.size() > most) stages = {{0, layering_.count - 1}};
    for (const Range& range : stages) Add(range, 0);
    meshes_ = stages.size();
  }

  // Stages in rounds over the same meshes; false when there are too few layers, or no fitting microbatches.
  bool CutInterleaved() {
    const auto meshes = static_cast<int>(1 + dice_.Below(3));
    const auto chunks = static_cast<int>(2 + dice_.Below(2));
    std::vector<int64_t> fitting = legal_;
    std::erase_if(fitting, [&](int64_t m) { return m % meshes != 0; });
    if (!IsLine(layering_.graph) || layering_.count < meshes * chunks || fitting.empty() ||
        cluster_.hosts.front().devices < meshes)
      return false;
    plan_.schedule = "interleaved";
    plan_.microbatches = dice_.Pick(fitting);
    // Cuts: a random choice among the places between layers.
    std::vector<int> places;
    for (int layer = 1; layer < layering_.count; ++layer) places.push_back(layer);
    while (static_cast<int>(places.size()) > meshes * chunks - 1)
      places.erase(places.begin() + static_cast<std::ptrdiff_t>(dice_.Below(places.size())));
    places.push_back(layering_.count);
    int first = 0;
    for (size_t s = 0; s < places.size(); ++s) {
      Add({first, places[s] - 1}, static_cast<int>(s) / meshes);
      first = places[s];
    }
    meshes_ = static_cast<size_t>(meshes);
    return true;
  }

  void Add(const Range& range, int chunk) {
    plan::PipelineStage stage;
    stage.first_layer = range.first;
    stage.last_layer = range.last;
    stage.chunk = chunk;
    stage.recompute = dice_.OneIn(3);
    plan_.stages.push_back(std::move(stage));
  }

  // Meshes side by side on the first host; every one keeps a device for each that follows. Those of interleaved stages
  // are equal.
  void PlaceStages() {
    const cluster::Host& host = cluster_.hosts.front();
    const bool equal = plan_.schedule == "interleaved";
    int64_t left = host.devices;
    for (size_t mesh = 0; mesh < meshes_; ++mesh) {
      const auto others = static_cast<int64_t>(meshes_ - mesh - 1);
      const int64_t most = equal ? host.devices / static_cast<int64_t>(meshes_) : left - others;
      const std::vector<int64_t> shape = equal && mesh > 0 ? plan_.stages[0].layout.mesh.shape : RandomShape(most);
      const cluster::Mesh made = cluster::MakeMesh(shape);
      for (size_t s = mesh; s < plan_.stages.size(); s += meshes_) {
        plan::PipelineStage& stage = plan_.stages[s];
        stage.layout.mesh = made;
        stage.placement = {0, 1, static_cast<int>(host.devices - left), static_cast<int>(made.size()),
                           host.device_type};
      }
      left -= made.size();
    }
  }

  std::vector<int64_t> RandomShape(int64_t most) {
    std::vector<std::vector<int64_t>> shapes = {{1}, {1, 2}, {2}, {1, 3}, {2, 2}, {1, 4}, {4}, {2, 3}, {2, 4}};
    std::erase_if(shapes, [&](const auto& shape) { return cluster::MakeMesh(shape).size() > most; });
    return dice_.Pick(shapes);
  }

  // ---- layouts

  Status LayOut(plan::PipelineStage* stage) {
    StageProgram program;
    program.segment = frontend::ExtractSegment(loaded_.step.module, loaded_.analysis, layering_, stage->first_layer,
                                               stage->last_layer, stage->recompute);
    ALPA_RETURN_IF_ERROR(SizeProgram(loaded_, plan_.microbatches, plan_.microbatches, /*half_sums=*/false, &program));
    const cluster::Mesh mesh = stage->layout.mesh;
    ALPA_TRY(const cost::Model model, cost::MakeModel(cluster_, mesh, stage->placement.first_device));
    const cost::AxisMask axes = RandomBatchAxes(program, mesh);
    const uint64_t how = dice_.Below(4);
    intra::PlanStepOptions options;
    options.explain = 0;
    options.solve.threads = 1;
    options.solve.time_limit = Seconds(kSolveSeconds);
    if (how == 0) options.inputs = RandomInputs(program, mesh);
    // What was asked for at random may have no solution: then without it.
    Result<intra::PlannedStep> planned = PlanStage(program, model, axes, 1, options);
    if (!planned.ok()) {
      options.inputs.clear();
      ALPA_TRY(planned, PlanStage(program, model, 0, 1, options));
    }
    if (how == 1) {
      options.memory = Bytes(planned->plan.prediction->memory.value * static_cast<int64_t>(3 + dice_.Below(7)) / 10);
      auto tight = PlanStage(program, model, axes, 1, options);
      if (tight.ok()) planned = std::move(tight);
    }
    stage->layout = std::move(planned->plan);
    if (how == 2) MixStrategies(program, mesh, &stage->layout);
    return Ok();
  }

  // Mesh axes whose product divides the batch of all values on the borders.
  cost::AxisMask RandomBatchAxes(const StageProgram& program, const cluster::Mesh& mesh) {
    std::vector<cost::AxisMask> fitting;
    for (cost::AxisMask axes = 0; axes < cost::AxisMask{1} << mesh.shape.size(); ++axes) {
      // Axes of extent 1 are in no spec.
      int64_t parts = 1;
      bool real = true;
      for (size_t a = 0; a < mesh.shape.size(); ++a) {
        if ((axes >> a & 1U) == 0) continue;
        parts *= mesh.shape[a];
        real = real && mesh.shape[a] > 1;
      }
      const auto fits = [&](ir::ValueId v) {
        const int dim = program.program.batch_dims[static_cast<size_t>(v)];
        return dim < 0 || program.sized.shape(v).dims[static_cast<size_t>(dim)] % parts == 0;
      };
      const ir::Module& sized = program.sized;
      if (real && std::all_of(sized.inputs.begin(), sized.inputs.end(), fits) &&
          std::all_of(sized.outputs.begin(), sized.outputs.end(), fits))
        fitting.push_back(axes);
    }
    return dice_.Pick(fitting);
  }

  // Every other array of state in a random spec.
  std::map<int32_t, sharding::Spec> RandomInputs(const StageProgram& program, const cluster::Mesh& mesh) {
    std::map<int32_t, sharding::Spec> inputs;
    const frontend::Segment& segment = program.segment;
    for (size_t i = 0; i < segment.module.inputs.size(); ++i) {
      const ir::Shape& shape = program.sized.shape(program.sized.inputs[i]);
      const bool state = segment.input_kinds[i] == frontend::BorderKind::kOwn &&
                         segment.signature.inputs[i].role == ir::InputRole::kState;
      if (!state || shape.rank() == 0 || dice_.OneIn(2)) continue;
      inputs[static_cast<int32_t>(i)] = dice_.Pick(sharding::Specs(shape, mesh));
    }
    return inputs;
  }

  // Every third op that has a layout is executed in a random way.
  void MixStrategies(const StageProgram& program, const cluster::Mesh& mesh, plan::Plan* layout) {
    for (const ir::Op& op : program.sized.ops) {
      if (op.kind == ir::OpKind::kParameter || op.results.size() != 1 || !layout->ops.contains(op.name) ||
          !dice_.OneIn(3))
        continue;
      const sharding::Rule rule = sharding::RuleOf(program.sized, op);
      const sharding::Strategy strategy = dice_.Pick(sharding::Strategies(rule, program.sized, op, mesh));
      layout->ops[op.name] = strategy.results[0].spec;
      auto& operands = layout->operands[op.name];
      operands.assign(op.operands.size(), std::nullopt);
      for (size_t o = 0; o < op.operands.size(); ++o) {
        if (program.sized.shape(op.operands[o]).rank() > 0) operands[o] = strategy.operands[o];
      }
    }
  }

  // ---- edges

  int StageOf(int layer) const {
    for (size_t s = 0; s < plan_.stages.size(); ++s) {
      if (plan_.stages[s].first_layer <= layer && layer <= plan_.stages[s].last_layer) return static_cast<int>(s);
    }
    ALPA_CHECK(false, "every layer is in a stage");
    return -1;
  }

  // What really passes per microbatch.
  void FindEdges() {
    std::map<std::pair<int, int>, plan::PipelineEdge> edges;
    for (size_t s = 0; s < plan_.stages.size(); ++s) {
      const plan::PipelineStage& stage = plan_.stages[s];
      const frontend::Segment segment = frontend::ExtractSegment(loaded_.step.module, loaded_.analysis, layering_,
                                                                 stage.first_layer, stage.last_layer, stage.recompute);
      for (size_t i = 0; i < segment.module.inputs.size(); ++i) {
        const bool forth = segment.input_kinds[i] == frontend::BorderKind::kActivation;
        if (segment.input_layers[i] < 0 || (!forth && segment.input_kinds[i] != frontend::BorderKind::kCotangent))
          continue;
        const int other = StageOf(segment.input_layers[i]), here = static_cast<int>(s);
        plan::PipelineEdge& edge = edges[forth ? std::pair(other, here) : std::pair(here, other)];
        const int64_t bytes = segment.module.shape(segment.module.inputs[i]).bytes().value / plan_.microbatches;
        (forth ? edge.activation : edge.cotangent) += Bytes(bytes);
      }
    }
    for (auto& [ends, edge] : edges) {
      std::tie(edge.from, edge.to) = ends;
      plan_.edges.push_back(edge);
    }
  }

  const LoadedStep& loaded_;
  const cluster::Cluster& cluster_;
  const RandomPipelineOptions& options_;
  Dice dice_;
  frontend::Layering layering_;
  std::vector<int64_t> legal_;  // numbers of microbatches
  size_t meshes_ = 0;
  plan::PipelinePlan plan_;
};

}  // namespace

Result<plan::PipelinePlan> RandomPipeline(const LoadedStep& loaded, const cluster::Cluster& cluster,
                                          const RandomPipelineOptions& options) {
  ALPA_TRY(const std::optional<TakenApart> apart, TakeApart(loaded));
  const bool unstacked = apart.has_value() && !Dice(options.seed).OneIn(3);
  ALPA_TRY(plan::PipelinePlan plan, Maker(unstacked ? apart->loaded : loaded, cluster, options).Make());
  plan.model_fingerprint = ir::Fingerprint(loaded.step.module);
  plan.unstacked = unstacked;
  return plan;
}

std::string DescribeInLine(const plan::PipelinePlan& plan) {
  std::string text = fmt::format("m={} {}{}:", plan.microbatches, plan.schedule, plan.unstacked ? " apart" : "");
  for (const plan::PipelineStage& stage : plan.stages) {
    text += fmt::format("{} {}-{} on {}{}", &stage == plan.stages.data() ? "" : ",", stage.first_layer,
                        stage.last_layer, fmt::join(stage.layout.mesh.shape, "x"), stage.recompute ? " again" : "");
  }
  return text;
}

}  // namespace alpa::driver
