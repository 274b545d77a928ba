#include "alpa/frontend/place_backward.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>

namespace alpa::frontend {
namespace {

using ir::OpId;
using ir::ValueId;
using LayerSet = std::vector<int>;  // ascending

uint64_t Mix(uint64_t a, uint64_t b) {
  a ^= b + 0x9e3779b97f4a7c15ULL + (a << 6) + (a >> 2);
  a *= 0xff51afd7ed558ccdULL;
  return a ^ (a >> 33);
}

void Insert(LayerSet& set, int layer) {
  const auto at = std::lower_bound(set.begin(), set.end(), layer);
  if (at == set.end() || *at != layer) set.insert(at, layer);
}

LayerSet Intersection(const LayerSet& a, const LayerSet& b) {
  LayerSet out;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

class Placer {
 public:
  Placer(const ir::Module& module, const StepAnalysis& analysis, const std::vector<char>& free, const LayerOrder& order,
         std::vector<int>& layers)
      : module_(module),
        order_(order),
        free_(free),
        layers_(layers),
        recomputed_(FindRecomputed(module, analysis)),
        backward_(module.ops.size(), 0),
        derived_(module.ops.size(), 0),
        anywhere_(module.ops.size(), 0),
        touch_(module.values.size()),
        fits_(module.ops.size()) {
    for (OpId& forward : recomputed_) {
      if (forward >= 0 && layers[static_cast<size_t>(forward)] < 0) forward = -1;  // a free op behind a barrier
    }
    for (size_t i = 0; i < module.ops.size(); ++i) {
      backward_[i] =
          analysis.phases[i] == OpPhase::kBackward && !free[i] && module.ops[i].kind != ir::OpKind::kParameter;
    }
  }

  void Run() {
    FindTouched();
    for (size_t i = 0; i < module_.ops.size(); ++i) {
      if (backward_[i]) Place(static_cast<OpId>(i));
    }
    MoveDerived();
  }

 private:
  int& Layer(OpId op) { return layers_[static_cast<size_t>(op)]; }

  void FindTouched() {
    for (size_t i = 0; i < module_.ops.size(); ++i) {
      const ir::Op& op = module_.ops[i];
      if (backward_[i]) {
        if (recomputed_[i] >= 0) Insert(fits_[i], Layer(recomputed_[i]));
        // What a recomputed op reads may be read in its layer.
        for (const ValueId v : op.operands) {
          const OpId p = module_.value(v).producer;
          if (recomputed_[i] >= 0 && recomputed_[static_cast<size_t>(p)] >= 0) {
            Insert(fits_[static_cast<size_t>(p)], Layer(recomputed_[i]));
          }
        }
      } else if (layers_[i] >= 0) {
        for (const ValueId v : op.operands) Insert(touch_[static_cast<size_t>(v)], layers_[i]);
        for (const ValueId v : op.results) Insert(touch_[static_cast<size_t>(v)], layers_[i]);
      }
    }
  }

  void Place(OpId id) {
    const auto i = static_cast<size_t>(id);
    std::vector<const LayerSet*> evidence;
    int bound = kNone;  // by cotangents
    int derived_bound = kNone;
    for (const ValueId v : module_.op(id).operands) {
      const auto p = static_cast<size_t>(module_.value(v).producer);
      // Constants that several layers share say nothing about where a reader belongs.
      if (free_[p] && touch_[static_cast<size_t>(v)].size() > 1) continue;
      const LayerSet& set = backward_[p] ? fits_[p] : touch_[static_cast<size_t>(v)];
      if (!backward_[p] || derived_[p]) {
        if (!set.empty()) evidence.push_back(&set);
        if (backward_[p]) derived_bound = Lower(derived_bound, layers_[p]);
      } else {
        bound = Lower(bound, layers_[p]);
      }
    }
    if (bound == kNone && PlaceDerived(id, evidence, derived_bound == kNone)) return;
    if (bound == kNone) bound = derived_bound;
    int layer = bound;
    for (const LayerSet* set : evidence) {
      const auto latest = std::find_if(set->rbegin(), set->rend(), [&](int l) { return order_.Precedes(l, bound); });
      if (latest == set->rend()) continue;
      const int lower = order_.Meet(layer, *latest);
      if (lower >= 0) layer = lower;
    }
    layers_[i] = layer;
  }

  // True: the op follows from the forward pass alone, in a place that is known.
  bool PlaceDerived(OpId id, const std::vector<const LayerSet*>& evidence, bool is_first) {
    const auto i = static_cast<size_t>(id);
    LayerSet& fits = fits_[i];
    const bool again = recomputed_[i] >= 0;
    if (!again && !evidence.empty()) {
      fits = *evidence[0];
      for (const LayerSet* set : evidence) fits = Intersection(fits, *set);
    }
    if (fits.empty() && !is_first) return false;
    derived_[i] = 1;
    if (again) {
      layers_[i] = Layer(recomputed_[i]);
    } else if (!fits.empty()) {
      layers_[i] = fits.back();
    } else {
      anywhere_[i] = evidence.empty();
      layers_[i] = evidence.empty() ? order_.count() - 1 : 0;
      for (const LayerSet* set : evidence) layers_[i] = std::max(layers_[i], set->back());
    }
    return true;
  }

  // Where derived values are read.
  void MoveDerived() {
    std::vector<int> latest_reader(module_.ops.size(), -1);
    for (size_t i = module_.ops.size(); i-- > 0;) {
      if (!backward_[i]) continue;
      const int reader = latest_reader[i];
      if (derived_[i] && reader >= 0) {
        const bool fits = recomputed_[i] < 0 && std::binary_search(fits_[i].begin(), fits_[i].end(), reader);
        if (reader > layers_[i] || fits || anywhere_[i]) layers_[i] = reader;
      }
      for (const ValueId v : module_.ops[i].operands) {
        int& latest = latest_reader[static_cast<size_t>(module_.value(v).producer)];
        latest = std::max(latest, layers_[i]);
      }
    }
  }

  static constexpr int kNone = -2;
  int Lower(int bound, int layer) const {
    if (bound == kNone) return layer;
    const int meet = order_.Meet(bound, layer);
    return meet >= 0 ? meet : std::min(bound, layer);
  }

  const ir::Module& module_;
  const LayerOrder& order_;
  const std::vector<char>& free_;
  std::vector<int>& layers_;
  std::vector<OpId> recomputed_;
  std::vector<char> backward_, derived_, anywhere_;
  std::vector<LayerSet> touch_;  // by ValueId, of what is not backward
  std::vector<LayerSet> fits_;   // by OpId, of derived ops: layers that touch all it follows from
};

}  // namespace

std::vector<OpId> FindRecomputed(const ir::Module& module, const StepAnalysis& analysis) {
  std::vector<OpId> out(module.ops.size(), -1);
  std::vector<uint64_t> number(module.values.size());
  std::unordered_map<uint64_t, OpId> forward;
  for (size_t i = 0; i < module.ops.size(); ++i) {
    const ir::Op& op = module.ops[i];
    if (op.kind == ir::OpKind::kOptimizationBarrier) {
      for (size_t r = 0; r < op.results.size(); ++r) {
        number[static_cast<size_t>(op.results[r])] = number[static_cast<size_t>(op.operands[r])];
      }
      continue;
    }
    uint64_t h = op.kind == ir::OpKind::kParameter ? Mix(1, i) : ir::Fingerprint(op);
    for (const ValueId v : op.operands) h = Mix(h, number[static_cast<size_t>(v)]);
    for (size_t r = 0; r < op.results.size(); ++r) {
      uint64_t shape = r;
      for (const int64_t extent : module.shape(op.results[r]).dims) shape = Mix(shape, static_cast<uint64_t>(extent));
      number[static_cast<size_t>(op.results[r])] =
          Mix(Mix(h, shape), static_cast<uint64_t>(module.shape(op.results[r]).dtype));
    }
    if (op.operands.empty() || op.results.empty()) continue;
    const uint64_t key = number[static_cast<size_t>(op.results[0])];
    if (analysis.phases[i] == OpPhase::kForward) {
      forward.try_emplace(key, static_cast<OpId>(i));
    } else if (analysis.phases[i] == OpPhase::kBackward) {
      const auto at = forward.find(key);
      if (at != forward.end()) out[i] = at->second;
    }
  }
  return out;
}

void PlaceBackward(const ir::Module& module, const StepAnalysis& analysis, const std::vector<char>& free,
                   const LayerOrder& order, std::vector<int>& layer_of_op) {
  Placer(module, analysis, free, order, layer_of_op).Run();
}

std::vector<char> FindWeightGradients(const ir::Module& module, const StepAnalysis& analysis,
                                      const std::vector<int>& layer_of_op) {
  std::vector<char> leaves(module.ops.size(),
                           0);  // a value that another layer reads in its backward pass depends on it
  std::vector<char> out(module.ops.size(), 0);
  for (size_t i = module.ops.size(); i-- > 0;) {
    if (analysis.phases[i] != OpPhase::kBackward) continue;
    // What is copied is read by other layers.
    const bool copied = layer_of_op[i] < 0;
    out[i] = !leaves[i] && !copied;
    for (const ValueId v : module.ops[i].operands) {
      const auto p = static_cast<size_t>(module.value(v).producer);
      if (copied || leaves[i] || layer_of_op[p] != layer_of_op[i]) leaves[p] = 1;
    }
  }
  return out;
}

}  // namespace alpa::frontend
