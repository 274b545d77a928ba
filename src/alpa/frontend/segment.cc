#include "alpa/frontend/segment.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "alpa/frontend/segment_parts.h"

namespace alpa::frontend {
namespace {

using ir::OpId;
using ir::OpKind;
using ir::ValueId;

// Writes the segment.
class Writer {
 public:
  Writer(const ir::Module& module, const StepAnalysis& analysis, const Layering& layering, int first, int last)
      : step_(module),
        analysis_(analysis),
        layering_(layering),
        first_(first),
        last_(last),
        input_here_(module.inputs.size(), -1),
        here_(module.values.size(), -1),
        sum_here_(module.values.size(), -1) {}

  Segment Run(bool recompute) {
    parts_ = ChooseSegmentParts(step_, analysis_, layering_, first_, last_, recompute);
    AddStepInputs();
    AddBorderInputs();
    AddOps();
    AddOutputs();
    out_.weight_gradient = WeightGradients();
    return std::move(out_);
  }

 private:
  bool IsInside(int layer) const { return first_ <= layer && layer <= last_; }
  int LayerOf(OpId op) const { return layering_.layer_of_op[static_cast<size_t>(op)]; }
  void AddStepInputs() {
    for (const int input : parts_.step_inputs) {
      const auto i = static_cast<size_t>(input);
      const ValueId v = step_.inputs[i];
      const int owner = LayerOf(step_.value(v).producer);
      const ir::StepInput& role = analysis_.signature.inputs[i];
      const bool shared = !IsInside(owner) && role.role != ir::InputRole::kBatch;
      input_here_[i] = static_cast<int>(out_.module.inputs.size());
      AddInput({v, shared ? BorderKind::kShared : BorderKind::kOwn}, step_.producer(v).name, step_.input_names[i],
               shared ? owner : -1);
      out_.signature.inputs.back().donated = role.donated && !shared;
      if (!shared) out_.signature.inputs.back().role = role.role;
    }
  }

  void AddBorderInputs() {
    for (const Border& border : parts_.border_inputs) {
      const ir::Value& value = step_.value(border.value);
      std::string name = step_.op(value.producer).name;
      if (value.index > 0) name += "#" + std::to_string(value.index);
      if (border.kind == BorderKind::kSum) name += ".sum";
      AddInput(border, name, name, LayerOf(value.producer));
    }
  }

  void AddInput(const Border& border, const std::string& op_name, const std::string& input_name, int from) {
    ir::Op op;
    op.kind = OpKind::kParameter;
    op.name = op_name;
    op.location = step_.producer(border.value).location;
    const ValueId v = AddValue(border.value);
    op.results = {v};
    PushOp(std::move(op), step_.value(border.value).producer, OpPhase::kForward);
    out_.module.values.back().index = 0;
    out_.module.inputs.push_back(v);
    out_.module.input_names.push_back(input_name);
    out_.signature.inputs.push_back({});
    out_.input_kinds.push_back(border.kind);
    out_.input_layers.push_back(from);
    // Update ops read sums, all others what comes with each microbatch.
    auto& here = border.kind == BorderKind::kSum ? sum_here_ : here_;
    here[static_cast<size_t>(border.value)] = v;
  }

  ValueId AddValue(ValueId origin) {
    ir::Value value = step_.value(origin);
    value.producer = static_cast<OpId>(out_.module.ops.size());
    out_.module.values.push_back(std::move(value));
    out_.value_origin.push_back(origin);
    return static_cast<ValueId>(out_.module.values.size()) - 1;
  }

  void PushOp(ir::Op op, OpId origin, OpPhase phase) {
    if (op.location >= 0) {
      const auto [at, is_new] =
          location_here_.try_emplace(op.location, static_cast<int32_t>(out_.module.locations.size()));
      if (is_new) out_.module.locations.push_back(step_.locations[static_cast<size_t>(op.location)]);
      op.location = at->second;
    }
    out_.module.ops.push_back(std::move(op));
    out_.op_origin.push_back(origin);
    out_.phases.push_back(phase);
  }

  // Forward ops layer by layer, backward ops from the last layer to the first, each in the order of the step.
  void AddOps() {
    out_.module.name = step_.name;
    std::vector<std::tuple<int, int, OpId>> order;  // phase, place in it, op
    std::vector<int> place(step_.ops.size(), -1);
    for (size_t i = 0; i < step_.ops.size(); ++i) {
      if (parts_.phases[i] == kNotInSegment) continue;
      const int layer = layering_.layer_of_op[i];
      if (layer == -1) {  // behind what it copies
        for (const ValueId v : step_.ops[i].operands) {
          const auto p = static_cast<size_t>(step_.value(v).producer);
          if (parts_.phases[p] == parts_.phases[i]) place[i] = std::max(place[i], place[p]);
        }
      } else if (parts_.phases[i] != static_cast<int>(OpPhase::kUpdate)) {
        place[i] = parts_.phases[i] == static_cast<int>(OpPhase::kForward) ? layer : layering_.count - layer;
      } else {
        place[i] = 0;  // updates of different layers may depend on each other either way
      }
      order.emplace_back(parts_.phases[i], place[i], static_cast<OpId>(i));
    }
    std::sort(order.begin(), order.end());
    layer_begun_ = layering_.count;
    for (const auto& [phase_number, unused, id] : order) {
      const auto phase = static_cast<OpPhase>(phase_number);
      if (phase == OpPhase::kBackward && LayerOf(id) >= 0 && LayerOf(id) < layer_begun_) {
        layer_begun_ = LayerOf(id);
        AddAgain(layer_begun_);
      }
      AddOp(id, phase, /*again=*/false);
    }
  }

  // Copies of the forward ops that the backward pass of `layer` needs.
  void AddAgain(int layer) {
    again_here_.clear();
    const auto at = parts_.again.find(layer);
    if (at == parts_.again.end()) return;
    for (const OpId id : at->second) AddOp(id, OpPhase::kBackward, /*again=*/true);
  }

  void AddOp(OpId id, OpPhase phase, bool again) {
    const ir::Op& from = step_.op(id);
    ir::Op op = from;
    if (again) op.name += ".again";
    // Ops that belong to no layer may be copied for several.
    if (again && LayerOf(id) == -1) op.name += std::to_string(layer_begun_);
    op.operands.clear();
    op.results.clear();
    for (const ValueId v : from.operands) op.operands.push_back(Find(v, phase));
    for (const ValueId v : from.results) {
      const ValueId mine = AddValue(v);
      op.results.push_back(mine);
      if (again) {
        again_here_[v] = mine;
      } else {
        here_[static_cast<size_t>(v)] = mine;
      }
    }
    PushOp(std::move(op), id, phase);
  }

  // The value in the segment that an op of this phase reads.
  ValueId Find(ValueId v, OpPhase phase) const {
    if (phase == OpPhase::kUpdate && sum_here_[static_cast<size_t>(v)] >= 0) return sum_here_[static_cast<size_t>(v)];
    if (phase == OpPhase::kBackward) {
      if (const auto at = again_here_.find(v); at != again_here_.end()) return at->second;
    }
    const ValueId mine = here_[static_cast<size_t>(v)];
    ALPA_CHECK(mine >= 0, Describe(step_, step_.producer(v)) + " is not in the segment");
    return mine;
  }

  void AddOutputs() {
    std::map<size_t, int32_t> output_here;
    for (size_t o = 0; o < step_.outputs.size(); ++o) {
      if (!IsInside(LayerOfOutput(step_, analysis_, layering_, o))) continue;
      const ir::StepOutput& role = analysis_.signature.outputs[o];
      output_here[o] = static_cast<int32_t>(out_.module.outputs.size());
      if (analysis_.signature.loss == static_cast<int32_t>(o)) out_.signature.loss = output_here[o];
      ir::StepOutput mine{role.role, -1};
      if (role.role == ir::OutputRole::kUpdatedState) {
        mine.updates = input_here_[static_cast<size_t>(role.updates)];
        out_.signature.inputs[static_cast<size_t>(mine.updates)].updated_by = output_here[o];
      }
      AddOutput(Find(step_.outputs[o], OpPhase::kUpdate), mine, BorderKind::kOwn, static_cast<int>(o));
    }
    AddAliases(output_here);
    for (const Border& border : parts_.border_outputs)
      AddOutput(here_[static_cast<size_t>(border.value)], {}, border.kind, -1);
  }
  void AddOutput(ValueId v, ir::StepOutput role, BorderKind kind, int step_output) {
    out_.module.outputs.push_back(v);
    out_.signature.outputs.push_back(role);
    out_.output_kinds.push_back(kind);
    out_.step_outputs.push_back(step_output);
  }

  void AddAliases(const std::map<size_t, int32_t>& output_here) {
    auto own = [&](int32_t input) {
      const int here = input_here_[static_cast<size_t>(input)];
      return here >= 0 && out_.input_kinds[static_cast<size_t>(here)] == BorderKind::kOwn;
    };
    for (const ir::Alias& alias : step_.aliases) {
      const auto at = output_here.find(static_cast<size_t>(alias.output));
      if (at != output_here.end() && own(alias.input)) {
        out_.module.aliases.push_back({at->second, input_here_[static_cast<size_t>(alias.input)]});
      }
    }
    for (const int32_t input : step_.donated_inputs) {
      if (own(input)) out_.module.donated_inputs.push_back(input_here_[static_cast<size_t>(input)]);
    }
  }

  // As in the layering; a copy is part of it when nothing else reads what it gives.
  std::vector<char> WeightGradients() const {
    const ir::Module& module = out_.module;
    std::vector<char> out(module.ops.size(), 0);
    std::vector<char> needed(module.ops.size(), 0);  // by an op that is not part of it
    for (size_t i = module.ops.size(); i-- > 0;) {
      const auto origin = static_cast<size_t>(out_.op_origin[i]);
      const bool copy = out_.phases[i] == OpPhase::kBackward && analysis_.phases[origin] == OpPhase::kForward;
      if (out_.phases[i] == OpPhase::kBackward) out[i] = copy ? !needed[i] : layering_.weight_gradient[origin];
      if (out[i] || out_.phases[i] != OpPhase::kBackward) continue;
      for (const ValueId v : module.ops[i].operands) needed[static_cast<size_t>(module.value(v).producer)] = 1;
    }
    return out;
  }

  const ir::Module& step_;
  const StepAnalysis& analysis_;
  const Layering& layering_;
  int first_, last_;
  SegmentParts parts_;
  Segment out_;
  std::vector<int> input_here_;                      // by input of the step: input of the segment, -1: not here
  std::vector<ValueId> here_;                        // by ValueId of the step: the value in the segment, -1: none
  std::vector<ValueId> sum_here_;                    // the same for sums from other layers
  std::unordered_map<ValueId, ValueId> again_here_;  // the same for copies in front of the backward ops of one layer
  std::unordered_map<int32_t, int32_t> location_here_;
  int layer_begun_ = 0;  // whose backward ops are being added
};

}  // namespace

std::string_view Name(BorderKind kind) {
  switch (kind) {
    case BorderKind::kOwn:
      return "own";
    case BorderKind::kActivation:
      return "activation";
    case BorderKind::kCotangent:
      return "cotangent";
    case BorderKind::kShared:
      return "shared";
    case BorderKind::kSum:
      return "sum";
  }
  return "";
}

bool SameOps(const Segment& a, const Segment& b) {
  if (a.module.ops.size() != b.module.ops.size() || a.module.inputs != b.module.inputs ||
      a.module.outputs != b.module.outputs || a.phases != b.phases || a.weight_gradient != b.weight_gradient ||
      a.input_kinds != b.input_kinds || a.output_kinds != b.output_kinds || !(a.signature == b.signature))
    return false;
  for (size_t i = 0; i < a.module.ops.size(); ++i) {
    const ir::Op& x = a.module.ops[i];
    const ir::Op& y = b.module.ops[i];
    if (x.kind != y.kind || x.operands != y.operands || x.results != y.results || !(x.attributes == y.attributes))
      return false;
    for (const ir::ValueId v : x.results) {
      if (!(a.module.shape(v) == b.module.shape(v))) return false;
    }
  }
  return true;
}

Segment ExtractSegment(const ir::Module& module, const StepAnalysis& analysis, const Layering& layering, int first,
                       int last, bool recompute) {
  ALPA_CHECK(0 <= first && first <= last && last < layering.count);
  return Writer(module, analysis, layering, first, last).Run(recompute);
}

}  // namespace alpa::frontend
