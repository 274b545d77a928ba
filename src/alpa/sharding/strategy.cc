#include "alpa/sharding/strategy.h"

#include <fmt/format.h>

#include <algorithm>

namespace alpa::sharding {
namespace {

// A factor whose windows reach beyond a device's part: where its dimension lies in operand 0.
struct HaloFactor {
  int factor = 0;
  size_t dim = 0;
  int64_t extent = 1;
};

// Goes through all assignments of mesh axes to factors.
class Enumeration {
 public:
  Enumeration(const Rule& rule, const ir::Module& module, const ir::Op& op, const cluster::Mesh& mesh,
              const StrategyOptions& options)
      : rule_(rule), module_(module), op_(op), mesh_(mesh), parts_(rule.factors.size(), 1), axes_(rule.factors.size()) {
    for (size_t f = 0; f < rule.factors.size(); ++f) {
      const Factor& factor = rule.factors[f];
      const bool halo = factor.halo_low + factor.halo_high > 0;
      const bool possible = factor.size > 1 && factor.kind != FactorKind::kWhole && (options.windows || !halo) &&
                            (factor.kind != FactorKind::kContracted || factor.combiner != Combiner::kOther);
      if (!possible) continue;
      splittable_.push_back(static_cast<int>(f));
      if (factor.kind == FactorKind::kContracted) combiner_ = factor.combiner;
      if (halo) AddHalo(static_cast<int>(f));
    }
    for (const auto* arrays : {&rule.operands, &rule.results}) {
      for (const Projection& array : *arrays) {
        for (const auto& dim : array) {
          if (dim.size() > 1 && std::find(joint_.begin(), joint_.end(), dim) == joint_.end()) joint_.push_back(dim);
        }
      }
    }
  }

  std::vector<Strategy> Run() {
    current_.assign(mesh_.shape.size(), -1);
    Assign(0);
    return std::move(out_);
  }

 private:
  static size_t At(int i) { return static_cast<size_t>(i); }

  void AddHalo(int f) {
    const auto& dims = rule_.operands[0];
    for (size_t d = 0; d < dims.size(); ++d) {
      if (std::find(dims[d].begin(), dims[d].end(), f) == dims[d].end()) continue;
      halos_.push_back({f, d, module_.shape(op_.operands[0]).dims[d]});
    }
  }

  void Assign(size_t axis) {
    if (axis == mesh_.shape.size()) {
      if (Valid()) out_.push_back(Make());
      return;
    }
    Assign(axis + 1);  // no factor
    const int64_t extent = mesh_.shape[axis];
    if (extent == 1) return;
    for (const int f : splittable_) {
      if (rule_.factors[At(f)].size % (parts_[At(f)] * extent) != 0) continue;
      current_[axis] = f;
      parts_[At(f)] *= extent;
      axes_[At(f)].push_back(static_cast<int>(axis));
      Assign(axis + 1);
      axes_[At(f)].pop_back();
      parts_[At(f)] /= extent;
      current_[axis] = -1;
    }
  }

  bool Valid() const {
    // A minor factor of a dimension may be split only when the major ones are used up.
    for (const auto& dim : joint_) {
      bool open = false;
      for (const int f : dim) {
        if (parts_[At(f)] > 1 && open) return false;
        open = open || parts_[At(f)] < rule_.factors[At(f)].size;
      }
    }
    for (const auto& [f, g] : rule_.apart) {
      if (parts_[At(f)] > 1 && parts_[At(g)] > 1) return false;
    }
    for (const int f : splittable_) {
      if (rule_.factors[At(f)].whole_mesh && parts_[At(f)] > 1 && IsWorkRepeated()) return false;
    }
    // A halo comes from the next neighbours alone.
    for (const HaloFactor& halo : halos_) {
      const Factor& factor = rule_.factors[At(halo.factor)];
      const int64_t parts = parts_[At(halo.factor)];
      if (parts > 1 && std::max(factor.halo_low, factor.halo_high) > halo.extent / parts) return false;
    }
    return true;
  }

  bool IsWorkRepeated() const {
    for (size_t axis = 0; axis < current_.size(); ++axis) {
      if (current_[axis] < 0 && mesh_.shape[axis] > 1) return true;
    }
    return false;
  }

  Spec SpecOf(const Projection& array) const {
    Spec spec;
    spec.dims.resize(array.size());
    for (size_t d = 0; d < array.size(); ++d) {
      for (const int f : array[d]) spec.dims[d].insert(spec.dims[d].end(), axes_[At(f)].begin(), axes_[At(f)].end());
    }
    return spec;
  }

  Strategy Make() const {
    Strategy s;
    s.factor_of_axis = current_;
    std::vector<int> partial;
    for (size_t axis = 0; axis < current_.size(); ++axis) {
      if (current_[axis] < 0) continue;
      s.parallelism *= mesh_.shape[axis];
      if (rule_.factors[At(current_[axis])].kind == FactorKind::kContracted) partial.push_back(static_cast<int>(axis));
    }
    s.operands.reserve(rule_.operands.size());
    s.results.reserve(rule_.results.size());
    for (const Projection& array : rule_.operands) s.operands.push_back(SpecOf(array));
    const Combiner combiner = partial.empty() ? Combiner::kSum : combiner_;
    for (const Projection& array : rule_.results) s.results.push_back({SpecOf(array), partial, combiner});
    for (const HaloFactor& halo : halos_) AddExchanges(halo, s);
    return s;
  }

  void AddExchanges(const HaloFactor& halo, Strategy& s) const {
    const int64_t parts = parts_[At(halo.factor)];
    if (parts == 1) return;
    const Bytes own = ShardShape(s.operands[0], module_.shape(op_.operands[0]), mesh_).bytes();
    const int64_t row = own.value / (halo.extent / parts);  // bytes of one element of the dimension
    const Factor& factor = rule_.factors[At(halo.factor)];
    for (const int64_t rows : {factor.halo_low, factor.halo_high}) {
      if (rows == 0) continue;
      s.halo.push_back({CollectiveKind::kCollectivePermute, axes_[At(halo.factor)], Bytes(rows * row)});
    }
  }

  const Rule& rule_;
  const ir::Module& module_;
  const ir::Op& op_;
  const cluster::Mesh& mesh_;
  std::vector<int> splittable_;          // factors an axis can lie on
  std::vector<HaloFactor> halos_;        // those of them with a halo
  std::vector<std::vector<int>> joint_;  // dimensions of several factors
  Combiner combiner_ = Combiner::kSum;   // of the contracted factors

  // The assignment in the making: by axis, and by factor.
  std::vector<int> current_;
  std::vector<int64_t> parts_;
  std::vector<std::vector<int>> axes_;
  std::vector<Strategy> out_;
};

// Adds to `out` all ways to go on from `spec` with axes `axis`, axis + 1, ...
void AddSpecs(const ir::Shape& shape, const cluster::Mesh& mesh, size_t axis, Spec& spec, std::vector<Spec>& out) {
  if (axis == mesh.shape.size()) {
    out.push_back(spec);
    return;
  }
  AddSpecs(shape, mesh, axis + 1, spec, out);
  if (mesh.shape[axis] == 1) return;
  for (int d = 0; d < shape.rank(); ++d) {
    const auto at = static_cast<size_t>(d);
    if (shape.dims[at] == 1 || shape.dims[at] % (Parts(spec, d, mesh) * mesh.shape[axis]) != 0) continue;
    spec.dims[at].push_back(static_cast<int>(axis));
    AddSpecs(shape, mesh, axis + 1, spec, out);
    spec.dims[at].pop_back();
  }
}

}  // namespace

std::vector<Strategy> Strategies(const Rule& rule, const ir::Module& module, const ir::Op& op,
                                 const cluster::Mesh& mesh, const StrategyOptions& options) {
  return Enumeration(rule, module, op, mesh, options).Run();
}

std::vector<Spec> Specs(const ir::Shape& shape, const cluster::Mesh& mesh) {
  std::vector<Spec> out;
  Spec spec;
  spec.dims.resize(shape.dims.size());
  AddSpecs(shape, mesh, 0, spec, out);
  return out;
}

std::string Describe(const Strategy& strategy, const Rule& rule, const cluster::Mesh& mesh) {
  std::string out;
  for (size_t axis = 0; axis < strategy.factor_of_axis.size(); ++axis) {
    const int f = strategy.factor_of_axis[axis];
    if (f < 0) continue;
    ALPA_CHECK(f < static_cast<int>(rule.factors.size()));
    out += fmt::format("{}{} over {}", out.empty() ? "" : ", ", FactorName(f), mesh.axes[axis]);
  }
  return out.empty() ? "replicated" : out;
}

}  // namespace alpa::sharding
