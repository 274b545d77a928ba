// A small interpreter for tests: what a graph computes, in doubles. Knows the ops of transformers and MLPs.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "alpa/ir/module.h"

namespace alpa::frontend {

using Dims = std::vector<int64_t>;

struct Tensor {
  Dims dims;
  std::vector<double> data;  // row-major

  static Tensor Of(Dims dims) {
    int64_t n = 1;
    for (const int64_t d : dims) n *= d;
    return {std::move(dims), std::vector<double>(static_cast<size_t>(n), 0)};
  }
  size_t Flat(const Dims& index) const {
    int64_t flat = 0;
    for (size_t d = 0; d < dims.size(); ++d) flat = flat * dims[d] + index[d];
    return static_cast<size_t>(flat);
  }
  double& at(const Dims& index) { return data[Flat(index)]; }
  double at(const Dims& index) const { return data[Flat(index)]; }
};

// Calls visit(index) for every index of an array of these extents.
inline void ForEachIndex(const Dims& dims, const std::function<void(const Dims&)>& visit) {
  for (const int64_t d : dims) {
    if (d == 0) return;
  }
  Dims index(dims.size(), 0);
  while (true) {
    visit(index);
    size_t d = dims.size();
    while (d > 0 && ++index[d - 1] == dims[d - 1]) index[--d] = 0;
    if (d == 0) return;
  }
}

class Evaluator {
 public:
  explicit Evaluator(const ir::Module& module) : module_(module), values_(module.values.size()) {}

  // The values of all results of all ops, by ValueId.
  std::vector<Tensor> Run(const std::vector<Tensor>& inputs) {
    for (size_t i = 0; i < inputs.size(); ++i) values_[static_cast<size_t>(module_.inputs[i])] = inputs[i];
    for (const ir::Op& op : module_.ops) {
      if (op.kind == ir::OpKind::kParameter) continue;
      if (op.kind == ir::OpKind::kOptimizationBarrier) {
        for (size_t r = 0; r < op.results.size(); ++r) Result(op, r) = In(op, r);
        continue;
      }
      ALPA_CHECK(op.results.size() == 1, op.name);
      Result(op, 0) = Evaluate(op);
    }
    return std::move(values_);
  }

 private:
  using Kind = ir::OpKind;
  const Tensor& In(const ir::Op& op, size_t k) const { return values_[static_cast<size_t>(op.operands[k])]; }
  Tensor& Result(const ir::Op& op, size_t r) { return values_[static_cast<size_t>(op.results[r])]; }
  Tensor Empty(const ir::Op& op) const { return Tensor::Of(module_.shape(op.results[0]).dims); }

  Tensor Evaluate(const ir::Op& op) const {
    if (ir::IsElementwise(op.kind)) return Elementwise(op);
    switch (op.kind) {
      case Kind::kConstant:
        return Constant(op);
      case Kind::kReshape:
        return {module_.shape(op.results[0]).dims, In(op, 0).data};
      case Kind::kConcatenate:
        return Concatenate(op);
      case Kind::kDynamicUpdateSlice:
        return UpdateSlice(op);
      case Kind::kReduce:
        return Reduce(op);
      case Kind::kDot:
        return Dot(op);
      case Kind::kPad:
        return Pad(op);
      case Kind::kScatter:
        return AddRows(op);
      default:
        return Move(op);
    }
  }

  Tensor Constant(const ir::Op& op) const {
    const auto& constant = std::get<ir::ConstantAttr>(op.attributes);
    ALPA_CHECK(constant.splat, op.name);
    Tensor out = Empty(op);
    for (double& x : out.data) x = constant.value;
    return out;
  }

  Tensor Elementwise(const ir::Op& op) const {
    Tensor out = Empty(op);
    std::vector<double> x(op.operands.size());
    for (size_t i = 0; i < out.data.size(); ++i) {
      for (size_t k = 0; k < x.size(); ++k) x[k] = In(op, k).data[In(op, k).dims.empty() ? 0 : i];
      out.data[i] = Element(op, x);
    }
    return out;
  }

  double Element(const ir::Op& op, const std::vector<double>& x) const {
    const auto* text = std::get_if<ir::TextAttr>(&op.attributes);
    auto direction = [&](const char* d) { return text->text.find(d) != std::string::npos; };
    switch (op.kind) {
      case Kind::kAdd:
        return x[0] + x[1];
      case Kind::kSubtract:
        return x[0] - x[1];
      case Kind::kMultiply:
        return x[0] * x[1];
      case Kind::kDivide:
        return x[0] / x[1];
      case Kind::kMaximum:
        return std::max(x[0], x[1]);
      case Kind::kMinimum:
        return std::min(x[0], x[1]);
      case Kind::kPower:
        return std::pow(x[0], x[1]);
      case Kind::kNegate:
        return -x[0];
      case Kind::kExp:
        return std::exp(x[0]);
      case Kind::kLog:
        return std::log(x[0]);
      case Kind::kTanh:
        return std::tanh(x[0]);
      case Kind::kSqrt:
        return std::sqrt(x[0]);
      case Kind::kRsqrt:
        return 1 / std::sqrt(x[0]);
      case Kind::kSelect:
        return x[0] != 0 ? x[1] : x[2];
      case Kind::kConvert:
      case Kind::kCopy:
        return x[0];
      case Kind::kCompare:
        if (direction("EQ")) return x[0] == x[1];
        if (direction("NE")) return x[0] != x[1];
        if (direction("GE")) return x[0] >= x[1];
        if (direction("GT")) return x[0] > x[1];
        if (direction("LE")) return x[0] <= x[1];
        return x[0] < x[1];
      default:
        ALPA_CHECK(false, Describe(module_, op));
        return 0;
    }
  }

  // Ops whose result elements are elements of operand 0.
  Tensor Move(const ir::Op& op) const {
    Tensor out = Empty(op);
    ForEachIndex(out.dims,
                 [&](const Dims& to) { out.at(to) = op.kind == Kind::kIota ? IotaAt(op, to) : MovedTo(op, to); });
    return out;
  }
  static double IotaAt(const ir::Op& op, const Dims& to) {
    return static_cast<double>(to[static_cast<size_t>(std::get<ir::DimsAttr>(op.attributes).dims[0])]);
  }
  double MovedTo(const ir::Op& op, const Dims& to) const {
    const Tensor& from = In(op, 0);
    Dims index(from.dims.size(), 0);
    if (op.kind == Kind::kSlice) {
      const auto& slice = std::get<ir::SliceAttr>(op.attributes);
      for (size_t d = 0; d < index.size(); ++d) index[d] = slice.start[d] + to[d] * slice.stride[d];
    } else if (op.kind == Kind::kBroadcast) {
      const auto& dims = std::get<ir::DimsAttr>(op.attributes).dims;
      for (size_t d = 0; d < index.size(); ++d) index[d] = from.dims[d] == 1 ? 0 : to[static_cast<size_t>(dims[d])];
    } else if (op.kind == Kind::kTranspose) {
      const auto& dims = std::get<ir::DimsAttr>(op.attributes).dims;
      for (size_t d = 0; d < index.size(); ++d) index[static_cast<size_t>(dims[d])] = to[d];
    } else {
      ALPA_CHECK(op.kind == Kind::kGather, Describe(module_, op));
      index[0] = RowAt(In(op, 1), to);
      index.back() = to.back();
    }
    return from.at(index);
  }
  // Rows taken or added by number: indices [i..., 1] or [i...], updates [i..., width].
  static int64_t RowAt(const Tensor& indices, const Dims& place) {
    Dims index(place.begin(), place.end() - 1);
    if (indices.dims.size() > index.size()) index.push_back(0);
    return static_cast<int64_t>(indices.at(index));
  }
  Tensor AddRows(const ir::Op& op) const {
    Tensor out = In(op, 0);
    ForEachIndex(In(op, 2).dims, [&](const Dims& from) {
      out.at({RowAt(In(op, 1), from), from.back()}) += In(op, 2).at(from);
    });
    return out;
  }

  Tensor Concatenate(const ir::Op& op) const {
    const auto dim = static_cast<size_t>(std::get<ir::DimsAttr>(op.attributes).dims[0]);
    Tensor out = Empty(op);
    int64_t offset = 0;
    for (size_t k = 0; k < op.operands.size(); ++k) {
      ForEachIndex(In(op, k).dims, [&](const Dims& from) {
        Dims to = from;
        to[dim] += offset;
        out.at(to) = In(op, k).at(from);
      });
      offset += In(op, k).dims[dim];
    }
    return out;
  }

  Tensor UpdateSlice(const ir::Op& op) const {
    Tensor out = In(op, 0);
    ForEachIndex(In(op, 1).dims, [&](const Dims& from) {
      Dims to = from;
      for (size_t d = 0; d < to.size(); ++d) to[d] += static_cast<int64_t>(In(op, d + 2).data[0]);
      out.at(to) = In(op, 1).at(from);
    });
    return out;
  }

  Tensor Pad(const ir::Op& op) const {
    const auto& pad = std::get<ir::PadAttr>(op.attributes);
    Tensor out = Empty(op);
    for (double& x : out.data) x = In(op, 1).data[0];
    ForEachIndex(In(op, 0).dims, [&](const Dims& from) {
      Dims to = from;
      for (size_t d = 0; d < to.size(); ++d) to[d] = pad.low[d] + from[d] * (pad.interior[d] + 1);
      out.at(to) = In(op, 0).at(from);
    });
    return out;
  }

  Tensor Reduce(const ir::Op& op) const {
    const auto& dims = std::get<ir::DimsAttr>(op.attributes).dims;
    const ir::OpKind combiner = ir::CombinerOf(op);
    Tensor out = Empty(op);
    for (double& x : out.data) x = In(op, 1).data[0];
    ForEachIndex(In(op, 0).dims, [&](const Dims& from) {
      Dims to;
      for (size_t d = 0; d < from.size(); ++d) {
        if (std::find(dims.begin(), dims.end(), static_cast<int64_t>(d)) == dims.end()) to.push_back(from[d]);
      }
      double& sum = out.at(to);
      const double x = In(op, 0).at(from);
      ALPA_CHECK(combiner == Kind::kAdd || combiner == Kind::kMaximum, op.name);
      sum = combiner == Kind::kAdd ? sum + x : std::max(sum, x);
    });
    return out;
  }

  Tensor Dot(const ir::Op& op) const {
    const auto& dot = std::get<ir::DotAttr>(op.attributes);
    auto free = [](const Dims& dims, const Dims& batch, const Dims& contracting) {
      Dims out;
      for (int64_t d = 0; d < static_cast<int64_t>(dims.size()); ++d) {
        const bool used = std::find(batch.begin(), batch.end(), d) != batch.end() ||
                          std::find(contracting.begin(), contracting.end(), d) != contracting.end();
        if (!used) out.push_back(d);
      }
      return out;
    };
    const Tensor& lhs = In(op, 0);
    const Tensor& rhs = In(op, 1);
    const Dims lhs_free = free(lhs.dims, dot.lhs_batch, dot.lhs_contracting);
    const Dims rhs_free = free(rhs.dims, dot.rhs_batch, dot.rhs_contracting);
    Dims sums;
    for (const int64_t d : dot.lhs_contracting) sums.push_back(lhs.dims[static_cast<size_t>(d)]);
    Tensor out = Empty(op);
    Dims a(lhs.dims.size(), 0);
    Dims b(rhs.dims.size(), 0);
    ForEachIndex(out.dims, [&](const Dims& to) {
      size_t k = 0;
      for (size_t d = 0; d < dot.lhs_batch.size(); ++d, ++k) {
        a[static_cast<size_t>(dot.lhs_batch[d])] = b[static_cast<size_t>(dot.rhs_batch[d])] = to[k];
      }
      for (const int64_t d : lhs_free) a[static_cast<size_t>(d)] = to[k++];
      for (const int64_t d : rhs_free) b[static_cast<size_t>(d)] = to[k++];
      double& sum = out.at(to);
      ForEachIndex(sums, [&](const Dims& index) {
        for (size_t d = 0; d < index.size(); ++d) {
          a[static_cast<size_t>(dot.lhs_contracting[d])] = b[static_cast<size_t>(dot.rhs_contracting[d])] = index[d];
        }
        sum += lhs.at(a) * rhs.at(b);
      });
    });
    return out;
  }

  const ir::Module& module_;
  std::vector<Tensor> values_;
};

// The outputs of `module` for these inputs.
inline std::vector<Tensor> EvaluateModule(const ir::Module& module, const std::vector<Tensor>& inputs) {
  const std::vector<Tensor> values = Evaluator(module).Run(inputs);
  std::vector<Tensor> out;
  for (const ir::ValueId v : module.outputs) out.push_back(values[static_cast<size_t>(v)]);
  return out;
}

// Small numbers that differ; whole ones below 8 for integers.
inline std::vector<Tensor> SomeInputs(const ir::Module& module) {
  std::vector<Tensor> out;
  uint64_t state = 1;
  for (const ir::ValueId v : module.inputs) {
    Tensor t = Tensor::Of(module.shape(v).dims);
    for (double& x : t.data) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      const auto number = static_cast<double>(state >> 40) / static_cast<double>(uint64_t{1} << 24);
      x = ir::IsFloat(module.shape(v).dtype) ? 0.1 + 0.5 * number : std::floor(8 * number);
    }
    out.push_back(std::move(t));
  }
  return out;
}

inline double LargestDifference(const Tensor& a, const Tensor& b) {
  if (a.dims != b.dims) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (size_t i = 0; i < a.data.size(); ++i) {
    // Not a number anywhere counts as a difference.
    if (!(std::abs(a.data[i] - b.data[i]) <= largest)) largest = std::abs(a.data[i] - b.data[i]);
  }
  return largest;
}

}  // namespace alpa::frontend
