// One operation of a training step. The vocabulary is that of HLO, into which every input form is brought.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "alpa/ir/shape.h"

namespace alpa::ir {

using ValueId = int32_t;
using OpId = int32_t;

// X(enumerator, HLO name, family). Families: L leaf, E elementwise (all operands and the result have one shape, or
// are scalars), D data movement, C contraction, R reduction, X control flow and calls, O other.
// clang-format off
#define ALPA_OP_KINDS(X)                                                                                              \
  X(kParameter, "parameter", L) X(kConstant, "constant", L) X(kIota, "iota", L)                                       \
  X(kAbs, "abs", E) X(kAcos, "acos", E) X(kAcosh, "acosh", E) X(kAdd, "add", E) X(kAnd, "and", E) X(kAsin, "asin", E) \
  X(kAsinh, "asinh", E) X(kAtan2, "atan2", E) X(kAtanh, "atanh", E) X(kBitcastConvert, "bitcast-convert", E)          \
  X(kCbrt, "cbrt", E) X(kCeil, "ceil", E) X(kClamp, "clamp", E) X(kClz, "count-leading-zeros", E)                     \
  X(kCompare, "compare", E) X(kComplex, "complex", E) X(kConvert, "convert", E) X(kCopy, "copy", E)                   \
  X(kCos, "cosine", E) X(kCosh, "cosh", E) X(kDivide, "divide", E) X(kErf, "erf", E) X(kExp, "exponential", E)        \
  X(kExpm1, "exponential-minus-one", E) X(kFloor, "floor", E) X(kImag, "imag", E) X(kIsFinite, "is-finite", E)        \
  X(kLog, "log", E) X(kLog1p, "log-plus-one", E) X(kLogistic, "logistic", E) X(kMaximum, "maximum", E)                \
  X(kMinimum, "minimum", E) X(kMultiply, "multiply", E) X(kNegate, "negate", E) X(kNot, "not", E) X(kOr, "or", E)     \
  X(kPopcnt, "popcnt", E) X(kPower, "power", E) X(kReal, "real", E) X(kReducePrecision, "reduce-precision", E)        \
  X(kRemainder, "remainder", E) X(kRoundAfz, "round-nearest-afz", E) X(kRoundEven, "round-nearest-even", E)           \
  X(kRsqrt, "rsqrt", E) X(kSelect, "select", E) X(kShiftLeft, "shift-left", E)                                        \
  X(kShiftRightArithmetic, "shift-right-arithmetic", E) X(kShiftRightLogical, "shift-right-logical", E)               \
  X(kSign, "sign", E) X(kSin, "sine", E) X(kSinh, "sinh", E) X(kSqrt, "sqrt", E)                                      \
  X(kStochasticConvert, "stochastic-convert", E) X(kSubtract, "subtract", E) X(kTan, "tan", E) X(kTanh, "tanh", E)    \
  X(kXor, "xor", E) X(kMap, "map", E)                                                                                 \
  X(kBroadcast, "broadcast", D) X(kConcatenate, "concatenate", D) X(kDynamicSlice, "dynamic-slice", D)                \
  X(kDynamicUpdateSlice, "dynamic-update-slice", D) X(kGather, "gather", D) X(kPad, "pad", D)                         \
  X(kReshape, "reshape", D) X(kReverse, "reverse", D) X(kScatter, "scatter", D) X(kSlice, "slice", D)                 \
  X(kTranspose, "transpose", D)                                                                                       \
  X(kConvolution, "convolution", C) X(kDot, "dot", C)                                                                 \
  X(kReduce, "reduce", R) X(kReduceWindow, "reduce-window", R) X(kSelectAndScatter, "select-and-scatter", R)          \
  X(kCall, "call", X) X(kConditional, "conditional", X) X(kCustomCall, "custom-call", X) X(kWhile, "while", X)        \
  X(kOptimizationBarrier, "opt-barrier", X)                                                                           \
  X(kBatchNormGrad, "batch-norm-grad", O) X(kBatchNormInference, "batch-norm-inference", O)                           \
  X(kBatchNormTraining, "batch-norm-training", O) X(kCholesky, "cholesky", O) X(kFft, "fft", O) X(kRng, "rng", O)     \
  X(kRaggedDot, "ragged-dot", O) X(kScaledDot, "scaled-dot", O) X(kRngBitGenerator, "rng-bit-generator", O)           \
  X(kRngGetAndUpdateState, "rng-get-and-update-state", O) X(kSort, "sort", O) X(kTopK, "topk", O)                     \
  X(kTriangularSolve, "triangular-solve", O) X(kAllGather, "all-gather", O) X(kAllReduce, "all-reduce", O)            \
  X(kAllToAll, "all-to-all", O) X(kCollectivePermute, "collective-permute", O) X(kReduceScatter, "reduce-scatter", O) \
  X(kPartitionId, "partition-id", O) X(kReplicaId, "replica-id", O)
// clang-format on

enum class OpKind : uint8_t {
#define ALPA_X(enumerator, name, family) enumerator,
  ALPA_OP_KINDS(ALPA_X)
#undef ALPA_X
};

std::string_view Name(OpKind kind);
// The kind with this HLO name; false when alpa does not know the op.
bool OpKindFromName(std::string_view name, OpKind* kind);
// Result element i depends on element i of each operand alone (scalars apply to all).
bool IsElementwise(OpKind kind);

// Dimensions an op acts on: broadcast (operand dim i -> result dim dims[i]), transpose (permutation), reduce, reverse,
// and one entry for concatenate, iota, sort.
struct DimsAttr {
  std::vector<int64_t> dims;
  bool operator==(const DimsAttr&) const = default;
};

struct DotAttr {
  std::vector<int64_t> lhs_batch, rhs_batch, lhs_contracting, rhs_contracting;
  bool operator==(const DotAttr&) const = default;
};

// One spatial dimension of a window.
struct WindowDim {
  int64_t size = 1, stride = 1, pad_low = 0, pad_high = 0, window_dilation = 1, base_dilation = 1;
  bool reversed = false;
  bool operator==(const WindowDim&) const = default;
};

// convolution: which dimension of lhs / rhs / result plays which part; windows in the order of the spatial dims.
struct ConvolutionAttr {
  int64_t lhs_batch = 0, lhs_feature = 0, rhs_input_feature = 0, rhs_output_feature = 0, out_batch = 0, out_feature = 0;
  std::vector<int64_t> lhs_spatial, rhs_spatial, out_spatial;
  std::vector<WindowDim> window;
  int64_t feature_groups = 1, batch_groups = 1;
  bool operator==(const ConvolutionAttr&) const = default;
};

// reduce-window, select-and-scatter: one entry per operand dimension.
struct WindowAttr {
  std::vector<WindowDim> window;
  bool operator==(const WindowAttr&) const = default;
};

struct GatherAttr {
  std::vector<int64_t> offset_dims, collapsed_slice_dims, start_index_map, operand_batching_dims,
      start_indices_batching_dims, slice_sizes;
  int64_t index_vector_dim = 0;
  bool operator==(const GatherAttr&) const = default;
};

struct ScatterAttr {
  std::vector<int64_t> update_window_dims, inserted_window_dims, scatter_dims_to_operand_dims, input_batching_dims,
      scatter_indices_batching_dims;
  int64_t index_vector_dim = 0;
  bool operator==(const ScatterAttr&) const = default;
};

struct SliceAttr {
  std::vector<int64_t> start, limit, stride;
  bool operator==(const SliceAttr&) const = default;
};

struct PadAttr {
  std::vector<int64_t> low, high, interior;
  bool operator==(const PadAttr&) const = default;
};

// dynamic-slice: extents of the result.
struct DynamicSliceAttr {
  std::vector<int64_t> sizes;
  bool operator==(const DynamicSliceAttr&) const = default;
};

// A literal. `hash` is of its bytes; `value` is the number when all elements are equal (`splat`).
struct ConstantAttr {
  uint64_t hash = 0;
  bool splat = false;
  double value = 0;
  bool operator==(const ConstantAttr&) const = default;
};

struct CustomCallAttr {
  std::string target;
  bool has_side_effect = false;
  std::string config;
  bool operator==(const CustomCallAttr&) const = default;
};

// Anything else that tells two ops of a kind apart: compare direction, rng algorithm, fft type, ...
struct TextAttr {
  std::string text;
  bool operator==(const TextAttr&) const = default;
};

using Attributes = std::variant<std::monostate, DimsAttr, DotAttr, ConvolutionAttr, WindowAttr, GatherAttr, ScatterAttr,
                                SliceAttr, PadAttr, DynamicSliceAttr, ConstantAttr, CustomCallAttr, TextAttr>;

// Where an op comes from: the JAX name stack ("jit(step)/transpose(jvp())/dot_general") and the user's source line.
// Without debug info in the export, `file` is empty and `line` may be the line of the .mlir text (0: unknown).
struct Location {
  std::string name;
  std::string file;
  int line = 0;
  std::string function;
  bool operator==(const Location&) const = default;
};

// "models.py:97 (dense)", or the name stack, or "unknown source".
std::string ToString(const Location& location);

struct Module;

// One operation. Tuples do not exist here: an op has as many results as its HLO tuple had leaves.
struct Op {
  OpKind kind = OpKind::kConstant;
  std::string name;  // unique in the module; the name of the HLO instruction, which is how the engine finds it
  std::vector<ValueId> operands;
  std::vector<ValueId> results;
  Attributes attributes;
  std::vector<Module> regions;  // reduce: combiner; while: condition, body; conditional: branches; sort: comparator
  int32_t location = -1;        // index into Module::locations, -1 unknown
};

}  // namespace alpa::ir
