#include "alpa/runtime/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <span>

#include "alpa/runtime/input_names.h"
#include "alpa/runtime/state_kinds.h"

namespace alpa::runtime {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kBFloat16Ulp = 1.0 / 256;

// One unit in the last place relative to the value, for the formats of 16 and 8 bits; 0 for others.
double UlpOf(ir::DType type) {
  if (type == ir::DType::kBF16) return kBFloat16Ulp;
  if (type == ir::DType::kF16) return 1.0 / 2048;
  return ir::IsFloat(type) && ir::Bits(type) == 8 ? 1.0 / 8 : 0;
}

// Elements first, first + stride, ... as doubles.
void Load(const ir::HostTensor& tensor, int64_t first, int64_t stride, std::span<double> out) {
  const auto count = static_cast<int64_t>(out.size());
  if (tensor.shape().dtype == ir::DType::kF32) {
    const float* const data = tensor.as<float>().data() + first;
    for (int64_t i = 0; i < count; ++i) out[static_cast<size_t>(i)] = data[i * stride];
    return;
  }
  for (int64_t i = 0; i < count; ++i) out[static_cast<size_t>(i)] = ir::ElementAsDouble(tensor, first + i * stride);
}

// Calls f(first, values) for the elements of `tensor` piece by piece.
template <typename F>
void ForEachPiece(const ir::HostTensor& tensor, F f) {
  std::array<double, 1024> buffer;
  const int64_t count = tensor.shape().elements();
  for (int64_t first = 0; first < count; first += std::ssize(buffer)) {
    const auto piece = std::span(buffer).first(static_cast<size_t>(std::min(count - first, std::ssize(buffer))));
    Load(tensor, first, 1, piece);
    f(first, piece);
  }
}

// 0 when equal or both NaN, infinite when only one is finite or NaN.
double Difference(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return 0;
  const double d = std::fabs(a - b);
  return std::isnan(d) ? kInfinity : d;
}

double LargestFinite(const ExpectedTensor& expected) {
  double largest = expected.sampled && std::isfinite(expected.largest) ? expected.largest : 0;
  ForEachPiece(expected.values, [&](int64_t, std::span<const double> piece) {
    for (const double v : piece) {
      if (std::isfinite(v)) largest = std::max(largest, std::fabs(v));
    }
  });
  return largest;
}

// The largest difference so far.
struct Worst {
  double difference = 0;
  std::string where;

  void Add(double d, std::string_view what) {
    if (d <= difference) return;
    difference = d;
    where = what;
  }
};

// Statistics of a sampled tensor bound the mean, the root mean square and the largest magnitude of the differences, so
// all are in the unit of an element.
void CompareStatistics(const ir::HostTensor& actual, const ExpectedTensor& expected, Worst& worst) {
  double sum = 0;
  double squares = 0;
  double largest = 0;
  bool nan = false;
  ForEachPiece(actual, [&](int64_t, std::span<const double> piece) {
    for (const double v : piece) {
      sum += v;
      squares += v * v;
      largest = std::max(largest, std::fabs(v));
      nan |= std::isnan(v);
    }
  });
  if (nan) largest = std::numeric_limits<double>::quiet_NaN();
  const auto n = static_cast<double>(actual.shape().elements());
  worst.Add(Difference(sum / n, expected.sum / n), "mean");
  worst.Add(Difference(std::sqrt(squares / n), std::sqrt(expected.sum_of_squares / n)), "root mean square");
  worst.Add(Difference(largest, expected.largest), "largest magnitude");
}

Worst Compare(const ir::HostTensor& actual, const ExpectedTensor& expected) {
  Worst worst;
  const int64_t samples = expected.values.shape().elements();
  const int64_t stride =
      expected.sampled ? std::max<int64_t>(actual.shape().elements() / std::max<int64_t>(samples, 1), 1) : 1;
  std::array<double, 1024> buffer;
  ForEachPiece(expected.values, [&](int64_t first, std::span<const double> wanted) {
    const auto got = std::span(buffer).first(wanted.size());
    Load(actual, first * stride, stride, got);
    for (size_t i = 0; i < wanted.size(); ++i) {
      const double d = Difference(got[i], wanted[i]);
      if (d > worst.difference) worst.Add(d, fmt::format("element {}", (first + static_cast<int64_t>(i)) * stride));
    }
  });
  if (expected.sampled) CompareStatistics(actual, expected, worst);
  // Integers of 64 bits can differ where their doubles are equal.
  const bool exact = ir::IsInteger(actual.shape().dtype) && actual.shape() == expected.values.shape();
  if (exact && actual.view() != expected.values.view()) worst.Add(1, "some element");
  return worst;
}

Status CheckShapes(const TensorPair& pair) {
  const ir::Shape& actual = pair.actual->shape();
  const ir::Shape& expected = pair.expected->values.shape();
  const bool widened = expected.dtype == ir::DType::kF32 && UlpOf(actual.dtype) > 0;
  const bool extents = pair.expected->sampled
                           ? expected.rank() == 1 && expected.elements() > 0 && expected.elements() <= actual.elements()
                           : expected.dims == actual.dims;
  if (extents && (actual.dtype == expected.dtype || widened)) return Ok();
  return Error{Code::kMismatch,
               fmt::format("'{}' is {}, what it is compared with is {}{}", pair.name, ir::ToString(actual),
                           ir::ToString(expected), pair.expected->sampled ? " (samples)" : ""),
               "the expected values are of another model"};
}

double ToleranceOf(ir::DType type, double largest, double role_largest, const CompareOptions& options) {
  if (!ir::IsFloat(type)) return 0;
  const double tolerance = options.factor * (options.tensor_relative * largest + options.role_relative * role_largest);
  const double ulp = std::max(UlpOf(type), options.low_precision_step ? kBFloat16Ulp : 0);
  return std::max(tolerance, options.low_precision_ulps * ulp * (largest + role_largest));
}

}  // namespace

CompareOptions CompareOptionsFor(const ir::Module& module) {
  CompareOptions options;
  options.low_precision_step = std::any_of(module.values.begin(), module.values.end(),
                                           [](const ir::Value& value) { return UlpOf(value.shape.dtype) > 0; });
  return options;
}

bool Comparison::ok() const {
  const auto is_ok = [](const auto& d) { return d.ok; };
  return std::all_of(tensors.begin(), tensors.end(), is_ok) && std::all_of(losses.begin(), losses.end(), is_ok);
}

Result<std::vector<TensorDifference>> CompareTensors(const std::vector<TensorPair>& pairs,
                                                     const CompareOptions& options) {
  std::vector<TensorDifference> out;
  std::map<std::string, double> role_largest;  // of arrays
  for (const TensorPair& pair : pairs) {
    ALPA_RETURN_IF_ERROR(CheckShapes(pair));
    TensorDifference d;
    d.name = pair.name;
    d.role = pair.role;
    d.largest_value = LargestFinite(*pair.expected);
    double& largest = role_largest[pair.role];
    if (pair.actual->shape().rank() > 0) largest = std::max(largest, d.largest_value);
    out.push_back(std::move(d));
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    TensorDifference& d = out[i];
    const Worst worst = Compare(*pairs[i].actual, *pairs[i].expected);
    d.max_abs_diff = worst.difference;
    d.where = worst.where;
    const double largest_of_role = std::max(d.largest_value, role_largest[d.role]);
    d.tolerance = ToleranceOf(pairs[i].actual->shape().dtype, d.largest_value, largest_of_role, options);
    d.ok = d.max_abs_diff <= d.tolerance;
  }
  return out;
}

std::vector<LossDifference> CompareLosses(const std::vector<double>& actual, const std::vector<double>& expected,
                                          const CompareOptions& options, int64_t first_step) {
  std::vector<LossDifference> out;
  const double relative = options.low_precision_step ? options.low_precision_loss_relative : options.loss_relative;
  for (size_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
    LossDifference d{first_step + static_cast<int64_t>(i), actual[i], expected[i], relative, false};
    if (std::isfinite(expected[i])) d.tolerance = relative * std::max(1.0, std::fabs(expected[i]));
    d.ok = Difference(actual[i], expected[i]) <= d.tolerance;
    out.push_back(d);
  }
  return out;
}

Result<std::vector<TensorDifference>> CompareWithGolden(const GoldenFile& golden, int64_t step,
                                                        const ir::Module& module, const ir::StepSignature& signature,
                                                        const std::vector<ir::HostTensor>& outputs,
                                                        const CompareOptions& options) {
  ALPA_CHECK(outputs.size() == signature.outputs.size());
  const auto found = golden.outputs().find(step);
  if (found == golden.outputs().end()) {
    return Error{Code::kNotFound, fmt::format("{}: holds no outputs of step {}", golden.path(), step), ""};
  }
  if (found->second != static_cast<int32_t>(outputs.size())) {
    return Error{Code::kMismatch,
                 fmt::format("{}: holds {} outputs of step {}, the model '{}' has {}", golden.path(), found->second,
                             step, module.name, outputs.size()),
                 "give the file that belongs to this model"};
  }
  const std::vector<std::string> names = UniqueInputNames(module);
  const std::vector<std::string> kinds = StateKinds(module, signature);
  std::vector<ExpectedTensor> expected;
  expected.reserve(outputs.size());
  std::vector<TensorPair> pairs;
  for (size_t o = 0; o < outputs.size(); ++o) {
    ALPA_TRY(ExpectedTensor tensor, golden.Output(step, static_cast<int32_t>(o)));
    expected.push_back(std::move(tensor));
    const int32_t input = signature.outputs[o].updates;
    const bool is_loss = static_cast<int32_t>(o) == signature.loss;
    TensorPair pair{is_loss ? "loss" : fmt::format("result {}", o), "result", &outputs[o], &expected.back()};
    if (input >= 0) {
      pair.name = names[static_cast<size_t>(input)];
      pair.role = kinds[static_cast<size_t>(input)];
    }
    pairs.push_back(std::move(pair));
  }
  return CompareTensors(pairs, options);
}

}  // namespace alpa::runtime
