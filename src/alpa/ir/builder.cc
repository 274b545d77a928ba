#include "alpa/ir/builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace alpa::ir {
namespace {

bool Contains(const std::vector<int64_t>& list, int64_t x) {
  return std::find(list.begin(), list.end(), x) != list.end();
}

int64_t WindowedExtent(int64_t extent, const WindowDim& w) {
  const int64_t base = (extent - 1) * w.base_dilation + 1 + w.pad_low + w.pad_high;
  const int64_t window = (w.size - 1) * w.window_dilation + 1;
  return base < window ? 0 : (base - window) / w.stride + 1;
}

}  // namespace

Module CombinerModule(OpKind kind, DType dtype) {
  GraphBuilder g(std::string(Name(kind)));
  const ValueId a = g.Parameter({dtype, {}});
  const ValueId b = g.Parameter({dtype, {}});
  return g.Build({g.Elementwise(kind, {a, b})});
}

GraphBuilder& GraphBuilder::At(Location location) {
  location_ = static_cast<int32_t>(module_.locations.size());
  module_.locations.push_back(std::move(location));
  return *this;
}

std::vector<ValueId> GraphBuilder::OpN(OpKind kind, std::vector<ValueId> operands, std::vector<Shape> results,
                                       Attributes attributes, std::vector<Module> regions) {
  const auto id = static_cast<OpId>(module_.ops.size());
  Op op;
  op.kind = kind;
  op.name = fmt::format("{}.{}", Name(kind), id);
  op.operands = std::move(operands);
  op.attributes = std::move(attributes);
  op.regions = std::move(regions);
  op.location = location_;
  for (const ValueId v : op.operands) ALPA_CHECK(v >= 0 && v < static_cast<ValueId>(module_.values.size()), op.name);
  for (Shape& shape : results) {
    op.results.push_back(static_cast<ValueId>(module_.values.size()));
    module_.values.push_back({std::move(shape), id, static_cast<int32_t>(op.results.size()) - 1});
  }
  module_.ops.push_back(op);
  return op.results;
}

ValueId GraphBuilder::Op1(OpKind kind, std::vector<ValueId> operands, Shape result, Attributes attributes,
                          std::vector<Module> regions) {
  return OpN(kind, std::move(operands), {std::move(result)}, std::move(attributes), std::move(regions))[0];
}

ValueId GraphBuilder::Parameter(Shape shape, std::string name) {
  const ValueId v = Op1(OpKind::kParameter, {}, std::move(shape));
  module_.inputs.push_back(v);
  module_.input_names.push_back(std::move(name));
  return v;
}

ValueId GraphBuilder::Constant(Shape shape, double value) {
  return Op1(OpKind::kConstant, {}, std::move(shape), ConstantAttr{std::hash<double>{}(value), true, value});
}

ValueId GraphBuilder::Literal(Shape shape, uint64_t hash) {
  return Op1(OpKind::kConstant, {}, std::move(shape), ConstantAttr{hash, false, 0});
}

ValueId GraphBuilder::Iota(Shape shape, int64_t dim) {
  return Op1(OpKind::kIota, {}, std::move(shape), DimsAttr{{dim}});
}

ValueId GraphBuilder::Elementwise(OpKind kind, std::vector<ValueId> operands) {
  ALPA_CHECK(IsElementwise(kind) && !operands.empty(), std::string(Name(kind)));
  Shape result = shape(operands[0]);
  for (const ValueId v : operands) {
    if (result.dims.empty()) result.dims = shape(v).dims;
    ALPA_CHECK(shape(v).dims.empty() || shape(v).dims == result.dims, std::string(Name(kind)));
  }
  if (kind == OpKind::kCompare || kind == OpKind::kIsFinite) result.dtype = DType::kPred;
  if (kind == OpKind::kSelect || kind == OpKind::kClamp) result.dtype = shape(operands[1]).dtype;
  return Op1(kind, std::move(operands), std::move(result));
}

ValueId GraphBuilder::Compare(ValueId a, ValueId b, const std::string& direction) {
  return Op1(OpKind::kCompare, {a, b}, {DType::kPred, shape(a).dims}, TextAttr{"direction=" + direction});
}

ValueId GraphBuilder::Convert(ValueId v, DType dtype) { return Op1(OpKind::kConvert, {v}, {dtype, shape(v).dims}); }

ValueId GraphBuilder::Broadcast(ValueId v, std::vector<int64_t> result_dims, std::vector<int64_t> mapping) {
  ALPA_CHECK(mapping.size() == shape(v).dims.size());
  for (size_t i = 0; i < mapping.size(); ++i) {
    ALPA_CHECK(result_dims[static_cast<size_t>(mapping[i])] == shape(v).dims[i]);
  }
  return Op1(OpKind::kBroadcast, {v}, {shape(v).dtype, std::move(result_dims)}, DimsAttr{std::move(mapping)});
}

ValueId GraphBuilder::Fill(Shape shape, double value) {
  return Broadcast(Scalar(value, shape.dtype), std::move(shape.dims), {});
}

ValueId GraphBuilder::Reshape(ValueId v, std::vector<int64_t> dims) {
  Shape result{shape(v).dtype, std::move(dims)};
  ALPA_CHECK(result.elements() == shape(v).elements());
  return Op1(OpKind::kReshape, {v}, std::move(result));
}

ValueId GraphBuilder::Transpose(ValueId v, std::vector<int64_t> permutation) {
  Shape result{shape(v).dtype, {}};
  for (const int64_t d : permutation) result.dims.push_back(shape(v).dims[static_cast<size_t>(d)]);
  return Op1(OpKind::kTranspose, {v}, std::move(result), DimsAttr{std::move(permutation)});
}

ValueId GraphBuilder::Reverse(ValueId v, std::vector<int64_t> dims) {
  return Op1(OpKind::kReverse, {v}, shape(v), DimsAttr{std::move(dims)});
}

ValueId GraphBuilder::Slice(ValueId v, std::vector<int64_t> start, std::vector<int64_t> limit) {
  Shape result{shape(v).dtype, {}};
  for (size_t i = 0; i < start.size(); ++i) result.dims.push_back(limit[i] - start[i]);
  std::vector<int64_t> stride(start.size(), 1);
  return Op1(OpKind::kSlice, {v}, std::move(result), SliceAttr{std::move(start), std::move(limit), std::move(stride)});
}

ValueId GraphBuilder::Pad(ValueId v, std::vector<int64_t> low, std::vector<int64_t> high) {
  Shape result = shape(v);
  for (size_t i = 0; i < low.size(); ++i) result.dims[i] += low[i] + high[i];
  std::vector<int64_t> interior(low.size(), 0);
  const ValueId zero = Scalar(0, result.dtype);
  return Op1(OpKind::kPad, {v, zero}, std::move(result), PadAttr{std::move(low), std::move(high), std::move(interior)});
}

ValueId GraphBuilder::Concatenate(std::vector<ValueId> operands, int64_t dim) {
  Shape result = shape(operands.at(0));
  auto& extent = result.dims.at(static_cast<size_t>(dim));
  for (size_t i = 1; i < operands.size(); ++i) extent += shape(operands[i]).dims.at(static_cast<size_t>(dim));
  return Op1(OpKind::kConcatenate, std::move(operands), std::move(result), DimsAttr{{dim}});
}

ValueId GraphBuilder::Dot(ValueId lhs, ValueId rhs, DotAttr attr) {
  Shape result{shape(lhs).dtype, {}};
  for (const int64_t d : attr.lhs_batch) result.dims.push_back(shape(lhs).dims[static_cast<size_t>(d)]);
  auto add_free = [&](const Shape& s, const std::vector<int64_t>& batch, const std::vector<int64_t>& contracting) {
    for (int64_t d = 0; d < s.rank(); ++d) {
      if (!Contains(batch, d) && !Contains(contracting, d)) result.dims.push_back(s.dims[static_cast<size_t>(d)]);
    }
  };
  add_free(shape(lhs), attr.lhs_batch, attr.lhs_contracting);
  add_free(shape(rhs), attr.rhs_batch, attr.rhs_contracting);
  return Op1(OpKind::kDot, {lhs, rhs}, std::move(result), std::move(attr));
}

ValueId GraphBuilder::MatMul(ValueId lhs, ValueId rhs) {
  return Dot(lhs, rhs, DotAttr{{}, {}, {shape(lhs).rank() - 1}, {0}});
}

ValueId GraphBuilder::Convolution(ValueId lhs, ValueId rhs, std::vector<int64_t> result_dims, ConvolutionAttr attr) {
  return Op1(OpKind::kConvolution, {lhs, rhs}, {shape(lhs).dtype, std::move(result_dims)}, std::move(attr));
}

ValueId GraphBuilder::Reduce(ValueId v, std::vector<int64_t> dims, OpKind combiner, double init) {
  Shape result{shape(v).dtype, {}};
  for (int64_t d = 0; d < shape(v).rank(); ++d) {
    if (!Contains(dims, d)) result.dims.push_back(shape(v).dims[static_cast<size_t>(d)]);
  }
  const ValueId start = Scalar(init, result.dtype);
  Module region = CombinerModule(combiner, result.dtype);
  return Op1(OpKind::kReduce, {v, start}, std::move(result), DimsAttr{std::move(dims)}, {std::move(region)});
}

ValueId GraphBuilder::ReduceWindow(ValueId v, std::vector<WindowDim> window, OpKind combiner, double init) {
  Shape result = shape(v);
  for (size_t i = 0; i < window.size(); ++i) result.dims[i] = WindowedExtent(result.dims[i], window[i]);
  const ValueId start = Scalar(init, result.dtype);
  Module region = CombinerModule(combiner, result.dtype);
  return Op1(OpKind::kReduceWindow, {v, start}, std::move(result), WindowAttr{std::move(window)}, {std::move(region)});
}

ValueId GraphBuilder::TakeRows(ValueId operand, ValueId indices) {
  const Shape& table = shape(operand);
  const Shape& at = shape(indices);
  GatherAttr attr;
  attr.collapsed_slice_dims = {0};
  attr.start_index_map = {0};
  attr.index_vector_dim = at.rank();
  attr.slice_sizes = table.dims;
  attr.slice_sizes[0] = 1;
  Shape result{table.dtype, at.dims};
  for (int d = 1; d < table.rank(); ++d) {
    attr.offset_dims.push_back(result.rank());
    result.dims.push_back(table.dims[static_cast<size_t>(d)]);
  }
  return Op1(OpKind::kGather, {operand, indices}, std::move(result), std::move(attr));
}

ValueId GraphBuilder::AddRows(ValueId operand, ValueId indices, ValueId updates) {
  ScatterAttr attr;
  attr.inserted_window_dims = {0};
  attr.scatter_dims_to_operand_dims = {0};
  attr.index_vector_dim = shape(indices).rank();
  for (int d = shape(indices).rank(); d < shape(updates).rank(); ++d) attr.update_window_dims.push_back(d);
  Module region = CombinerModule(OpKind::kAdd, shape(operand).dtype);
  return Op1(OpKind::kScatter, {operand, indices, updates}, shape(operand), std::move(attr), {std::move(region)});
}

Module GraphBuilder::Build(std::vector<ValueId> outputs, std::vector<Alias> aliases) const {
  Module module = module_;
  module.outputs = std::move(outputs);
  module.aliases = std::move(aliases);
  const Status valid = Verify(module);
  ALPA_CHECK(valid.ok(), valid.ok() ? "" : valid.error().message);
  return module;
}

}  // namespace alpa::ir
