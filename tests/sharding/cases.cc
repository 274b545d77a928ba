#include "sharding/cases.h"

#include <map>
#include <string>
#include <utility>

#include "alpa/ir/builder.h"

namespace alpa::test {
namespace {

using ir::DType;
using ir::GraphBuilder;
using ir::HostTensor;
using ir::Module;
using ir::OpKind;
using ir::Shape;
using ir::ValueId;
using ir::WindowDim;

// Whole numbers, so that sums are exact in any order.
HostTensor Numbers(const Shape& shape, uint64_t seed, int64_t low, int64_t high) {
  HostTensor out(shape);
  uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
  for (int64_t i = 0; i < shape.elements(); ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    SetElement(out, i,
               static_cast<double>(low + static_cast<int64_t>((state >> 33) % static_cast<uint64_t>(high - low))));
  }
  return out;
}

// Cases, written as graphs of one op whose operands are parameters and constants.
class Cases : public GraphBuilder {
 public:
  ValueId In(std::vector<int64_t> dims, DType type = DType::kF32) {
    const Shape shape{type, std::move(dims)};
    return Put(type == DType::kPred ? Numbers(shape, ++seed_, 0, 2) : Numbers(shape, ++seed_, -4, 5));
  }
  ValueId Ids(std::vector<int64_t> dims, int64_t limit) {
    return Put(Numbers({DType::kS32, std::move(dims)}, ++seed_, 0, limit));
  }
  // Symmetric and dominated by its diagonal.
  ValueId Definite(std::vector<int64_t> dims) {
    HostTensor t(Shape{DType::kF32, dims});
    const int64_t n = dims.back();
    for (int64_t i = 0; i < t.shape().elements(); ++i) {
      const int64_t row = i / n % n;
      const int64_t column = i % n;
      const int64_t number = row == column ? 4 * n + i / (n * n) : (row + column) % 3;
      SetElement(t, i, static_cast<double>(number));
    }
    return Put(std::move(t));
  }
  void Add(std::string name, ValueId v) {
    OpCase c{std::move(name), Build({v}), v, {}};
    for (const ValueId operand : c.op().operands) {
      const ir::Op& producer = c.module.producer(operand);
      if (const auto* constant = std::get_if<ir::ConstantAttr>(&producer.attributes)) {
        c.operands.emplace_back(c.module.shape(operand));
        SetElement(c.operands.back(), 0, constant->value);
      } else {
        c.operands.push_back(values_.at(operand));
      }
    }
    cases_.push_back(std::move(c));
  }
  const std::vector<OpCase>& all() const { return cases_; }

 private:
  ValueId Put(HostTensor t) {
    const ValueId v = Parameter(t.shape());
    values_.emplace(v, std::move(t));
    return v;
  }
  uint64_t seed_ = 0;
  std::map<ValueId, HostTensor> values_;
  std::vector<OpCase> cases_;
};

ir::ConvolutionAttr Nhwc(std::vector<WindowDim> window) {
  ir::ConvolutionAttr a;
  a.lhs_batch = 0, a.lhs_spatial = {1, 2}, a.lhs_feature = 3;
  a.rhs_spatial = {0, 1}, a.rhs_input_feature = 2, a.rhs_output_feature = 3;
  a.out_batch = 0, a.out_spatial = {1, 2}, a.out_feature = 3;
  a.window = std::move(window);
  return a;
}

// The gradient of a kernel, as JAX writes it.
ir::ConvolutionAttr KernelGradient(std::vector<WindowDim> window) {
  ir::ConvolutionAttr a = Nhwc(std::move(window));
  a.lhs_batch = 3, a.lhs_feature = 0;
  a.rhs_input_feature = 0, a.rhs_spatial = {1, 2}, a.rhs_output_feature = 3;
  a.out_batch = 2, a.out_spatial = {0, 1}, a.out_feature = 3;
  return a;
}

}  // namespace

std::vector<OpCase> ElementwiseCases() {
  Cases c;
  const ValueId x = c.In({12, 6, 4});
  const ValueId y = c.In({12, 6, 4});
  const ValueId flags = c.In({12, 6, 4}, DType::kPred);
  c.Add("add", c.Elementwise(OpKind::kAdd, {x, y}));
  c.Add("exp", c.Elementwise(OpKind::kExp, {x}));
  c.Add("compare", c.Compare(x, y, "LT"));
  c.Add("convert", c.Convert(x, DType::kS32));
  c.Add("select", c.Elementwise(OpKind::kSelect, {flags, x, y}));
  c.Add("clamp", c.Elementwise(OpKind::kClamp, {c.In({12, 6, 4}), x, c.In({12, 6, 4})}));
  c.Add("bitcast to bytes", c.Op1(OpKind::kBitcastConvert, {x}, {DType::kU8, {12, 6, 4, 4}}));
  c.Add("bitcast to words", c.Op1(OpKind::kBitcastConvert, {c.In({12, 6, 4}, DType::kS8)}, {DType::kS32, {12, 6}}));
  c.Add("map", c.Op1(OpKind::kMap, {x, y}, c.shape(x), ir::DimsAttr{{0, 1, 2}},
                     {ir::CombinerModule(OpKind::kMultiply, DType::kF32)}));
  c.Add("iota", c.Iota({DType::kS32, {12, 6}}, 0));
  return c.all();
}

std::vector<OpCase> MovementCases() {
  Cases c;
  const ValueId x = c.In({12, 6, 4});
  const ValueId zero = c.Ids({}, 1);
  const ValueId two = c.Ids({}, 6);
  c.Add("broadcast", c.Broadcast(c.In({6, 4}), {12, 6, 4}, {1, 2}));
  c.Add("broadcast a scalar", c.Broadcast(c.In({}), {12, 6}, {}));
  c.Add("transpose", c.Transpose(x, {2, 0, 1}));
  c.Add("slice", c.Slice(x, {0, 1, 0}, {12, 5, 4}));
  c.Add("slice, strided",
        c.Op1(OpKind::kSlice, {x}, {DType::kF32, {6, 6, 2}}, ir::SliceAttr{{1, 0, 0}, {12, 6, 3}, {2, 1, 2}}));
  c.Add("pad", c.Pad(x, {0, 1, 0}, {0, 2, 0}));
  c.Add("pad, interior", c.Op1(OpKind::kPad, {x, c.Scalar(3)}, {DType::kF32, {24, 6, 12}},
                               ir::PadAttr{{1, 0, 1}, {0, 0, 1}, {1, 0, 2}}));
  c.Add("concatenate", c.Concatenate({x, c.In({12, 2, 4}), c.In({12, 1, 4})}, 1));
  c.Add("reverse", c.Reverse(x, {1}));
  c.Add("dynamic slice", c.Op1(OpKind::kDynamicSlice, {x, zero, two, zero}, {DType::kF32, {12, 3, 4}},
                               ir::DynamicSliceAttr{{12, 3, 4}}));
  c.Add("dynamic update", c.Op1(OpKind::kDynamicUpdateSlice, {x, c.In({12, 3, 4}), zero, two, zero}, c.shape(x)));
  c.Add("dynamic update, a row",
        c.Op1(OpKind::kDynamicUpdateSlice, {x, c.In({12, 1, 4}), zero, two, zero}, c.shape(x)));
  return c.all();
}

std::vector<OpCase> ReshapeCases() {
  Cases c;
  c.Add("merge", c.Reshape(c.In({12, 6, 4}), {12, 24}));
  c.Add("merge all", c.Reshape(c.In({2, 6, 4}), {48}));
  c.Add("split", c.Reshape(c.In({24, 6}), {4, 6, 6}));
  c.Add("split, merge", c.Reshape(c.In({12, 4, 6}), {2, 6, 24}));
  c.Add("shift", c.Reshape(c.In({12, 4}), {4, 12}));
  c.Add("with ones", c.Reshape(c.In({12, 1, 6}), {1, 12, 6, 1}));
  c.Add("common part", c.Reshape(c.In({12, 4}), {8, 6}));
  c.Add("nothing in common", c.Reshape(c.In({2, 3, 4}), {3, 2, 4}));
  return c.all();
}

std::vector<OpCase> DotCases() {
  Cases c;
  c.Add("matmul", c.MatMul(c.In({12, 24}), c.In({24, 12})));
  c.Add("matmul, bf16", c.MatMul(c.In({12, 12}, DType::kBF16), c.In({12, 12}, DType::kBF16)));
  c.Add("scores", c.Dot(c.In({4, 6, 6, 4}), c.In({4, 6, 6, 4}), {{0, 2}, {0, 2}, {3}, {3}}));
  c.Add("weight gradient", c.Dot(c.In({4, 6, 12}), c.In({4, 6, 12}), {{}, {}, {0, 1}, {0, 1}}));
  c.Add("experts", c.Dot(c.In({4, 6, 12}), c.In({4, 12, 6}), {{0}, {0}, {2}, {1}}));
  c.Add("integers", c.MatMul(c.In({12, 12}, DType::kS32), c.In({12, 12}, DType::kS32)));
  return c.all();
}

std::vector<OpCase> ReduceCases() {
  Cases c;
  const ValueId x = c.In({12, 6, 4});
  const ValueId flags = c.In({12, 6, 4}, DType::kPred);
  c.Add("sum", c.Reduce(x, {1}));
  c.Add("sum of all", c.Reduce(x, {0, 1, 2}));
  c.Add("product", c.Reduce(c.In({12, 6, 2}), {1, 2}, OpKind::kMultiply, 1));
  c.Add("max from 3", c.Reduce(x, {0}, OpKind::kMaximum, 3));
  c.Add("min from -2", c.Reduce(x, {0, 2}, OpKind::kMinimum, -2));
  c.Add("and", c.Reduce(flags, {0}, OpKind::kAnd, 1));
  c.Add("or", c.Reduce(flags, {0}, OpKind::kOr, 0));
  c.Add("sum from 5", c.Reduce(x, {1}, OpKind::kAdd, 5));
  GraphBuilder argmax;
  const Shape f{DType::kF32, {}};
  const Shape i{DType::kS32, {}};
  const ValueId a = argmax.Parameter(f), ai = argmax.Parameter(i), b = argmax.Parameter(f), bi = argmax.Parameter(i);
  const ValueId first = argmax.Compare(a, b, "GE");
  const Module region = argmax.Build(
      {argmax.Elementwise(OpKind::kSelect, {first, a, b}), argmax.Elementwise(OpKind::kSelect, {first, ai, bi})});
  c.Add("argmax", c.OpN(OpKind::kReduce, {x, c.Ids({12, 6, 4}, 99), c.Scalar(-9), c.Scalar(0, DType::kS32)},
                        {{DType::kF32, {12, 4}}, {DType::kS32, {12, 4}}}, ir::DimsAttr{{1}}, {region})[0]);
  return c.all();
}

std::vector<OpCase> ConvolutionCases() {
  Cases c;
  const WindowDim one;
  const WindowDim one_strided{.size = 1, .stride = 2};
  const WindowDim same{.size = 3, .pad_low = 1, .pad_high = 1};
  const WindowDim strided{.size = 3, .stride = 2, .pad_high = 1};
  const WindowDim seven{.size = 7, .stride = 2, .pad_low = 2, .pad_high = 3};
  const ValueId x = c.In({2, 12, 12, 6});
  c.Add("1x1", c.Convolution(x, c.In({1, 1, 6, 4}), {2, 12, 12, 4}, Nhwc({one, one})));
  c.Add("1x1, stride 2", c.Convolution(x, c.In({1, 1, 6, 4}), {2, 6, 6, 4}, Nhwc({one_strided, one_strided})));
  c.Add("3x3", c.Convolution(x, c.In({3, 3, 6, 4}), {2, 12, 12, 4}, Nhwc({same, same})));
  c.Add("3x3, stride 2", c.Convolution(x, c.In({3, 3, 6, 4}), {2, 6, 6, 4}, Nhwc({strided, strided})));
  c.Add("7x7, stride 2", c.Convolution(c.In({2, 24, 24, 3}), c.In({7, 7, 3, 4}), {2, 12, 12, 4}, Nhwc({seven, seven})));
  c.Add("3x3, valid", c.Convolution(x, c.In({3, 3, 6, 4}), {2, 10, 10, 4}, Nhwc({{.size = 3}, {.size = 3}})));
  c.Add("3x3, window dilation",
        c.Convolution(x, c.In({3, 3, 6, 4}), {2, 12, 12, 4},
                      Nhwc({{.size = 3, .pad_low = 2, .pad_high = 2, .window_dilation = 2}, same})));
  return c.all();
}

// One long and one short dimension each: XLA's CPU back end is slow at compiling and running these.
std::vector<OpCase> ConvolutionGradientCases() {
  Cases c;
  const WindowDim same{.size = 3, .pad_low = 1, .pad_high = 1, .reversed = true};
  const WindowDim dilated{.size = 3, .pad_low = 2, .pad_high = 1, .base_dilation = 2, .reversed = true};
  const WindowDim image{.size = 12, .pad_low = 1, .pad_high = 1};
  const WindowDim image_strided{.size = 6, .pad_high = 1, .window_dilation = 2};
  const WindowDim image_of_one{.size = 6, .pad_high = -1, .window_dilation = 2};
  const WindowDim two{.size = 2};
  const ValueId x = c.In({2, 12, 2, 4});
  c.Add("input of 3x1", c.Convolution(c.In({2, 12, 2, 6}), c.In({3, 1, 6, 4}), {2, 12, 2, 4}, Nhwc({same, {}})));
  c.Add("input of 3x1, stride 2",
        c.Convolution(c.In({2, 6, 2, 6}), c.In({3, 1, 6, 4}), {2, 12, 2, 4}, Nhwc({dilated, {}})));
  c.Add("kernel 3x1", c.Convolution(x, c.In({2, 12, 2, 6}), {3, 1, 4, 6}, KernelGradient({image, two})));
  c.Add("kernel 3x1, stride 2",
        c.Convolution(x, c.In({2, 6, 2, 6}), {3, 1, 4, 6}, KernelGradient({image_strided, two})));
  c.Add("kernel 1x1", c.Convolution(x, c.In({2, 12, 2, 6}), {1, 1, 4, 6}, KernelGradient({{.size = 12}, two})));
  c.Add("kernel 1x1, stride 2",
        c.Convolution(x, c.In({2, 6, 2, 6}), {1, 1, 4, 6}, KernelGradient({image_of_one, two})));
  return c.all();
}

std::vector<OpCase> GroupedConvolutionCases() {
  Cases c;
  const WindowDim one;
  const WindowDim same{.size = 3, .pad_low = 1, .pad_high = 1};
  ir::ConvolutionAttr grouped = Nhwc({same, one});
  grouped.feature_groups = 3;
  c.Add("feature groups", c.Convolution(c.In({2, 6, 2, 12}), c.In({3, 1, 4, 12}), {2, 6, 2, 12}, grouped));
  grouped.feature_groups = 4;
  c.Add("4 feature groups", c.Convolution(c.In({2, 6, 2, 8}), c.In({3, 1, 2, 8}), {2, 6, 2, 8}, grouped));
  grouped.feature_groups = 12;
  c.Add("depthwise", c.Convolution(c.In({2, 6, 2, 12}), c.In({3, 1, 1, 24}), {2, 6, 2, 24}, grouped));
  grouped.feature_groups = 1;
  grouped.batch_groups = 6;
  c.Add("batch groups", c.Convolution(c.In({12, 6, 2, 4}), c.In({3, 1, 4, 12}), {2, 6, 2, 12}, grouped));
  return c.all();
}

std::vector<OpCase> WindowCases() {
  Cases c;
  const ValueId x = c.In({4, 12, 12});
  const WindowDim one;
  const WindowDim tile{.size = 2, .stride = 2};
  const WindowDim pool{.size = 3, .stride = 2, .pad_high = 1};
  c.Add("max pool", c.ReduceWindow(x, {one, pool, pool}, OpKind::kMaximum, -99));
  c.Add("average pool", c.ReduceWindow(x, {one, tile, tile}));
  c.Add("sum of neighbours", c.ReduceWindow(x, {one, {.size = 3, .pad_low = 1, .pad_high = 1}, {.size = 12}}));
  c.Add("padded with 1", c.ReduceWindow(x, {one, {.size = 3, .pad_low = 2}, one}, OpKind::kMultiply, 1));
  c.Add("cumulative sum", c.ReduceWindow(x, {one, {.size = 12, .pad_low = 11}, one}));
  c.Add("every second", c.ReduceWindow(x, {one, {.size = 1, .stride = 2}, one}));
  GraphBuilder select;
  const ValueId a = select.Parameter({DType::kF32, {}}), b = select.Parameter({DType::kF32, {}});
  const Module greater = select.Build({select.Compare(a, b, "GE")});
  const Module add = ir::CombinerModule(OpKind::kAdd, DType::kF32);
  c.Add("select and scatter", c.Op1(OpKind::kSelectAndScatter, {x, c.In({4, 6, 4}), c.Scalar(0)}, c.shape(x),
                                    ir::WindowAttr{{one, tile, {.size = 3, .stride = 3}}}, {greater, add}));
  c.Add("..., overlapping", c.Op1(OpKind::kSelectAndScatter, {x, c.In({4, 6, 6}), c.Scalar(0)}, c.shape(x),
                                  ir::WindowAttr{{one, tile, pool}}, {greater, add}));
  return c.all();
}

std::vector<OpCase> GatherCases() {
  Cases c;
  c.Add("embedding", c.TakeRows(c.In({24, 6}), c.Ids({4, 6}, 24)));
  ir::GatherAttr along;
  along.collapsed_slice_dims = {2}, along.start_index_map = {2}, along.index_vector_dim = 3;
  along.operand_batching_dims = {0, 1}, along.start_indices_batching_dims = {0, 1};
  along.slice_sizes = {1, 1, 1};
  c.Add("take along axis",
        c.Op1(OpKind::kGather, {c.In({4, 6, 12}), c.Ids({4, 6, 2, 1}, 12)}, {DType::kF32, {4, 6, 2}}, along));
  ir::GatherAttr points;  // x[i, :, j], index vectors first
  points.offset_dims = {1}, points.collapsed_slice_dims = {0, 2}, points.start_index_map = {2, 0};
  points.index_vector_dim = 0, points.slice_sizes = {1, 6, 1};
  c.Add("points", c.Op1(OpKind::kGather, {c.In({12, 6, 12}), c.Ids({2, 12}, 12)}, {DType::kF32, {12, 6}}, points));
  ir::GatherAttr windows;
  windows.offset_dims = {1, 2}, windows.start_index_map = {0}, windows.index_vector_dim = 1;
  windows.slice_sizes = {3, 6};
  c.Add("windows", c.Op1(OpKind::kGather, {c.In({12, 6}), c.Ids({4, 1}, 10)}, {DType::kF32, {4, 3, 6}}, windows));
  windows.slice_sizes = {1, 6};
  c.Add("rows as windows",
        c.Op1(OpKind::kGather, {c.In({12, 6}), c.Ids({4, 1}, 12)}, {DType::kF32, {4, 1, 6}}, windows));
  c.Add("flags", c.TakeRows(c.In({12, 6}, DType::kPred), c.Ids({4}, 12)));
  return c.all();
}

std::vector<OpCase> ScatterCases() {
  Cases c;
  c.Add("add rows", c.AddRows(c.In({24, 6}), c.Ids({4, 6}, 24), c.In({4, 6, 6})));
  ir::ScatterAttr rows;
  rows.update_window_dims = {1}, rows.inserted_window_dims = {0}, rows.scatter_dims_to_operand_dims = {0};
  rows.index_vector_dim = 1;
  auto scatter = [&](OpKind kind) {
    return c.Op1(OpKind::kScatter, {c.In({12, 6}), c.Ids({4}, 14), c.In({4, 6})}, {DType::kF32, {12, 6}}, rows,
                 {ir::CombinerModule(kind, DType::kF32)});
  };
  c.Add("max of rows", scatter(OpKind::kMaximum));  // some rows are out of bounds
  c.Add("product of rows", scatter(OpKind::kMultiply));
  GraphBuilder second;
  second.Parameter({DType::kF32, {}});
  const ValueId b = second.Parameter({DType::kF32, {}});
  c.Add("overwrite a row", c.Op1(OpKind::kScatter, {c.In({12, 6}), c.Ids({1}, 12), c.In({1, 6})},
                                 {DType::kF32, {12, 6}}, rows, {second.Build({b})}));
  ir::ScatterAttr along;
  along.inserted_window_dims = {2}, along.scatter_dims_to_operand_dims = {2}, along.index_vector_dim = 3;
  along.input_batching_dims = {0, 1}, along.scatter_indices_batching_dims = {0, 1};
  c.Add("along axis", c.Op1(OpKind::kScatter, {c.In({4, 6, 12}), c.Ids({4, 6, 2, 1}, 12), c.In({4, 6, 2})},
                            {DType::kF32, {4, 6, 12}}, along, {ir::CombinerModule(OpKind::kAdd, DType::kF32)}));
  return c.all();
}

std::vector<OpCase> OtherCases() {
  Cases c;
  const ValueId x = c.In({4, 6, 6});
  GraphBuilder less;
  const Shape f{DType::kF32, {}};
  const ValueId a = less.Parameter(f), b = less.Parameter(f);
  less.Parameter(f), less.Parameter(f);
  const Module region = less.Build({less.Compare(a, b, "LT")});
  c.Add("sort of two",
        c.OpN(OpKind::kSort, {x, c.Definite({4, 6, 6})}, {c.shape(x), c.shape(x)}, ir::DimsAttr{{1}}, {region})[0]);
  c.Add("cholesky", c.Op1(OpKind::kCholesky, {c.Definite({4, 6, 6})}, c.shape(x), ir::TextAttr{"lower=true"}));
  c.Add("triangular solve",
        c.Op1(OpKind::kTriangularSolve, {c.Definite({4, 6, 6}), c.In({4, 6, 2})}, {DType::kF32, {4, 6, 2}},
              ir::TextAttr{"left_side=true, lower=true, unit_diagonal=false, transpose_a=NO_TRANSPOSE"}));
  c.Add("fft", c.Op1(OpKind::kFft, {x}, {DType::kC64, {4, 6, 4}}, ir::TextAttr{"fft_type=RFFT, fft_length={6}"}));
  const ValueId feature = c.In({6});
  const Shape per_feature{DType::kF32, {6}};
  const ir::TextAttr norm{"epsilon=0.5, feature_index=2"};
  c.Add("batch norm, training",
        c.OpN(OpKind::kBatchNormTraining, {x, feature, feature}, {c.shape(x), per_feature, per_feature}, norm)[0]);
  c.Add("top k", c.OpN(OpKind::kTopK, {x}, {{DType::kF32, {4, 6, 2}}, {DType::kS32, {4, 6, 2}}},
                       ir::TextAttr{"k=2, largest=true"})[0]);
  c.Add("barrier", c.OpN(OpKind::kOptimizationBarrier, {x, c.In({4, 3})}, {c.shape(x), {DType::kF32, {4, 3}}})[0]);
  return c.all();
}

}  // namespace alpa::test
