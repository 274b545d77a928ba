#include "alpa/runtime/index_bound.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <variant>
#include <vector>

namespace alpa::runtime {
namespace {

using ir::Op;
using ir::OpKind;
using ir::ValueId;

// The input's values at some place of the graph: they are `value`, of which, after a concatenation into index vectors,
// only position `part` along dimension `dim` (-1: all of it, or unknown which).
struct Place {
  ValueId value = -1;
  int64_t dim = -1;
  int64_t part = -1;
  bool operator<(const Place& o) const { return std::tie(value, dim, part) < std::tie(o.value, o.dim, o.part); }
};

class BoundFinder {
 public:
  explicit BoundFinder(const ir::Module& module) : module_(module), users_(ir::Users(module)) {}

  std::optional<int64_t> Find(ValueId input) {
    Visit({input});
    while (!pending_.empty()) {
      const Place place = pending_.back();
      pending_.pop_back();
      for (const ir::OpId user : users_[static_cast<size_t>(place.value)]) {
        const Op& op = module_.op(user);
        for (size_t i = 0; i < op.operands.size(); ++i) {
          if (op.operands[i] == place.value) Follow(place, op, i);
        }
      }
    }
    return bound_;
  }

 private:
  void Visit(Place place) {
    if (seen_.insert(place).second) pending_.push_back(place);
  }

  void Restrict(int64_t bound) {
    if (bound >= 1) bound_ = std::min(bound_.value_or(bound), bound);
  }

  const std::vector<int64_t>& Dims(ValueId value) const { return module_.shape(value).dims; }

  // What the values at `place`, operand number `operand` of `op`, tell there, and where they go on.
  void Follow(const Place& place, const Op& op, size_t operand) {
    switch (op.kind) {
      case OpKind::kConvert:
      case OpKind::kCopy:
      case OpKind::kMaximum:
      case OpKind::kMinimum:
        return Visit({op.results[0], place.dim, place.part});
      case OpKind::kClamp:
        if (operand == 1) Visit({op.results[0], place.dim, place.part});
        return;
      case OpKind::kSelect:
        if (operand > 0) Visit({op.results[0], place.dim, place.part});
        return;
      case OpKind::kOptimizationBarrier:
        return Visit({op.results[operand], place.dim, place.part});
      case OpKind::kReshape:
      case OpKind::kBroadcast:
      case OpKind::kTranspose:
      case OpKind::kReverse:
      case OpKind::kSlice:
        return Visit({op.results[0]});
      case OpKind::kConcatenate:
        return Concatenated(op, operand);
      case OpKind::kCompare:
        return Compared(op, op.operands[1 - operand]);
      case OpKind::kGather:
        return Gathered(place, op, operand);
      case OpKind::kScatter:
        return Scattered(place, op, operand);
      case OpKind::kDynamicSlice:
        return Sliced(op, operand, 1, Dims(op.results[0]));
      case OpKind::kDynamicUpdateSlice:
        return Sliced(op, operand, 2, Dims(op.operands[1]));
      default:
        return;
    }
  }

  void Concatenated(const Op& op, size_t operand) {
    const int64_t dim = std::get<ir::DimsAttr>(op.attributes).dims[0];
    int64_t part = 0;
    for (size_t i = 0; i < operand; ++i) part += Dims(op.operands[i])[static_cast<size_t>(dim)];
    Visit({op.results[0], dim, part});
  }

  // One-hot encodings compare for equality with an iota.
  void Compared(const Op& op, ValueId other) {
    const auto* text = std::get_if<ir::TextAttr>(&op.attributes);
    if (text != nullptr && text->text.find("EQ") == std::string::npos) return;
    for (;;) {
      const Op& producer = module_.producer(other);
      if (producer.kind == OpKind::kIota) {
        const int64_t dim = std::get<ir::DimsAttr>(producer.attributes).dims[0];
        return Restrict(Dims(other)[static_cast<size_t>(dim)]);
      }
      const bool same_values = producer.kind == OpKind::kBroadcast || producer.kind == OpKind::kReshape ||
                               producer.kind == OpKind::kTranspose || producer.kind == OpKind::kConvert ||
                               producer.kind == OpKind::kCopy;
      if (!same_values) return;
      other = producer.operands[0];
    }
  }

  // Restricts by the dimensions `map` says the index vectors address; `last(d)` is the number of valid starts along d.
  template <typename F>
  void Indexes(const Place& place, int64_t index_vector_dim, const std::vector<int64_t>& map, F valid_starts) {
    if (place.dim == index_vector_dim && place.part < static_cast<int64_t>(map.size())) {
      return Restrict(valid_starts(static_cast<size_t>(map[static_cast<size_t>(place.part)])));
    }
    for (const int64_t d : map) Restrict(valid_starts(static_cast<size_t>(d)));
  }

  void Gathered(const Place& place, const Op& op, size_t operand) {
    if (operand != 1) return;
    const auto& a = std::get<ir::GatherAttr>(op.attributes);
    Indexes(place, a.index_vector_dim, a.start_index_map,
            [&](size_t d) { return Dims(op.operands[0])[d] - a.slice_sizes[d] + 1; });
  }

  void Scattered(const Place& place, const Op& op, size_t operand) {
    if (operand != op.operands.size() / 2) return;  // n arrays, the indices, n updates
    const auto& a = std::get<ir::ScatterAttr>(op.attributes);
    Indexes(place, a.index_vector_dim, a.scatter_dims_to_operand_dims,
            [&](size_t d) { return Dims(op.operands[0])[d]; });
  }

  void Sliced(const Op& op, size_t operand, size_t first_index, const std::vector<int64_t>& sizes) {
    if (operand < first_index) return;
    const size_t d = operand - first_index;
    Restrict(Dims(op.operands[0])[d] - sizes[d] + 1);
  }

  const ir::Module& module_;
  std::vector<std::vector<ir::OpId>> users_;
  std::set<Place> seen_;
  std::vector<Place> pending_;
  std::optional<int64_t> bound_;
};

}  // namespace

std::optional<int64_t> IndexBound(const ir::Module& module, int32_t input) {
  return BoundFinder(module).Find(module.inputs[static_cast<size_t>(input)]);
}

}  // namespace alpa::runtime
