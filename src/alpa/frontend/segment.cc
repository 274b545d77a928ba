#include "alpa/frontend/segment.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "alpa/frontend/recompute.h"

namespace alpa::frontend {
namespace {

using ir::OpId;
using ir::OpKind;
using ir::ValueId;

// A value of the step on its way between layers.
struct Border {
  ValueId value = -1;
  BorderKind kind = BorderKind::kActivation;
  auto operator<=>(const Border&) const = default;
};

// What must be known of every op of the step to cut out a range of layers.
class Extractor {
 public:
  Extractor(const ir::Module& module, const StepAnalysis& analysis, const Layering& layering, int first, int last)
      : step_(module),
        analysis_(analysis),
        layering_(layering),
        first_(first),
        last_(last),
        phase_(module.ops.size(), kNotHere),
        input_here_(module.inputs.size(), -1),
        input_of_(module.values.size(), -1),
        here_(module.values.size(), -1),
        sum_here_(module.values.size(), -1) {
    for (size_t i = 0; i < module.inputs.size(); ++i) {
      input_of_[static_cast<size_t>(module.inputs[i])] = static_cast<int>(i);
    }
  }

  Segment Run(bool recompute) {
    if (recompute) again_ = PlanRecomputation(step_, analysis_, layering_, first_, last_);
    ChooseOps(recompute);
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
  OpPhase PhaseOf(OpId op) const { return analysis_.phases[static_cast<size_t>(op)]; }
  bool IsParameter(OpId op) const { return step_.op(op).kind == OpKind::kParameter; }

  // What the value is to a reader in another layer.
  BorderKind KindFor(OpPhase reader, ValueId v) const {
    const OpId producer = step_.value(v).producer;
    if (IsParameter(producer)) return BorderKind::kShared;
    if (reader == OpPhase::kUpdate || PhaseOf(producer) == OpPhase::kUpdate) return BorderKind::kSum;
    return PhaseOf(producer) == OpPhase::kForward ? BorderKind::kActivation : BorderKind::kCotangent;
  }

  // The layer that gives an output of the step: that of the state it updates, else its producer's.
  int LayerOfOutput(size_t o) const {
    const ir::StepOutput& role = analysis_.signature.outputs[o];
    if (role.role == ir::OutputRole::kUpdatedState) {
      return LayerOf(step_.value(step_.inputs[static_cast<size_t>(role.updates)]).producer);
    }
    const int layer = LayerOf(step_.value(step_.outputs[o]).producer);
    return layer >= 0 ? layer : layering_.count - 1;
  }

  // How an output that another layer computes comes here.
  Border BorderOfOutput(ValueId v) const {
    const OpId producer = step_.value(v).producer;
    if (IsParameter(producer)) return {v, BorderKind::kShared};
    return {v, BorderKind::kSum};
  }

  // Ops of the layers and, for each op that is copied, the first phase in which they need it. With recomputation copies
  // for the backward pass are made in front of each layer.
  void ChooseOps(bool recompute) {
    const std::vector<char> late = CopiesOfCotangents(step_, analysis_, layering_);
    for (size_t o = 0; o < step_.outputs.size(); ++o) {
      const OpId producer = step_.value(step_.outputs[o]).producer;
      if (LayerOf(producer) == -1 && IsInside(LayerOfOutput(o))) Need(producer, static_cast<int>(OpPhase::kUpdate));
    }
    for (size_t i = step_.ops.size(); i-- > 0;) {
      const auto id = static_cast<OpId>(i);
      if (IsParameter(id)) continue;
      if (IsInside(LayerOf(id))) phase_[i] = static_cast<int>(analysis_.phases[i]);
      if (phase_[i] == kNotHere) continue;
      const bool has_again = recompute && phase_[i] == static_cast<int>(OpPhase::kBackward);
      for (const ValueId v : step_.ops[i].operands) {
        const OpId p = step_.value(v).producer;
        if (LayerOf(p) == -1 && (!has_again || late[static_cast<size_t>(p)])) Need(p, phase_[i]);
      }
    }
  }
  void Need(OpId op, int phase) { phase_[static_cast<size_t>(op)] = std::min(phase_[static_cast<size_t>(op)], phase); }

  // Calls visit(op, phase) for every op that the segment has, copies included.
  template <typename Visit>
  void ForEachOp(Visit visit) const {
    for (size_t i = 0; i < step_.ops.size(); ++i) {
      if (phase_[i] != kNotHere) visit(step_.ops[i], static_cast<OpPhase>(phase_[i]));
    }
    for (const auto& [layer, ops] : again_) {
      for (const OpId op : ops) visit(step_.op(op), OpPhase::kBackward);
    }
  }

  // The inputs of the step that the layers own or read.
  void AddStepInputs() {
    std::vector<char> read(step_.values.size(), 0);
    ForEachOp([&](const ir::Op& op, OpPhase) {
      for (const ValueId v : op.operands) read[static_cast<size_t>(v)] = 1;
    });
    for (size_t o = 0; o < step_.outputs.size(); ++o) {
      if (IsInside(LayerOfOutput(o))) read[static_cast<size_t>(step_.outputs[o])] = 1;
    }
    for (size_t i = 0; i < step_.inputs.size(); ++i) {
      const ValueId v = step_.inputs[i];
      const int owner = LayerOf(step_.value(v).producer);
      if (!IsInside(owner) && !read[static_cast<size_t>(v)]) continue;
      const ir::StepInput& role = analysis_.signature.inputs[i];
      const bool shared = !IsInside(owner) && role.role != ir::InputRole::kBatch;
      input_here_[i] = static_cast<int>(out_.module.inputs.size());
      AddInput({v, shared ? BorderKind::kShared : BorderKind::kOwn}, step_.producer(v).name, step_.input_names[i],
               shared ? owner : -1);
      out_.signature.inputs.back().donated = role.donated && !shared;
      if (!shared) out_.signature.inputs.back().role = role.role;
    }
  }

  // What other layers computed.
  void AddBorderInputs() {
    std::set<Border> borders;
    ForEachOp([&](const ir::Op& op, OpPhase phase) {
      for (const ValueId v : op.operands) {
        if (ComesFromOutside(v)) borders.insert({v, KindFor(phase, v)});
      }
    });
    for (size_t o = 0; o < step_.outputs.size(); ++o) {
      const ValueId v = step_.outputs[o];
      if (IsInside(LayerOfOutput(o)) && ComesFromOutside(v)) borders.insert(BorderOfOutput(v));
    }
    for (const Border& border : borders) {
      const ir::Value& value = step_.value(border.value);
      std::string name = step_.op(value.producer).name;
      if (value.index > 0) name += "#" + std::to_string(value.index);
      if (border.kind == BorderKind::kSum) name += ".sum";
      AddInput(border, name, name, LayerOf(value.producer));
    }
  }
  bool ComesFromOutside(ValueId v) const {
    const OpId p = step_.value(v).producer;
    return LayerOf(p) >= 0 && !IsInside(LayerOf(p)) && !IsParameter(p);
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
      if (phase_[i] == kNotHere) continue;
      const int layer = layering_.layer_of_op[i];
      if (layer == -1) {  // behind what it copies
        for (const ValueId v : step_.ops[i].operands) {
          const auto p = static_cast<size_t>(step_.value(v).producer);
          if (phase_[p] == phase_[i]) place[i] = std::max(place[i], place[p]);
        }
      } else if (phase_[i] != static_cast<int>(OpPhase::kUpdate)) {
        place[i] = phase_[i] == static_cast<int>(OpPhase::kForward) ? layer : layering_.count - layer;
      } else {
        place[i] = 0;  // updates of different layers may depend on each other either way
      }
      order.emplace_back(phase_[i], place[i], static_cast<OpId>(i));
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
    const auto at = again_.find(layer);
    if (at == again_.end()) return;
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
      if (!IsInside(LayerOfOutput(o))) continue;
      const ir::StepOutput& role = analysis_.signature.outputs[o];
      output_here[o] = static_cast<int32_t>(out_.module.outputs.size());
      if (analysis_.signature.loss == static_cast<int32_t>(o)) out_.signature.loss = output_here[o];
      ir::StepOutput mine{role.role, -1};
      if (role.role == ir::OutputRole::kUpdatedState) {
        mine.updates = input_here_[static_cast<size_t>(role.updates)];
        out_.signature.inputs[static_cast<size_t>(mine.updates)].updated_by = output_here[o];
      }
      AddOutput(Find(step_.outputs[o], OpPhase::kUpdate), mine, BorderKind::kOwn);
    }
    AddAliases(output_here);
    for (const Border& border : BorderOutputs()) AddOutput(here_[static_cast<size_t>(border.value)], {}, border.kind);
  }
  void AddOutput(ValueId v, ir::StepOutput role, BorderKind kind) {
    out_.module.outputs.push_back(v);
    out_.signature.outputs.push_back(role);
    out_.output_kinds.push_back(kind);
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

  // What other layers read of these.
  std::set<Border> BorderOutputs() const {
    std::set<Border> borders;
    auto comes_from_here = [&](ValueId v) {
      const OpId p = step_.value(v).producer;
      if (!IsInside(LayerOf(p))) return false;
      return !IsParameter(p) ||
             analysis_.signature.inputs[static_cast<size_t>(input_of_[static_cast<size_t>(v)])].role !=
                 ir::InputRole::kBatch;
    };
    const std::vector<char> readers = PhasesOfReadersOutside();
    for (size_t i = 0; i < step_.ops.size(); ++i) {
      for (const OpPhase phase : {OpPhase::kForward, OpPhase::kBackward, OpPhase::kUpdate}) {
        if ((readers[i] >> static_cast<int>(phase) & 1) == 0) continue;
        for (const ValueId v : step_.ops[i].operands) {
          if (comes_from_here(v)) borders.insert({v, KindFor(phase, v)});
        }
      }
    }
    for (size_t o = 0; o < step_.outputs.size(); ++o) {
      const ValueId v = step_.outputs[o];
      if (!IsInside(LayerOfOutput(o)) && comes_from_here(v)) borders.insert(BorderOfOutput(v));
    }
    return borders;
  }
  // By OpId of the step: bits of the phases in which other layers execute the op, as their own or as a copy.
  std::vector<char> PhasesOfReadersOutside() const {
    std::vector<char> out(step_.ops.size(), 0);
    auto add = [&](OpId op, int bits) {
      if (LayerOf(op) == -1) out[static_cast<size_t>(op)] = static_cast<char>(out[static_cast<size_t>(op)] | bits);
    };
    for (size_t o = 0; o < step_.outputs.size(); ++o) {
      if (!IsInside(LayerOfOutput(o)))
        add(step_.value(step_.outputs[o]).producer, 1 << static_cast<int>(OpPhase::kUpdate));
    }
    for (size_t i = step_.ops.size(); i-- > 0;) {
      const int layer = layering_.layer_of_op[i];
      if (layer >= 0 && !IsInside(layer)) out[i] = static_cast<char>(1 << static_cast<int>(analysis_.phases[i]));
      for (const ValueId v : step_.ops[i].operands) add(step_.value(v).producer, out[i]);
    }
    return out;
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

  static constexpr int kNotHere = 3;  // behind all phases

  const ir::Module& step_;
  const StepAnalysis& analysis_;
  const Layering& layering_;
  int first_, last_;
  Segment out_;
  std::vector<int> phase_;                           // by OpId of the step, or kNotHere
  std::vector<int> input_here_;                      // by input of the step: input of the segment, -1: not here
  std::vector<int> input_of_;                        // by ValueId of the step: the input it is, -1: none
  std::vector<ValueId> here_;                        // by ValueId of the step: the value in the segment, -1: none
  std::vector<ValueId> sum_here_;                    // the same for sums from other layers
  std::unordered_map<ValueId, ValueId> again_here_;  // the same for copies in front of the backward ops of one layer
  std::unordered_map<int32_t, int32_t> location_here_;
  int layer_begun_ = 0;                     // whose backward ops are being added
  std::map<int, std::vector<OpId>> again_;  // by layer: forward ops to copy, in order
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

Segment ExtractSegment(const ir::Module& module, const StepAnalysis& analysis, const Layering& layering, int first,
                       int last, bool recompute) {
  ALPA_CHECK(0 <= first && first <= last && last < layering.count);
  return Extractor(module, analysis, layering, first, last).Run(recompute);
}

}  // namespace alpa::frontend
