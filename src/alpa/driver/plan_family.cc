#include "alpa/driver/plan_family.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "alpa/base/file.h"
#include "alpa/cost/model.h"
#include "alpa/driver/pinned_pipeline.h"
#include "alpa/driver/plan_notes.h"
#include "alpa/driver/plan_pipeline.h"
#include "alpa/driver/solve_on_mesh.h"
#include "alpa/driver/state_layout.h"
#include "alpa/plan/notes.h"

namespace alpa::driver {
namespace {

// The plan of one shape in one of the ways.
struct ShapePlan {
  std::variant<plan::Plan, plan::PipelinePlan> plan;
  Seconds step;
  StateLayout layout;
  plan::Notes notes;
};

std::string FileName(const PlanOptions& options, size_t shape) { return options.models[shape].filename().string(); }

class Finder {
 public:
  Finder(const std::vector<LoadedStep>& loaded, const cluster::Cluster& cluster,
         const std::optional<cluster::Mesh>& mesh, const FindPipelineOptions& find, const PlanOptions& options)
      : loaded_(loaded), cluster_(cluster), mesh_(mesh), find_(find), options_(options) {
    for (const ir::ValueId input : loaded[0].step.module.inputs) shapes_.push_back(loaded[0].step.module.shape(input));
    frequency_ = options.frequency;
    if (frequency_.empty()) frequency_.assign(loaded.size(), 1);
  }

  Result<FoundFamily> Find() {
    std::vector<ShapePlan> own;
    for (size_t i = 0; i < loaded_.size(); ++i) {
      Result<ShapePlan> plan = Own(i);
      if (!plan.ok())
        return Error{plan.error().code, FileName(options_, i) + ": " + plan.error().message, plan.error().hint};
      own.push_back(*std::move(plan));
    }
    const std::vector<ShapePlan> copy = own;
    Consider("own plans, switching", std::move(own));
    for (size_t base = 0; base < loaded_.size(); ++base) {
      const std::string name = "state as for " + FileName(options_, base);
      Result<std::vector<ShapePlan>> all = AllAround(base, copy[base]);
      if (all.ok()) {
        Consider(name, *std::move(all));
      } else {
        out_.ways.push_back({name, {}, Seconds(0), all.error().message});
      }
    }
    AddPadding(copy);
    return std::move(out_);
  }

 private:
  std::vector<std::pair<std::string, Bytes>> Limits() const {
    std::vector<std::pair<std::string, Bytes>> limits;
    if (find_.unlimited_memory) return limits;
    for (const auto& [name, type] : cluster_.device_types)
      limits.emplace_back(name, find_.memory.value_or(type.memory));
    return limits;
  }

  Result<ShapePlan> OnMesh(size_t shape, const std::map<int32_t, sharding::Spec>& state) const {
    const LoadedStep& loaded = loaded_[shape];
    ALPA_TRY(const cost::Model model, cost::MakeModel(cluster_, *mesh_));
    intra::PlanStepOptions how;
    how.inputs = state;
    how.explain = 0;
    ALPA_TRY(intra::PlannedStep planned, SolveOnMesh(loaded, model, options_, find_, how));
    planned.plan.prediction->cluster = cluster_.name;
    ALPA_RETURN_IF_ERROR(plan::Verify(planned.plan, loaded.step.module));
    const Seconds seconds = planned.plan.prediction->compute + planned.plan.prediction->communication;
    StateLayout layout = LayoutOf(loaded, planned.plan);
    ALPA_TRY(plan::Notes notes,
             MeshNotes(loaded, model, planned, find_.microbatches.empty() ? 1 : find_.microbatches[0],
                       options_.per_microbatch));
    notes.memory_limits = Limits();
    return ShapePlan{std::move(planned.plan), seconds, std::move(layout), std::move(notes)};
  }

  Result<ShapePlan> Own(size_t shape) {
    if (mesh_) return OnMesh(shape, {});
    FindPipelineOptions find = find_;
    find.unstack = false;  // state is compared between shapes as the exports have it
    find.known_prices = prices_.emplace_back(std::make_shared<LayerPrices>());
    ALPA_TRY(FoundPipeline found, FindWithProgress(loaded_[shape], cluster_, find, options_.quiet));
    StateLayout layout = LayoutOf(loaded_[shape], found.layering, cluster_, found.plan);
    plan::Notes notes = StageNotes(loaded_[shape], found.layering, found.plan);
    notes.memory_limits = Limits();
    ShapePlan out{found.plan, found.plan.prediction.step, std::move(layout), std::move(notes)};
    found_.push_back(std::move(found));
    return out;
  }

  // All shapes with the state of `base`, whose own plan is `own`.
  Result<std::vector<ShapePlan>> AllAround(size_t base, const ShapePlan& own) const {
    std::vector<ShapePlan> all;
    for (size_t i = 0; i < loaded_.size(); ++i) {
      if (i == base) {
        all.push_back(own);
        continue;
      }
      Result<ShapePlan> plan = Around(i, base, own);
      if (!plan.ok())
        return Error{plan.error().code, FileName(options_, i) + ": " + plan.error().message, plan.error().hint};
      if (plan->layout != own.layout)
        return Error{Code::kInvalidArgument, FileName(options_, i) + ": its state cannot lie the same way", ""};
      all.push_back(*std::move(plan));
    }
    return all;
  }

  Result<ShapePlan> Around(size_t shape, size_t base, const ShapePlan& own) const {
    if (mesh_) {
      std::map<int32_t, sharding::Spec> state;
      for (size_t i = 0; i < own.layout.size(); ++i) {
        if (!own.layout[i].empty()) state[static_cast<int32_t>(i)] = own.layout[i][0].spec;
      }
      return OnMesh(shape, state);
    }
    FindPipelineOptions find = find_;
    find.known_prices = prices_[shape];
    ALPA_TRY(plan::PipelinePlan plan, PlanPinned(loaded_[shape], loaded_[base], found_[base], cluster_, find));
    ALPA_TRY(const frontend::Layering layering, LayersAround(found_[base], loaded_[shape]));
    StateLayout layout = LayoutOf(loaded_[shape], layering, cluster_, plan);
    const Seconds step = plan.prediction.step;
    plan::Notes notes = StageNotes(loaded_[shape], layering, plan);
    notes.memory_limits = Limits();
    return ShapePlan{std::move(plan), step, std::move(layout), std::move(notes)};
  }

  // Adds a way, and takes it when it is the best so far.
  void Consider(const std::string& name, std::vector<ShapePlan> plans) {
    plan::PlanFamily family;
    std::vector<Seconds> steps;
    family.same_state = true;
    for (const ShapePlan& from : plans) {
      steps.push_back(from.step);
      family.same_state = family.same_state && from.layout == plans[0].layout;
      family.switching.emplace_back();
      for (const ShapePlan& to : plans)
        family.switching.back().push_back(SwitchTime(from.layout, to.layout, shapes_, cluster_));
    }
    family.expected = plan::ExpectedSeconds(frequency_, steps, family.switching);
    out_.ways.push_back({name, steps, family.expected, ""});
    if (!out_.family.members.empty() && !(family.expected < out_.family.expected)) return;
    out_.notes.clear();
    for (size_t i = 0; i < plans.size(); ++i) {
      family.members.push_back({options_.models[i].string(), frequency_[i], steps[i], std::move(plans[i].plan)});
      out_.notes.push_back(std::move(plans[i].notes));
    }
    out_.family = std::move(family);
    out_.chosen = out_.ways.size() - 1;
  }

  // Every shape in as many steps of the longest one as hold its examples: what is done without a family.
  void AddPadding(const std::vector<ShapePlan>& own) {
    size_t longest = 0;
    const auto size = [&](size_t shape) {
      const LoadedStep& loaded = loaded_[shape];
      int64_t elements = 0;
      for (size_t i = 0; i < loaded.step.module.inputs.size(); ++i) {
        if (loaded.analysis.signature.inputs[i].role == ir::InputRole::kBatch)
          elements += loaded.step.module.shape(loaded.step.module.inputs[i]).elements();
      }
      const int64_t batch = std::max<int64_t>(loaded.analysis.batch.batch_size, 1);
      return std::pair(elements / batch, batch);
    };
    for (size_t i = 1; i < loaded_.size(); ++i) {
      if (size(i) > size(longest)) longest = i;
    }
    report::FamilyWay way{"padded to " + FileName(options_, longest), {}, Seconds(0), ""};
    for (size_t i = 0; i < loaded_.size(); ++i) {
      const int64_t steps = (size(i).second + size(longest).second - 1) / size(longest).second;
      way.steps.emplace_back(own[longest].step.value * static_cast<double>(steps));
    }
    const std::vector<std::vector<Seconds>> still(own.size(), std::vector<Seconds>(own.size(), Seconds(0)));
    way.expected = plan::ExpectedSeconds(frequency_, way.steps, still);
    out_.ways.push_back(std::move(way));
  }

  const std::vector<LoadedStep>& loaded_;
  const cluster::Cluster& cluster_;
  const std::optional<cluster::Mesh>& mesh_;
  const FindPipelineOptions& find_;
  const PlanOptions& options_;
  std::vector<ir::Shape> shapes_;  // of the inputs of the first model; state is alike in all
  std::vector<double> frequency_;
  std::vector<FoundPipeline> found_;                  // own plans on a cluster
  std::vector<std::shared_ptr<LayerPrices>> prices_;  // of their searches; plans around another shape price few more
  FoundFamily out_;
};

}  // namespace

Result<FoundFamily> FindFamily(const std::vector<LoadedStep>& loaded, const cluster::Cluster& cluster,
                               const std::optional<cluster::Mesh>& mesh, const FindPipelineOptions& find,
                               const PlanOptions& options) {
  for (size_t i = 1; i < loaded.size(); ++i)
    ALPA_RETURN_IF_ERROR(CheckSameState(loaded[0], FileName(options, 0), loaded[i], FileName(options, i)));
  return Finder(loaded, cluster, mesh, find, options).Find();
}

Status PlanShapes(const PlanOptions& options, const cluster::Cluster& cluster, const std::optional<cluster::Mesh>& mesh,
                  const FindPipelineOptions& find) {
  if (!options.frequency.empty() && options.frequency.size() != options.models.size()) {
    return Error{
        Code::kInvalidArgument,
        fmt::format("--frequency has {} numbers for {} models", options.frequency.size(), options.models.size()),
        "give one number for each model, e.g. --frequency 5,3,1"};
  }
  ALPA_TRY(xla::Engine* const engine, xla::LoadEngine());
  const Gate gate(options.gate);
  std::vector<LoadedStep> loaded;
  for (const std::filesystem::path& model : options.models) {
    LoadOptions load = options.load;
    load.model = model;
    ALPA_TRY(LoadedStep step, LoadStep(*engine, load, gate));
    loaded.push_back(std::move(step));
  }
  if (gate.Stops(Phase::kImport) || gate.Stops(Phase::kAnalyze)) return Ok();
  ALPA_TRY(const FoundFamily found,
           gate.Run<FoundFamily>(
               Phase::kPlan, [&] { return FindFamily(loaded, cluster, mesh, find, options); },
               [](const FoundFamily& f) { return plan::Verify(f.family); }, "json",
               [](const FoundFamily& f) { return Result<std::string>(plan::ToJson(f.family)); }));
  plan::Notes notes;
  for (size_t w = 0; w < found.ways.size(); ++w) {
    if (w != found.chosen && !found.ways[w].steps.empty())
      notes.ways.push_back({found.ways[w].name, 1, "", found.ways[w].expected});
  }
  if (!options.out.empty())
    ALPA_RETURN_IF_ERROR(WriteFileAtomic(options.out, plan::WithNotes(plan::ToJson(found.family), notes, found.notes)));
  const report::FamilyPage page{&found.family, found.ways, found.chosen};
  std::fputs((options.json ? report::FamilyJson(page) : report::FamilyText(page)).c_str(), stdout);
  if (!options.out.empty() && !options.json)
    std::printf("\nplans written to %s; run one with: alpa run MODEL --plan %s\n", options.out.c_str(),
                options.out.c_str());
  return Ok();
}

}  // namespace alpa::driver
