#include "alpa/frontend/place_update.h"

#include <algorithm>

namespace alpa::frontend {
namespace {

using ir::OpId;
using ir::ValueId;

// Layers that something comes from or leads to, as far as it matters.
constexpr int kNone = -1;
constexpr int kSeveral = -2;
int Join(int a, int b) {
  if (a == kNone || a == b) return b;
  return b == kNone ? a : kSeveral;
}

class Placer {
 public:
  Placer(const ir::Module& module, const StepAnalysis& analysis, const std::vector<char>& free, int count,
         std::vector<int>& layers)
      : module_(module), analysis_(analysis), last_(count - 1), layers_(layers), update_(module.ops.size(), 0) {
    for (size_t i = 0; i < update_.size(); ++i) {
      update_[i] = analysis.phases[i] == OpPhase::kUpdate && !free[i] && module.ops[i].kind != ir::OpKind::kParameter;
    }
  }

  void Run() {
    PlaceReadInputs();
    FindTargets();
    PlaceStateByTarget();
    PlaceStateBySource();
    FindTargets();
    for (size_t i = 0; i < update_.size(); ++i) {
      if (update_[i]) layers_[i] = targets_[i] >= 0 ? targets_[i] : PlaceShared(module_.ops[i]);
    }
  }

 private:
  const ir::StepInput& input(size_t i) const { return analysis_.signature.inputs[i]; }
  int& LayerOfInput(size_t i) { return layers_[static_cast<size_t>(module_.value(module_.inputs[i]).producer)]; }
  OpId NextValueOf(size_t i) const {
    return module_.value(module_.outputs[static_cast<size_t>(input(i).updated_by)]).producer;
  }

  // Inputs that forward or backward ops read; batch inputs that nothing reads.
  void PlaceReadInputs() {
    std::vector<int> forward(module_.values.size(), kNone);
    std::vector<int> backward(module_.values.size(), kNone);
    for (size_t i = 0; i < module_.ops.size(); ++i) {
      if (layers_[i] < 0) continue;
      auto& first = analysis_.phases[i] == OpPhase::kForward ? forward : backward;
      for (const ValueId v : module_.ops[i].operands) {
        int& layer = first[static_cast<size_t>(v)];
        layer = layer == kNone ? layers_[i] : std::min(layer, layers_[i]);
      }
    }
    for (size_t i = 0; i < module_.inputs.size(); ++i) {
      const auto v = static_cast<size_t>(module_.inputs[i]);
      LayerOfInput(i) = forward[v] != kNone ? forward[v] : backward[v];
    }
  }

  // The layers whose state each update op leads to, as far as it is known where the state lives.
  void FindTargets() {
    targets_.assign(module_.ops.size(), kNone);
    for (size_t i = 0; i < module_.inputs.size(); ++i) {
      if (input(i).role == ir::InputRole::kBatch || LayerOfInput(i) < 0) continue;
      int& target = targets_[static_cast<size_t>(NextValueOf(i))];
      target = Join(target, LayerOfInput(i));
    }
    for (size_t i = module_.ops.size(); i-- > 0;) {
      if (!update_[i]) continue;
      for (const ValueId v : module_.ops[i].operands) {
        int& target = targets_[static_cast<size_t>(module_.value(v).producer)];
        target = Join(target, targets_[i]);
      }
    }
  }

  void PlaceStateByTarget() {
    for (size_t i = 0; i < module_.inputs.size(); ++i) {
      const OpId op = module_.value(module_.inputs[i]).producer;
      if (LayerOfInput(i) < 0 && targets_[static_cast<size_t>(op)] >= 0)
        LayerOfInput(i) = targets_[static_cast<size_t>(op)];
    }
  }

  void PlaceStateBySource() {
    std::vector<int> sources = layers_;
    for (size_t i = 0; i < sources.size(); ++i) {
      if (!update_[i]) continue;
      if (targets_[i] >= 0) {
        sources[i] = targets_[i];
        continue;
      }
      for (const ValueId v : module_.ops[i].operands) {
        sources[i] = Join(sources[i], sources[static_cast<size_t>(module_.value(v).producer)]);
      }
    }
    for (size_t i = 0; i < module_.inputs.size(); ++i) {
      if (LayerOfInput(i) >= 0) continue;
      if (input(i).role == ir::InputRole::kBatch) {
        LayerOfInput(i) = 0;
        continue;
      }
      const int source = sources[static_cast<size_t>(NextValueOf(i))];
      LayerOfInput(i) = source >= 0 ? source : last_;
    }
  }

  // An op that leads to several layers or to none: where its arrays are, scalars count only where there are no arrays.
  int PlaceShared(const ir::Op& op) const {
    int arrays = kNone;
    int scalars = kNone;
    for (const ValueId v : op.operands) {
      int& layer = module_.shape(v).dims.empty() ? scalars : arrays;
      layer = Join(layer, layers_[static_cast<size_t>(module_.value(v).producer)]);
    }
    const int layer = arrays != kNone ? arrays : scalars;
    return layer >= 0 ? layer : last_;
  }

  const ir::Module& module_;
  const StepAnalysis& analysis_;
  int last_;
  std::vector<int>& layers_;
  std::vector<char> update_;
  std::vector<int> targets_;  // by OpId
};

}  // namespace

void PlaceUpdate(const ir::Module& module, const StepAnalysis& analysis, const std::vector<char>& free, int count,
                 std::vector<int>& layer_of_op) {
  Placer(module, analysis, free, count, layer_of_op).Run();
}

}  // namespace alpa::frontend
