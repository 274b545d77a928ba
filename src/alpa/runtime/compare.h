// Whether two runs of a step gave the same numbers, and by how much they differ.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/host_tensor.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"
#include "alpa/runtime/golden.h"

namespace alpa::runtime {

// A float tensor may differ, in each element, by
//   factor * (tensor_relative * largest |expected| of the tensor + role_relative * largest of all tensors of its role)
// and, where numbers of 16 or 8 bits are involved, by low_precision_ulps units in the last place (2^-8 for bf16) of
// these two largest values. The role counts because Adam divides by the size of the gradient: an element whose gradient
// is rounding noise (a bias in front of a softmax) moves by up to the learning rate per step, however small it is. A
// scalar (a loss scale among the parameters) says nothing about the scale of arrays.
// Measured for gpt_tiny_bf16 against JAX after 5 steps: parameters up to 1 differ by 0.007 (JAX itself on 8 devices),
// first moments up to 0.065 by 0.0016 (2 devices), which is 0.8 of what is allowed: the narrowest place.
// Integers and booleans must be equal. Values that are not finite must be equal; NaN equals NaN.
struct CompareOptions {
  double tensor_relative = 1e-4;
  double role_relative = 1e-5;
  double factor = 1;            // 0.1 for steps whose optimizer does not divide by small numbers (plain SGD)
  double loss_relative = 1e-5;  // of max(1, |expected loss|)
  double low_precision_ulps = 4;
  double low_precision_loss_relative = 1e-3;  // instead of loss_relative; a loss is a mean, so far less than an ulp
  // The step computes in bf16 or narrower somewhere: its fp32 tensors are then judged like bf16 ones.
  bool low_precision_step = false;
};

// The defaults, with low_precision_step set if the step has values of 16 or 8 bits.
CompareOptions CompareOptionsFor(const ir::Module& module);

// How one tensor compares.
struct TensorDifference {
  std::string name;
  std::string role;         // tensors of one role share their scale: see StateKinds
  double max_abs_diff = 0;  // of sampled tensors also of their mean, root mean square and largest magnitude
  double tolerance = 0;
  double largest_value = 0;  // largest finite |expected|
  bool ok = false;
  std::string where;  // what differs most: "element 17", "mean", ...; empty when nothing differs
  // How far rounding alone may carry it, where that was found out because it is beyond the tolerance; else 0.
  double allowance = 0;

  double limit() const { return std::max(tolerance, allowance); }
  // Within its limit, but beyond its tolerance.
  bool took_allowance() const { return ok && max_abs_diff > tolerance; }
  bool operator==(const TensorDifference&) const = default;
};

struct LossDifference {
  int64_t step = 0;
  double actual = 0, expected = 0, tolerance = 0;
  bool ok = false;
  double allowance = 0;  // as of tensors

  double limit() const { return std::max(tolerance, allowance); }
  bool operator==(const LossDifference&) const = default;
};

struct Comparison {
  std::vector<TensorDifference> tensors;
  std::vector<LossDifference> losses;

  bool ok() const;
  bool operator==(const Comparison&) const = default;
};

// A tensor to be compared; the pointers stay the caller's.
struct TensorPair {
  std::string name;
  std::string role;
  const ir::HostTensor* actual = nullptr;
  const ExpectedTensor* expected = nullptr;
};

// Compares each pair. kMismatch (naming the tensor) when shapes do not fit. Real element types.
Result<std::vector<TensorDifference>> CompareTensors(const std::vector<TensorPair>& pairs,
                                                     const CompareOptions& options);

// Compares losses of steps first_step, first_step + 1, ...; as many as both have.
std::vector<LossDifference> CompareLosses(const std::vector<double>& actual, const std::vector<double>& expected,
                                          const CompareOptions& options, int64_t first_step = 1);

// Compares all outputs of the module after step `step` with the golden file's; names and roles come from the state they
// update, results are called "loss" and "result 7". kNotFound when the file has no such step, kMismatch when it is of
// another model.
Result<std::vector<TensorDifference>> CompareWithGolden(const GoldenFile& golden, int64_t step,
                                                        const ir::Module& module, const ir::StepSignature& signature,
                                                        const std::vector<ir::HostTensor>& outputs,
                                                        const CompareOptions& options);

// A table: losses, then a line per tensor, nearest to or furthest beyond its tolerance first, at most `max_rows` of
// them (0: all) but never less than those that failed; then the verdict with the largest difference.
std::string ToString(const Comparison& comparison, size_t max_rows = 0);

// The same for programs: {"ok", "losses": [..], "tensors": [..]} with the members above; numbers that are not finite
// are null.
std::string ToJson(const Comparison& comparison);

// Ok, or kOutOfTolerance saying how many tensors and losses are out and which is worst.
Status Verdict(const Comparison& comparison);

}  // namespace alpa::runtime
