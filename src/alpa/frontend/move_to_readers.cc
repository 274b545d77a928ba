#include <algorithm>

#include "alpa/frontend/place_backward.h"

namespace alpa::frontend {
namespace {

using ir::OpId;
using ir::ValueId;

constexpr int kNone = -1;

class Mover {
 public:
  Mover(const ir::Module& module, const StepAnalysis& analysis, const LayerOrder& order, std::vector<int>& layers)
      : module_(module), analysis_(analysis), order_(order), layers_(layers), users_(ir::Users(module)) {}

  void Run() {
    for (size_t i = module_.ops.size(); i-- > 0;) {
      if (!IsBackward(static_cast<OpId>(i)) || !ReadsCotangentsAlone(module_.ops[i])) continue;
      const int target = TargetOf(static_cast<OpId>(i));
      if (target != kNone && BytesThatWouldCross(module_.ops[i], target) < BytesThatCross(module_.ops[i])) {
        layers_[i] = target;
      }
    }
  }

 private:
  int Layer(OpId op) const { return layers_[static_cast<size_t>(op)]; }
  bool IsBackward(OpId op) const {
    return Layer(op) >= 0 && analysis_.phases[static_cast<size_t>(op)] == OpPhase::kBackward;
  }

  bool ReadsCotangentsAlone(const ir::Op& op) const {
    return std::all_of(op.operands.begin(), op.operands.end(), [&](ValueId v) {
      const OpId p = module_.value(v).producer;
      return Layer(p) == -1 || IsBackward(p);
    });
  }

  // The last of the layers whose backward ops read the results; without such readers the first whose updates do.
  // Nothing when that is no earlier layer.
  int TargetOf(OpId id) const {
    int backward = kNone;
    int update = kNone;
    for (const ValueId v : module_.op(id).results) {
      for (const OpId user : users_[static_cast<size_t>(v)]) {
        if (Layer(user) < 0) continue;
        if (IsBackward(user)) backward = std::max(backward, Layer(user));
        if (!IsBackward(user)) update = update == kNone ? Layer(user) : std::min(update, Layer(user));
      }
    }
    const int target = backward != kNone ? backward : update;
    if (target == kNone || target == Layer(id) || !order_.Precedes(target, Layer(id))) return kNone;
    for (const ValueId v : module_.op(id).results) {
      for (const OpId user : users_[static_cast<size_t>(v)]) {
        if (IsBackward(user) && !order_.Precedes(Layer(user), target)) return kNone;
      }
    }
    return target;
  }

  int64_t BytesThatCross(const ir::Op& op) const {
    int64_t bytes = 0;
    for (const ValueId v : op.results) {
      if (!users_[static_cast<size_t>(v)].empty()) bytes += module_.shape(v).bytes().value;
    }
    return bytes;
  }

  // Bytes of operands that do not get to `target` or past it already.
  int64_t BytesThatWouldCross(const ir::Op& op, int target) const {
    int64_t bytes = 0;
    for (const ValueId v : op.operands) {
      const OpId p = module_.value(v).producer;
      if (Layer(p) <= target) continue;
      const auto& users = users_[static_cast<size_t>(v)];
      const bool crosses =
          std::any_of(users.begin(), users.end(), [&](OpId user) { return IsBackward(user) && Layer(user) <= target; });
      if (!crosses) bytes += module_.shape(v).bytes().value;
    }
    return bytes;
  }

  const ir::Module& module_;
  const StepAnalysis& analysis_;
  const LayerOrder& order_;
  std::vector<int>& layers_;
  std::vector<std::vector<OpId>> users_;
};

}  // namespace

void MoveToReaders(const ir::Module& module, const StepAnalysis& analysis, const LayerOrder& order,
                   std::vector<int>& layer_of_op) {
  Mover(module, analysis, order, layer_of_op).Run();
}

}  // namespace alpa::frontend
