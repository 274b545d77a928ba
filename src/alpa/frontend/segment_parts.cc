#include "alpa/frontend/segment_parts.h"

#include <algorithm>
#include <set>

#include "alpa/frontend/recompute.h"

namespace alpa::frontend {
namespace {

using ir::OpId;
using ir::OpKind;
using ir::ValueId;

class Chooser {
 public:
  Chooser(const ir::Module& module, const StepAnalysis& analysis, const Layering& layering, int first, int last)
      : step_(module), analysis_(analysis), layering_(layering), first_(first), last_(last) {}

  SegmentParts Run(bool recompute) {
    out_.phases.assign(step_.ops.size(), kNotInSegment);
    if (recompute) out_.again = PlanRecomputation(step_, analysis_, layering_, first_, last_);
    ChooseOps(recompute);
    ChooseStepInputs();
    ChooseBorderInputs();
    ChooseBorderOutputs();
    return std::move(out_);
  }

 private:
  bool IsInside(int layer) const { return first_ <= layer && layer <= last_; }
  int LayerOf(OpId op) const { return layering_.layer_of_op[static_cast<size_t>(op)]; }
  OpPhase PhaseOf(OpId op) const { return analysis_.phases[static_cast<size_t>(op)]; }
  bool IsParameter(OpId op) const { return step_.op(op).kind == OpKind::kParameter; }
  bool GivesOutput(size_t o) const { return IsInside(LayerOfOutput(step_, analysis_, layering_, o)); }

  // What the value is to a reader in another layer.
  BorderKind KindFor(OpPhase reader, ValueId v) const {
    const OpId producer = step_.value(v).producer;
    if (IsParameter(producer)) return BorderKind::kShared;
    if (reader == OpPhase::kUpdate || PhaseOf(producer) == OpPhase::kUpdate) return BorderKind::kSum;
    return PhaseOf(producer) == OpPhase::kForward ? BorderKind::kActivation : BorderKind::kCotangent;
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
      if (LayerOf(producer) == -1 && GivesOutput(o)) Need(producer, static_cast<int>(OpPhase::kUpdate));
    }
    for (size_t i = step_.ops.size(); i-- > 0;) {
      const auto id = static_cast<OpId>(i);
      if (IsParameter(id)) continue;
      if (IsInside(LayerOf(id))) out_.phases[i] = static_cast<int>(analysis_.phases[i]);
      if (out_.phases[i] == kNotInSegment) continue;
      const bool has_again = recompute && out_.phases[i] == static_cast<int>(OpPhase::kBackward);
      for (const ValueId v : step_.ops[i].operands) {
        const OpId p = step_.value(v).producer;
        if (LayerOf(p) == -1 && (!has_again || late[static_cast<size_t>(p)])) Need(p, out_.phases[i]);
      }
    }
  }
  void Need(OpId op, int phase) {
    out_.phases[static_cast<size_t>(op)] = std::min(out_.phases[static_cast<size_t>(op)], phase);
  }

  // Calls visit(op, phase) for every op that the segment has, copies included.
  template <typename Visit>
  void ForEachOp(Visit visit) const {
    for (size_t i = 0; i < step_.ops.size(); ++i) {
      if (out_.phases[i] != kNotInSegment) visit(step_.ops[i], static_cast<OpPhase>(out_.phases[i]));
    }
    for (const auto& [layer, ops] : out_.again) {
      for (const OpId op : ops) visit(step_.op(op), OpPhase::kBackward);
    }
  }

  void ChooseStepInputs() {
    std::vector<char> read(step_.values.size(), 0);
    ForEachOp([&](const ir::Op& op, OpPhase) {
      for (const ValueId v : op.operands) read[static_cast<size_t>(v)] = 1;
    });
    for (size_t o = 0; o < step_.outputs.size(); ++o) {
      if (GivesOutput(o)) read[static_cast<size_t>(step_.outputs[o])] = 1;
    }
    for (size_t i = 0; i < step_.inputs.size(); ++i) {
      const ValueId v = step_.inputs[i];
      if (IsInside(LayerOf(step_.value(v).producer)) || read[static_cast<size_t>(v)]) {
        out_.step_inputs.push_back(static_cast<int>(i));
      }
    }
  }

  bool ComesFromOutside(ValueId v) const {
    const OpId p = step_.value(v).producer;
    return LayerOf(p) >= 0 && !IsInside(LayerOf(p)) && !IsParameter(p);
  }
  void ChooseBorderInputs() {
    std::set<Border> borders;
    ForEachOp([&](const ir::Op& op, OpPhase phase) {
      for (const ValueId v : op.operands) {
        if (ComesFromOutside(v)) borders.insert({v, KindFor(phase, v)});
      }
    });
    for (size_t o = 0; o < step_.outputs.size(); ++o) {
      if (GivesOutput(o) && ComesFromOutside(step_.outputs[o])) borders.insert(BorderOfOutput(step_.outputs[o]));
    }
    out_.border_inputs.assign(borders.begin(), borders.end());
  }

  // By OpId of the step: bits of the phases in which other layers execute the op, as their own or as a copy.
  std::vector<char> PhasesOfReadersOutside() const {
    std::vector<char> out(step_.ops.size(), 0);
    auto add = [&](OpId op, int bits) {
      if (LayerOf(op) == -1) out[static_cast<size_t>(op)] = static_cast<char>(out[static_cast<size_t>(op)] | bits);
    };
    for (size_t o = 0; o < step_.outputs.size(); ++o) {
      if (!GivesOutput(o)) add(step_.value(step_.outputs[o]).producer, 1 << static_cast<int>(OpPhase::kUpdate));
    }
    for (size_t i = step_.ops.size(); i-- > 0;) {
      const int layer = layering_.layer_of_op[i];
      if (layer >= 0 && !IsInside(layer)) out[i] = static_cast<char>(1 << static_cast<int>(analysis_.phases[i]));
      for (const ValueId v : step_.ops[i].operands) add(step_.value(v).producer, out[i]);
    }
    return out;
  }

  // What other layers read of these.
  void ChooseBorderOutputs() {
    std::set<Border> borders;
    std::vector<char> is_batch(step_.values.size(), 0);
    for (size_t i = 0; i < step_.inputs.size(); ++i) {
      is_batch[static_cast<size_t>(step_.inputs[i])] = analysis_.signature.inputs[i].role == ir::InputRole::kBatch;
    }
    auto comes_from_here = [&](ValueId v) {
      const OpId p = step_.value(v).producer;
      if (!IsInside(LayerOf(p))) return false;
      return !IsParameter(p) || !is_batch[static_cast<size_t>(v)];
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
      if (!GivesOutput(o) && comes_from_here(v)) borders.insert(BorderOfOutput(v));
    }
    out_.border_outputs.assign(borders.begin(), borders.end());
  }

  const ir::Module& step_;
  const StepAnalysis& analysis_;
  const Layering& layering_;
  int first_, last_;
  SegmentParts out_;
};

}  // namespace

int LayerOfOutput(const ir::Module& module, const StepAnalysis& analysis, const Layering& layering, size_t output) {
  auto layer_of = [&](ValueId v) { return layering.layer_of_op[static_cast<size_t>(module.value(v).producer)]; };
  const ir::StepOutput& role = analysis.signature.outputs[output];
  if (role.role == ir::OutputRole::kUpdatedState) {
    return layer_of(module.inputs[static_cast<size_t>(role.updates)]);
  }
  const int layer = layer_of(module.outputs[output]);
  return layer >= 0 ? layer : layering.count - 1;
}

SegmentParts ChooseSegmentParts(const ir::Module& module, const StepAnalysis& analysis, const Layering& layering,
                                int first, int last, bool recompute) {
  return Chooser(module, analysis, layering, first, last).Run(recompute);
}

}  // namespace alpa::frontend
