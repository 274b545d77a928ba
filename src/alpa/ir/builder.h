// Writes a graph by hand: for tests and for small graphs that the program itself needs.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "alpa/ir/module.h"

namespace alpa::ir {

// The region of a reduce, scatter, reduce-window, ...: one binary op over two scalars.
Module CombinerModule(OpKind kind, DType dtype);

// Adds ops one after another and returns their results. Shapes of results follow from the operands wherever that takes
// no rule of its own; otherwise they are given. What is added must be valid: a mistake ends the program (ALPA_CHECK).
//
//   GraphBuilder g;
//   const ValueId x = g.Parameter({DType::kF32, {16, 8}}, "batch['x']");
//   const ValueId w = g.Parameter({DType::kF32, {8, 4}}, "params['w']");
//   Module module = std::move(g).Build({g.Reduce(g.MatMul(x, w), {0, 1})});
class GraphBuilder {
 public:
  explicit GraphBuilder(std::string name = "step") { module_.name = std::move(name); }

  // The location of all ops that follow.
  GraphBuilder& At(Location location);

  ValueId Parameter(Shape shape, std::string name = "");
  // All elements are `value`.
  ValueId Constant(Shape shape, double value);
  ValueId Scalar(double value, DType dtype = DType::kF32) { return Constant({dtype, {}}, value); }
  // A literal whose elements differ; `hash` stands for its bytes.
  ValueId Literal(Shape shape, uint64_t hash);
  ValueId Iota(Shape shape, int64_t dim);

  // The result has the shape of the first operand that is not a scalar; compare and is-finite give pred; select has the
  // type of its second operand.
  ValueId Elementwise(OpKind kind, std::vector<ValueId> operands);
  ValueId Add(ValueId a, ValueId b) { return Elementwise(OpKind::kAdd, {a, b}); }
  ValueId Subtract(ValueId a, ValueId b) { return Elementwise(OpKind::kSubtract, {a, b}); }
  ValueId Multiply(ValueId a, ValueId b) { return Elementwise(OpKind::kMultiply, {a, b}); }
  ValueId Divide(ValueId a, ValueId b) { return Elementwise(OpKind::kDivide, {a, b}); }
  // `direction` as HLO prints it: EQ, NE, GE, GT, LE, LT.
  ValueId Compare(ValueId a, ValueId b, const std::string& direction);
  ValueId Convert(ValueId v, DType dtype);

  // Operand dimension i becomes dimension mapping[i] of the result.
  ValueId Broadcast(ValueId v, std::vector<int64_t> result_dims, std::vector<int64_t> mapping);
  // A scalar number spread over `shape`.
  ValueId Fill(Shape shape, double value);
  ValueId Reshape(ValueId v, std::vector<int64_t> dims);
  ValueId Transpose(ValueId v, std::vector<int64_t> permutation);
  ValueId Reverse(ValueId v, std::vector<int64_t> dims);
  ValueId Slice(ValueId v, std::vector<int64_t> start, std::vector<int64_t> limit);
  // The padding value is 0.
  ValueId Pad(ValueId v, std::vector<int64_t> low, std::vector<int64_t> high);
  ValueId Concatenate(std::vector<ValueId> operands, int64_t dim);

  // Result: batch dims, free dims of lhs, free dims of rhs.
  ValueId Dot(ValueId lhs, ValueId rhs, DotAttr attr);
  // lhs [..., K] x rhs [K, N].
  ValueId MatMul(ValueId lhs, ValueId rhs);
  ValueId Convolution(ValueId lhs, ValueId rhs, std::vector<int64_t> result_dims, ConvolutionAttr attr);
  // `init` is the scalar the reduction starts from.
  ValueId Reduce(ValueId v, std::vector<int64_t> dims, OpKind combiner = OpKind::kAdd, double init = 0);
  ValueId ReduceWindow(ValueId v, std::vector<WindowDim> window, OpKind combiner = OpKind::kAdd, double init = 0);
  // Rows of `operand` by number: operand [V, ...], indices [I...] -> [I..., ...]; what x[ids] is in JAX.
  ValueId TakeRows(ValueId operand, ValueId indices);
  // The transpose of TakeRows: adds updates [I..., ...] to the rows of operand [V, ...].
  ValueId AddRows(ValueId operand, ValueId indices, ValueId updates);

  // Any op, with everything given.
  ValueId Op1(OpKind kind, std::vector<ValueId> operands, Shape result, Attributes attributes = {},
              std::vector<Module> regions = {});
  std::vector<ValueId> OpN(OpKind kind, std::vector<ValueId> operands, std::vector<Shape> results,
                           Attributes attributes = {}, std::vector<Module> regions = {});

  // The graph so far with these outputs. The builder can go on afterwards.
  Module Build(std::vector<ValueId> outputs, std::vector<Alias> aliases = {}) const;

  const Shape& shape(ValueId v) const { return module_.shape(v); }

 private:
  Module module_;
  int32_t location_ = -1;
};

}  // namespace alpa::ir
