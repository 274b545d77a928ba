#include "sharding/simulate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace alpa::test {
namespace {

using cluster::Mesh;
using ir::HostTensor;
using ir::OpKind;
using ir::Shape;
using sharding::Combiner;
using sharding::FactorKind;
using sharding::Rule;
using sharding::Strategy;

size_t At(int64_t i) { return static_cast<size_t>(i); }

// Element `at` of an array.
int64_t Offset(const Shape& shape, const std::vector<int64_t>& at) {
  int64_t offset = 0;
  for (size_t d = 0; d < at.size(); ++d) offset = offset * shape.dims[d] + at[d];
  return offset;
}

// Calls fn(position) for all elements.
void ForEach(const Shape& shape, const std::function<void(const std::vector<int64_t>&)>& fn) {
  std::vector<int64_t> at(shape.dims.size(), 0);
  for (int64_t i = 0; i < shape.elements(); ++i) {
    fn(at);
    for (size_t d = at.size(); d-- > 0;) {
      if (++at[d] < shape.dims[d]) break;
      at[d] = 0;
    }
  }
}

// The block of `whole` at `start`, which may reach over the edges; what lies outside is `fill`.
HostTensor BlockWithEdges(const HostTensor& whole, const std::vector<int64_t>& start, const std::vector<int64_t>& sizes,
                          double fill) {
  HostTensor out(Shape{whole.shape().dtype, sizes});
  ForEach(out.shape(), [&](const std::vector<int64_t>& at) {
    std::vector<int64_t> from = at;
    bool inside = true;
    for (size_t d = 0; d < at.size(); ++d) {
      from[d] += start[d];
      inside = inside && from[d] >= 0 && from[d] < whole.shape().dims[d];
    }
    SetElement(out, Offset(out.shape(), at), inside ? ElementAsDouble(whole, Offset(whole.shape(), from)) : fill);
  });
  return out;
}

// Everything that Localize needs to know at once.
class Localizer {
 public:
  Localizer(const OpCase& c, const Rule& rule, const Strategy& strategy, const Mesh& mesh)
      : c_(c), rule_(rule), strategy_(strategy), mesh_(mesh) {}

  LocalOps Run() {
    out_.op = c_.op();
    const ir::Op& op = c_.op();
    for (size_t r = 0; r < op.results.size(); ++r) {
      out_.result_shapes.push_back(ShardShape(strategy_.results[r].spec, c_.module.shape(op.results[r]), mesh_));
    }
    for (int64_t device = 0; device < mesh_.size(); ++device) {
      out_.operands.emplace_back();
      for (size_t k = 0; k < op.operands.size(); ++k) out_.operands.back().push_back(Piece(k, device));
    }
    for (const HostTensor& t : out_.operands[0]) out_.operand_shapes.push_back(t.shape());
    Adapt();
    for (size_t k = 0; k < op.operands.size(); ++k) out_.operand_shapes[k] = out_.operands[0][k].shape();
    return std::move(out_);
  }

 private:
  std::vector<int64_t> Start(size_t k, int64_t device) const {
    return ShardStart(strategy_.operands[k], c_.operands[k].shape(), mesh_, device);
  }
  int64_t PartsOf(size_t k, size_t dim) const { return Parts(strategy_.operands[k], static_cast<int>(dim), mesh_); }
  // The major factor of a dimension of operand 0, when it is split.
  const sharding::Factor* SplitFactor(size_t dim) const {
    if (PartsOf(0, dim) == 1) return nullptr;
    return &rule_.factors[At(rule_.operands[0][dim][0])];
  }

  // The part of operand k that the strategy gives to the device; of operand 0 with the halo that its factors say.
  HostTensor Piece(size_t k, int64_t device) const {
    const HostTensor& whole = c_.operands[k];
    std::vector<int64_t> start = Start(k, device);
    std::vector<int64_t> sizes = ShardShape(strategy_.operands[k], whole.shape(), mesh_).dims;
    double fill = 0;
    // The padding of a reduce-window is what the reduction starts from.
    if (c_.op().kind == OpKind::kReduceWindow) fill = ElementAsDouble(c_.operands[1], 0);
    for (size_t d = 0; k == 0 && d < sizes.size(); ++d) {
      const auto* factor = SplitFactor(d);
      if (factor == nullptr) continue;
      start[d] -= factor->halo_low;
      sizes[d] += factor->halo_low + factor->halo_high;
    }
    return BlockWithEdges(whole, start, sizes, fill);
  }

  // Attributes that speak of extents, and operands that speak of positions in the whole array.
  void Adapt() {
    switch (c_.op().kind) {
      case OpKind::kSlice:
        return AdaptSlice(std::get<ir::SliceAttr>(out_.op.attributes));
      case OpKind::kDynamicSlice:
        std::get<ir::DynamicSliceAttr>(out_.op.attributes).sizes = out_.result_shapes[0].dims;
        return;
      case OpKind::kDynamicUpdateSlice:
        return AdaptUpdates();
      case OpKind::kConvolution:
        return AdaptConvolution(std::get<ir::ConvolutionAttr>(out_.op.attributes));
      case OpKind::kReduceWindow:
        return AdaptWindow(std::get<ir::WindowAttr>(out_.op.attributes));
      case OpKind::kGather:
        return AdaptGather(std::get<ir::GatherAttr>(out_.op.attributes));
      case OpKind::kScatter:
        return AdaptScatter(std::get<ir::ScatterAttr>(out_.op.attributes));
      default:
        return;
    }
  }

  void AdaptSlice(ir::SliceAttr& attr) {
    for (size_t d = 0; d < attr.start.size(); ++d) {
      if (PartsOf(0, d) == 1) continue;
      attr.limit[d] = attr.start[d] + (out_.result_shapes[0].dims[d] - 1) * attr.stride[d] + 1;
    }
  }

  // The row to overwrite lies on one device; the others overwrite a row with itself.
  void AdaptUpdates() {
    const auto& whole = c_.operands[0].shape().dims;
    for (int64_t device = 0; device < mesh_.size(); ++device) {
      auto& operands = out_.operands[At(device)];
      const auto begin = Start(0, device);
      std::vector<int64_t> at(whole.size());
      bool here = true;
      for (size_t d = 0; d < whole.size(); ++d) {
        const int64_t size = operands[0].shape().dims[d];
        at[d] = static_cast<int64_t>(ElementAsDouble(c_.operands[2 + d], 0)) - begin[d];
        const bool row = PartsOf(0, d) > PartsOf(1, d);
        here = here && (!row || (at[d] >= 0 && at[d] < size));
        at[d] = std::clamp<int64_t>(at[d], 0, size - operands[1].shape().dims[d]);
        SetElement(operands[2 + d], 0, static_cast<double>(at[d]));
      }
      if (!here) operands[1] = SliceBlock(operands[0], at, operands[1].shape().dims);
    }
  }

  // The window of one dimension for `in` elements of input (with halo) and `out` of output. Of padding there is what no
  // halo fills; of a strided window none that it would not reach.
  static void Pad(ir::WindowDim& w, int64_t halo_low, int64_t in, int64_t out) {
    w.pad_low -= halo_low * w.base_dilation;
    const int64_t reach = (out - 1) * w.stride + (w.size - 1) * w.window_dilation + 1;
    w.pad_high = reach - ((in - 1) * w.base_dilation + 1) - w.pad_low;
    if (w.pad_high < 0 && w.pad_high > -w.stride) w.pad_high = 0;
  }

  void AdaptConvolution(ir::ConvolutionAttr& attr) {
    auto extent = [](const Shape& shape, int64_t d) { return shape.dims[At(d)]; };
    const Shape& lhs = out_.operand_shapes[0];
    const Shape& rhs = out_.operand_shapes[1];
    const Shape& out = out_.result_shapes[0];
    // Whole groups go to a device, or parts of a single one.
    attr.feature_groups = extent(lhs, attr.lhs_feature) / extent(rhs, attr.rhs_input_feature);
    attr.batch_groups = extent(lhs, attr.lhs_batch) / extent(out, attr.out_batch);
    for (size_t i = 0; i < attr.window.size(); ++i) {
      const auto* factor = SplitFactor(At(attr.lhs_spatial[i]));
      if (factor == nullptr) continue;
      attr.window[i].size = extent(rhs, attr.rhs_spatial[i]);
      Pad(attr.window[i], factor->halo_low, extent(lhs, attr.lhs_spatial[i]), extent(out, attr.out_spatial[i]));
    }
  }

  void AdaptWindow(ir::WindowAttr& attr) {
    for (size_t d = 0; d < attr.window.size(); ++d) {
      const auto* factor = SplitFactor(d);
      if (factor == nullptr) continue;
      const int64_t in = out_.operand_shapes[0].dims[d];
      Pad(attr.window[d], factor->halo_low, in, out_.result_shapes[0].dims[d]);
    }
  }

  // Numbers of index component `i` (along the index vector) become `change(number)` on one device.
  static void ChangeIndices(HostTensor& indices, int64_t vector_dim, int64_t component,
                            const std::function<int64_t(int64_t)>& change) {
    ForEach(indices.shape(), [&](const std::vector<int64_t>& at) {
      if (At(vector_dim) < at.size() && at[At(vector_dim)] != component) return;
      const int64_t offset = Offset(indices.shape(), at);
      const auto number = static_cast<int64_t>(ElementAsDouble(indices, offset));
      SetElement(indices, offset, static_cast<double>(change(number)));
    });
  }

  // A device gives 0 for what lies elsewhere: its piece gets a row of zeros, at which all other indices point.
  void AdaptGather(ir::GatherAttr& attr) {
    size_t window = 0;
    for (size_t d = 0; d < attr.slice_sizes.size(); ++d) {
      const auto dim = static_cast<int64_t>(d);
      auto in = [&](const std::vector<int64_t>& list) {
        return std::find(list.begin(), list.end(), dim) != list.end();
      };
      if (!in(attr.collapsed_slice_dims) && !in(attr.operand_batching_dims)) {
        attr.slice_sizes[d] = out_.result_shapes[0].dims[At(attr.offset_dims[window++])];
      }
      const auto component = std::find(attr.start_index_map.begin(), attr.start_index_map.end(), dim);
      const auto* factor = SplitFactor(d);
      if (factor == nullptr || factor->kind != FactorKind::kContracted) continue;
      for (int64_t device = 0; device < mesh_.size(); ++device) {
        auto& operands = out_.operands[At(device)];
        std::vector<int64_t> sizes = operands[0].shape().dims;
        const int64_t own = sizes[d]++;
        const int64_t begin = Start(0, device)[d];
        operands[0] = BlockWithEdges(operands[0], std::vector<int64_t>(sizes.size(), 0), sizes, 0);
        ChangeIndices(operands[1], attr.index_vector_dim, component - attr.start_index_map.begin(),
                      [&](int64_t i) { return i >= begin && i < begin + own ? i - begin : own; });
      }
    }
  }

  // Updates of other devices' rows have an index out of bounds, which scatter skips. What is scattered into takes part
  // once in a partial result.
  void AdaptScatter(const ir::ScatterAttr& attr) {
    const size_t indices = c_.op().results.size();
    for (int64_t device = 0; device < mesh_.size(); ++device) {
      auto& operands = out_.operands[At(device)];
      for (size_t i = 0; i < attr.scatter_dims_to_operand_dims.size(); ++i) {
        const size_t d = At(attr.scatter_dims_to_operand_dims[i]);
        const int64_t begin = Start(0, device)[d];
        ChangeIndices(operands[indices], attr.index_vector_dim, static_cast<int64_t>(i),
                      [&](int64_t number) { return number - begin; });
      }
      const auto& layout = strategy_.results[0];
      const auto at = mesh_.Coordinates(device);
      const bool first =
          std::all_of(layout.partial.begin(), layout.partial.end(), [&](int a) { return at[At(a)] == 0; });
      if (first || (layout.combiner != Combiner::kSum && layout.combiner != Combiner::kProduct)) continue;
      for (int64_t e = 0; e < operands[0].shape().elements(); ++e) {
        SetElement(operands[0], e, layout.combiner == Combiner::kSum ? 0 : 1);
      }
    }
  }

  const OpCase& c_;
  const Rule& rule_;
  const Strategy& strategy_;
  const Mesh& mesh_;
  LocalOps out_;
};

double Combine(Combiner combiner, double a, double b) {
  switch (combiner) {
    case Combiner::kSum:
      return a + b;
    case Combiner::kProduct:
      return a * b;
    case Combiner::kMax:
    case Combiner::kOr:
      return std::max(a, b);
    case Combiner::kMin:
    case Combiner::kAnd:
      return std::min(a, b);
    case Combiner::kOther:
      break;
  }
  ADD_FAILURE() << "a combiner that nothing joins";
  return 0;
}

}  // namespace

LocalOps Localize(const OpCase& c, const Rule& rule, const Strategy& strategy, const Mesh& mesh) {
  return Localizer(c, rule, strategy, mesh).Run();
}

HostTensor Join(const OpCase& c, size_t r, const Strategy& strategy, const Mesh& mesh,
                const std::vector<HostTensor>& pieces) {
  const auto& layout = strategy.results[r];
  const Shape& shape = c.module.shape(c.op().results[r]);
  auto on_first = [&](const std::vector<int64_t>& at, int64_t device) {  // at 0 along the partial axes, else like `at`
    auto own = mesh.Coordinates(device);
    for (const int axis : layout.partial) own[At(axis)] = 0;
    return own == at;
  };
  HostTensor whole(shape);
  std::vector<bool> known(At(shape.elements()), false);
  for (int64_t device = 0; device < mesh.size(); ++device) {
    const auto at = mesh.Coordinates(device);
    if (!on_first(at, device)) continue;
    HostTensor piece = pieces[At(device)];
    for (int64_t other = 0; other < mesh.size(); ++other) {
      if (other == device || !on_first(at, other)) continue;
      for (int64_t e = 0; e < piece.shape().elements(); ++e) {
        const double mine = ElementAsDouble(piece, e);
        SetElement(piece, e, Combine(layout.combiner, mine, ElementAsDouble(pieces[At(other)], e)));
      }
    }
    const auto start = ShardStart(layout.spec, shape, mesh, device);
    ForEach(piece.shape(), [&](const std::vector<int64_t>& local) {
      std::vector<int64_t> global = local;
      for (size_t d = 0; d < global.size(); ++d) global[d] += start[d];
      const int64_t to = Offset(shape, global);
      double value = ElementAsDouble(piece, Offset(piece.shape(), local));
      // A device's iota begins where its part does.
      if (c.op().kind == OpKind::kIota)
        value += static_cast<double>(start[At(std::get<ir::DimsAttr>(c.op().attributes).dims[0])]);
      if (known[At(to)]) EXPECT_EQ(ElementAsDouble(whole, to), value) << c.name << ": copies differ";
      SetElement(whole, to, value);
      known[At(to)] = true;
    });
  }
  EXPECT_TRUE(std::all_of(known.begin(), known.end(), [](bool k) { return k; })) << c.name << ": parts are missing";
  return whole;
}

double LargestDifference(const ir::HostTensor& a, const ir::HostTensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double largest = 0;
  for (int64_t i = 0; i < a.shape().elements(); ++i) {
    const double x = ElementAsDouble(a, i);
    const double y = ElementAsDouble(b, i);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    largest = std::max(largest, std::abs(x - y) / (1 + std::abs(y)));
  }
  return largest;
}

}  // namespace alpa::test
