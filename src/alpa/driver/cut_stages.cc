#include "alpa/driver/cut_stages.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "alpa/driver/simulate_plan.h"
#include "alpa/frontend/layers.h"
#include "alpa/frontend/segment.h"
#include "alpa/schedule/make_instructions.h"

namespace alpa::driver {
namespace {

using frontend::BorderKind;
using frontend::OpPhase;
using frontend::Segment;

// A stage on its way to the runtime.
struct Draft {
  Segment planned;  // as the plan has it
  Segment plain;    // without recomputation
  int first = 0, last = 0;
  std::vector<int> outputs;  // of `plain` that are computed (a shared parameter is sent as its new value)
  std::vector<int> round;    // by output of `plain`: of the update, -1: behind the last microbatch
};

class Cutter {
 public:
  Cutter(xla::Engine& engine, const LoadedStep& loaded, const std::string& hlo, const plan::PipelinePlan& plan)
      : engine_(engine), loaded_(loaded), hlo_(hlo), plan_(plan) {}

  Result<runtime::PipelineSetup> Run() {
    ALPA_RETURN_IF_ERROR(FindStages());
    FindRounds();
    for (size_t s = 0; s < drafts_.size(); ++s) {
      Result<runtime::PipelineStage> stage = MakeStage(s);
      if (!stage.ok()) {
        return Error{stage.error().code, fmt::format("stage {}: {}", s, stage.error().message), stage.error().hint};
      }
      setup_.stages.push_back(*std::move(stage));
    }
    ALPA_RETURN_IF_ERROR(Connect());
    return std::move(setup_);
  }

 private:
  const frontend::BatchInfo& BatchOf(ir::ValueId origin) const { return loaded_.analysis.batch.value(origin); }

  // ---- the stages

  // The layers are those with which the plan was made: as many as were asked for or found out, with branches or one
  // after the other.
  Status FindStages() {
    std::optional<Error> error;
    for (const auto& [count, branches] :
         {std::pair(plan_.layers, true), std::pair(plan_.layers, false), std::pair(0, true), std::pair(0, false)}) {
      frontend::LayerOptions options;
      options.count = count;
      options.branches = branches;
      const auto layering = frontend::FindLayers(loaded_.step.module, loaded_.analysis, options);
      if (!layering.ok()) {
        if (!error) error = layering.error();
        continue;
      }
      if (layering->count == plan_.layers && Extract(*layering)) return VerifyLayouts();
    }
    if (error) return *error;
    return Error{Code::kMismatch, "the plan's stages are not those of this model",
                 "make the plan anew with this version of alpa"};
  }

  // False when a layout of the plan is not of the stage that these layers give.
  bool Extract(const frontend::Layering& layering) {
    drafts_.clear();
    for (const plan::PipelineStage& stage : plan_.stages) {
      Draft draft;
      draft.first = stage.first_layer;
      draft.last = stage.last_layer;
      const auto extract = [&](bool recompute) {
        return frontend::ExtractSegment(loaded_.step.module, loaded_.analysis, layering, draft.first, draft.last,
                                        recompute);
      };
      draft.planned = extract(stage.recompute);
      if (ir::Fingerprint(draft.planned.module) != stage.layout.model_fingerprint) return false;
      draft.plain = stage.recompute ? extract(false) : draft.planned;
      for (size_t o = 0; o < draft.plain.output_kinds.size(); ++o) {
        if (draft.plain.output_kinds[o] != BorderKind::kShared) draft.outputs.push_back(static_cast<int>(o));
      }
      drafts_.push_back(std::move(draft));
    }
    return true;
  }

  Status VerifyLayouts() const {
    for (size_t s = 0; s < drafts_.size(); ++s) {
      const Status fits = plan::Verify(plan_.stages[s].layout, drafts_[s].planned.module);
      if (fits.ok()) continue;
      const Error& error = fits.error();
      return Error{error.code, fmt::format("stages[{}].layout: {}", s, error.message), error.hint};
    }
    return Ok();
  }

  // ---- rounds of the update

  // A sum is sent behind the last microbatch (round 0 of the receiver may read it) or behind the round that computes
  // it. Repeats until nothing changes, since sums depend on sums of other stages.
  void FindRounds() {
    for (Draft& d : drafts_) d.round.assign(d.plain.module.outputs.size(), -1);
    for (bool changed = true; changed;) {
      changed = false;
      for (Draft& d : drafts_) {
        const std::vector<int> rounds = RoundsOfValues(d.plain);
        for (size_t o = 0; o < d.plain.module.outputs.size(); ++o) {
          if (d.plain.output_kinds[o] != BorderKind::kSum) continue;
          const ir::ValueId v = d.plain.module.outputs[o];
          const int round = rounds[static_cast<size_t>(v)];
          if (round == d.round[o]) continue;
          d.round[o] = round;
          arrives_[d.plain.value_origin[static_cast<size_t>(v)]] = round + 1;
          changed = true;
        }
      }
    }
    for (const auto& [origin, round] : arrives_) update_rounds_ = std::max(update_rounds_, round + 1);
    for (Draft& d : drafts_) {
      for (size_t o = 0; o < d.round.size(); ++o) {
        if (d.plain.output_kinds[o] == BorderKind::kOwn) d.round[o] = update_rounds_ - 1;
      }
    }
  }

  // By ValueId: the round of the update in which it can be computed; -1: it is no work of the update.
  std::vector<int> RoundsOfValues(const Segment& segment) const {
    const ir::Module& module = segment.module;
    std::vector<int> rounds(module.values.size(), -1);
    for (size_t i = 0; i < module.inputs.size(); ++i) {
      if (segment.input_kinds[i] != BorderKind::kSum) continue;
      const auto v = static_cast<size_t>(module.inputs[i]);
      const auto at = arrives_.find(segment.value_origin[v]);
      rounds[v] = at == arrives_.end() ? 0 : at->second;
    }
    for (size_t i = 0; i < module.ops.size(); ++i) {
      if (segment.phases[i] != OpPhase::kUpdate || module.ops[i].kind == ir::OpKind::kParameter) continue;
      int round = 0;
      for (const ir::ValueId v : module.ops[i].operands) round = std::max(round, rounds[static_cast<size_t>(v)]);
      for (const ir::ValueId v : module.ops[i].results) rounds[static_cast<size_t>(v)] = round;
    }
    return rounds;
  }

  // ---- one stage

  Result<runtime::PipelineStage> MakeStage(size_t s) {
    const Draft& d = drafts_[s];
    xla::StageCut cut = CutOf(s);
    runtime::PipelineStage out;
    out.module = cut.module;
    ALPA_TRY(out.programs, engine_.CutStage({{}, hlo_}, cut));
    out.layout = LayoutOf(s);
    for (size_t i = 0; i < d.plain.module.inputs.size(); ++i) out.inputs.push_back(InputOf(d.plain, i, cut));
    for (const int o : d.outputs) out.outputs.push_back(OutputOf(d, static_cast<size_t>(o)));
    return out;
  }

  static bool IsEach(BorderKind kind) { return kind == BorderKind::kActivation || kind == BorderKind::kCotangent; }

  xla::StageCut CutOf(size_t s) const {
    const Draft& d = drafts_[s];
    const Segment& segment = d.plain;
    xla::StageCut cut;
    cut.module = segment.module;
    cut.module.outputs.clear();
    cut.module.aliases.clear();
    cut.split.count = plan_.microbatches;
    cut.split.per_microbatch = plan_.per_microbatch;
    cut.half_sums = plan_.half_sums;
    for (const ir::ValueId origin : segment.value_origin) {
      const frontend::BatchInfo& info = BatchOf(origin);
      cut.split.batch_dims.push_back(info.kind == frontend::BatchKind::kBatched ? info.dim : -1);
    }
    for (size_t i = 0; i < segment.phases.size(); ++i) {
      cut.passes.push_back(segment.phases[i] == OpPhase::kUpdate    ? xla::StagePass::kUpdate
                           : segment.phases[i] == OpPhase::kForward ? xla::StagePass::kForward
                           : segment.weight_gradient[i] != 0        ? xla::StagePass::kWeight
                                                                    : xla::StagePass::kBackward);
    }
    cut.recompute = plan_.stages[s].recompute;
    cut.keep = KeptValues(d);
    const auto is_part = [&](BorderKind kind, ir::ValueId v) {
      const ir::ValueId origin = segment.value_origin[static_cast<size_t>(v)];
      return IsEach(kind) && BatchOf(origin).kind == frontend::BatchKind::kPartial;
    };
    for (size_t i = 0; i < segment.module.inputs.size(); ++i) {
      const BorderKind kind = segment.input_kinds[i];
      const ir::ValueId v = segment.module.inputs[i];
      cut.each.push_back(IsEach(kind) ? 1 : 0);
      cut.part.push_back(is_part(kind, v) ? 1 : 0);
      cut.uses_state.push_back(UsesState(segment, i) ? 1 : 0);
    }
    for (const int o : d.outputs) {
      const ir::ValueId v = segment.module.outputs[static_cast<size_t>(o)];
      const BorderKind kind = segment.output_kinds[static_cast<size_t>(o)];
      cut.module.outputs.push_back(v);
      cut.output.push_back(kind == BorderKind::kActivation                     ? xla::StageOutput::kActivation
                           : kind == BorderKind::kCotangent                    ? xla::StageOutput::kCotangent
                           : cut.split.batch_dims[static_cast<size_t>(v)] >= 0 ? xla::StageOutput::kExamples
                                                                               : xla::StageOutput::kOnce);
      cut.output_part.push_back(is_part(kind, v) ? 1 : 0);
      cut.round.push_back(d.round[static_cast<size_t>(o)]);
    }
    cut.update_rounds = update_rounds_;
    cut.split_backward = plan_.schedule == schedule::Name(schedule::Kind::kZbH1);
    return cut;
  }

  // Whether it may cost a forward pass to know the input.
  bool UsesState(const Segment& segment, size_t input) const {
    const BorderKind kind = segment.input_kinds[input];
    const ir::ValueId v = segment.module.inputs[input];
    if (kind == BorderKind::kOwn || kind == BorderKind::kShared) {
      const ir::Shape& shape = segment.module.shape(v);
      return segment.signature.inputs[input].role != ir::InputRole::kBatch && ir::IsFloat(shape.dtype) &&
             shape.rank() > 0;
    }
    return BatchOf(segment.value_origin[static_cast<size_t>(v)]).uses_state;
  }

  // By ValueId of the plain segment: what the planned one keeps from forward to backward.
  static std::vector<char> KeptValues(const Draft& d) {
    std::set<ir::ValueId> origins;
    const ir::Module& module = d.planned.module;
    for (size_t i = 0; i < module.ops.size(); ++i) {
      if (d.planned.phases[i] != OpPhase::kBackward) continue;
      for (const ir::ValueId v : module.ops[i].operands) {
        const auto producer = static_cast<size_t>(module.value(v).producer);
        if (d.planned.phases[producer] == OpPhase::kForward)
          origins.insert(d.planned.value_origin[static_cast<size_t>(v)]);
      }
    }
    std::vector<char> keep;
    for (const ir::ValueId origin : d.plain.value_origin) keep.push_back(origins.count(origin) > 0 ? 1 : 0);
    return keep;
  }

  // The plan's layout with the inputs and outputs of the plain segment.
  plan::Plan LayoutOf(size_t s) const {
    const Draft& d = drafts_[s];
    plan::Plan layout = plan_.stages[s].layout;
    const auto find = [&](const Segment& segment, const std::vector<ir::ValueId>& values,
                          const std::vector<BorderKind>& kinds, ir::ValueId origin, BorderKind kind) {
      for (size_t i = 0; i < values.size(); ++i) {
        if (kinds[i] == kind && segment.value_origin[static_cast<size_t>(values[i])] == origin) return i;
      }
      return values.size();
    };
    std::vector<sharding::Spec> inputs, outputs;
    for (size_t i = 0; i < d.plain.module.inputs.size(); ++i) {
      const ir::ValueId origin = d.plain.value_origin[static_cast<size_t>(d.plain.module.inputs[i])];
      const size_t at = find(d.planned, d.planned.module.inputs, d.planned.input_kinds, origin, d.plain.input_kinds[i]);
      inputs.push_back(at < layout.inputs.size() ? layout.inputs[at] : sharding::Spec{});
    }
    for (const int o : d.outputs) outputs.push_back(layout.outputs[static_cast<size_t>(o)]);
    layout.inputs = std::move(inputs);
    layout.outputs = std::move(outputs);
    return layout;
  }

  int StepInputOf(ir::ValueId origin) const {
    const auto& inputs = loaded_.step.module.inputs;
    return static_cast<int>(std::find(inputs.begin(), inputs.end(), origin) - inputs.begin());
  }

  runtime::StageInput InputOf(const Segment& segment, size_t i, const xla::StageCut& cut) const {
    const auto v = static_cast<size_t>(segment.module.inputs[i]);
    const BorderKind kind = segment.input_kinds[i];
    runtime::StageInput input;
    input.each = IsEach(kind);
    input.shared = kind == BorderKind::kShared;
    if (kind == BorderKind::kOwn || kind == BorderKind::kShared) {
      input.step_input = StepInputOf(segment.value_origin[v]);
      input.batch_dim = cut.split.batch_dims[v];
    }
    return input;
  }

  runtime::StageOutput OutputOf(const Draft& d, size_t o) const {
    runtime::StageOutput output;
    if (d.plain.output_kinds[o] != BorderKind::kOwn) return output;
    const ir::ValueId v = d.plain.module.outputs[o];
    output.step_output = d.plain.step_outputs[o];
    const frontend::BatchInfo& info = BatchOf(d.plain.value_origin[static_cast<size_t>(v)]);
    if (info.kind == frontend::BatchKind::kBatched) output.examples_dim = info.dim;
    output.updates = d.plain.signature.outputs[o].updates;
    return output;
  }

  // ---- what passes between stages

  struct Passing {
    int from = 0, output = 0, to = 0, input = 0;
    BorderKind kind = BorderKind::kActivation;
    ir::ValueId origin = -1;
  };

  // Every input that comes from elsewhere, with its source.
  std::vector<Passing> FindPassing() const {
    std::vector<Passing> out;
    for (size_t t = 0; t < drafts_.size(); ++t) {
      const Segment& to = drafts_[t].plain;
      for (size_t i = 0; i < to.module.inputs.size(); ++i) {
        const int layer = to.input_layers[i];
        if (layer < 0) continue;
        Passing p{-1,
                  -1,
                  static_cast<int>(t),
                  static_cast<int>(i),
                  to.input_kinds[i],
                  to.value_origin[static_cast<size_t>(to.module.inputs[i])]};
        for (size_t f = 0; f < drafts_.size(); ++f) {
          if (drafts_[f].first <= layer && layer <= drafts_[f].last) p.from = static_cast<int>(f);
        }
        p.output = OutputFor(p);
        if (p.output >= 0) out.push_back(p);
      }
    }
    return out;
  }

  // Of a shared parameter: its new value; -1 when it has none.
  int OutputFor(const Passing& p) const {
    const Draft& d = drafts_[static_cast<size_t>(p.from)];
    for (size_t k = 0; k < d.outputs.size(); ++k) {
      const auto o = static_cast<size_t>(d.outputs[k]);
      const ir::ValueId origin = d.plain.value_origin[static_cast<size_t>(d.plain.module.outputs[o])];
      if (p.kind != BorderKind::kShared) {
        if (d.plain.output_kinds[o] == p.kind && origin == p.origin) return static_cast<int>(k);
        continue;
      }
      const int updates = d.plain.signature.outputs[o].updates;
      if (updates < 0) continue;
      const ir::ValueId input = d.plain.module.inputs[static_cast<size_t>(updates)];
      if (d.plain.value_origin[static_cast<size_t>(input)] == p.origin) return static_cast<int>(k);
    }
    ALPA_CHECK(p.kind == BorderKind::kShared, "what a stage reads another one gives");
    return -1;
  }

  Status Connect() {
    ALPA_TRY(schedule::Pipeline pipeline, MakePipeline(plan_));
    pipeline.edges.clear();
    pipeline.step_edges.clear();
    pipeline.update_rounds = update_rounds_;
    std::map<std::pair<int, int>, runtime::PassedValues> edges;
    std::map<std::tuple<int, int, int>, runtime::PassedValues> step_edges;
    for (const Passing& p : FindPassing()) {
      const runtime::PassedValue value{p.output, p.input};
      if (p.kind == BorderKind::kActivation && p.from < p.to) {
        edges[{p.from, p.to}].forward.push_back(value);
      } else if (p.kind == BorderKind::kActivation || (p.kind == BorderKind::kCotangent && p.to < p.from)) {
        // Forward values of a later stage that a backward pass reads come with the cotangents.
        edges[{p.to, p.from}].backward.push_back(value);
      } else if (p.kind == BorderKind::kCotangent) {
        return Error{
            Code::kUnsupported,
            fmt::format("stage {}: its backward pass reads {} of the earlier stage {}, which is computed behind", p.to,
                        ir::Describe(loaded_.step.module, loaded_.step.module.producer(p.origin)), p.from),
            "plan with fewer stages (--stages)"};
      } else {
        const Draft& d = drafts_[static_cast<size_t>(p.from)];
        const auto o = static_cast<size_t>(d.outputs[static_cast<size_t>(p.output)]);
        const int round = p.kind == BorderKind::kShared ? update_rounds_ : d.round[o] + 1;
        step_edges[{p.from, p.to, round}].forward.push_back(value);
      }
    }
    for (auto& [key, values] : edges) {
      pipeline.edges.push_back({key.first, key.second, 1, 1, !values.backward.empty()});
      setup_.edges.push_back(std::move(values));
    }
    for (auto& [key, values] : step_edges) {
      const auto [from, to, round] = key;
      pipeline.step_edges.push_back({from, to, round, 1});
      setup_.step_edges.push_back(std::move(values));
    }
    ALPA_RETURN_IF_ERROR(schedule::Verify(pipeline));
    ALPA_TRY(setup_.program, schedule::MakeInstructions(pipeline));
    setup_.places.resize(static_cast<size_t>(pipeline.meshes));
    for (size_t s = 0; s < plan_.stages.size(); ++s) {
      const plan::StagePlacement& at = plan_.stages[s].placement;
      setup_.places[static_cast<size_t>(pipeline.stages[s].mesh)] = {at.first_host, at.hosts, at.devices};
    }
    setup_.pipeline = std::move(pipeline);
    return Ok();
  }

  xla::Engine& engine_;
  const LoadedStep& loaded_;
  const std::string& hlo_;
  const plan::PipelinePlan& plan_;
  std::vector<Draft> drafts_;
  std::map<ir::ValueId, int> arrives_;  // sums of other stages, by value of the step: the first round that may read it
  int update_rounds_ = 1;
  runtime::PipelineSetup setup_;
};

}  // namespace

Result<runtime::PipelineSetup> CutStages(xla::Engine& engine, const LoadedStep& loaded, const std::string& hlo,
                                         const plan::PipelinePlan& plan) {
  return Cutter(engine, loaded, hlo, plan).Run();
}

}  // namespace alpa::driver
