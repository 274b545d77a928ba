#include "alpa/runtime/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

ExpectedTensor Whole(ir::HostTensor tensor) { return {std::move(tensor), false, 0, 0, 0}; }

TensorDifference CompareOne(const ir::HostTensor& actual, const ExpectedTensor& expected,
                            const CompareOptions& options = {}) {
  auto result = CompareTensors({{"x", "parameter", &actual, &expected}}, options);
  ALPA_CHECK(result.ok(), result.ok() ? "" : result.error().message);
  return result->front();
}

// Compares f32 lists.
TensorDifference CompareF32(const std::vector<double>& actual, const std::vector<double>& expected,
                            const CompareOptions& options = {}) {
  const auto n = static_cast<int64_t>(actual.size());
  return CompareOne(F32({n}, actual), Whole(F32({n}, expected)), options);
}

TEST(CompareTensors, FindsTheLargestDifference) {
  const TensorDifference d = CompareF32({1, 2.5, -3}, {1, 2, -4});
  EXPECT_EQ(d.max_abs_diff, 1);
  EXPECT_EQ(d.where, "element 2");
  EXPECT_EQ(d.largest_value, 4);
  EXPECT_DOUBLE_EQ(d.tolerance, 4 * 1.1e-4);
  EXPECT_FALSE(d.ok);
}

TEST(CompareTensors, AllowsWhatTheToleranceSays) {
  EXPECT_TRUE(CompareF32({1, 1000.1}, {1, 1000}).ok) << "0.1 of 1000 * 1.1e-4 = 0.11";
  EXPECT_FALSE(CompareF32({1, 1000.12}, {1, 1000}).ok);
  CompareOptions sgd;
  sgd.factor = 0.1;
  EXPECT_FALSE(CompareF32({1, 1000.1}, {1, 1000}, sgd).ok);
  EXPECT_TRUE(CompareF32({}, {}).ok);
  EXPECT_TRUE(CompareF32({0, 0}, {0, 0}).ok);
}

TEST(CompareTensors, ScalesWithTheLargestOfTheRole) {
  const auto small = F32({1}, {0.001});
  const ExpectedTensor small_expected = Whole(F32({1}, {0}));
  const auto large = F32({1}, {1000});
  const ExpectedTensor large_expected = Whole(large);
  const auto tolerance_with = [&](const std::string& role) {
    const auto d = CompareTensors({{"s", "a", &small, &small_expected}, {"l", role, &large, &large_expected}}, {});
    return d->at(0).tolerance;
  };
  EXPECT_DOUBLE_EQ(tolerance_with("a"), 1e-2);
  EXPECT_DOUBLE_EQ(tolerance_with("b"), 0);
}

TEST(CompareTensors, LetsNoScalarScaleTheArraysOfItsRole) {
  const auto scale = F32({}, {65536});
  const auto w = F32({2}, {1, 2});
  const ExpectedTensor scale_expected = Whole(scale);
  const ExpectedTensor w_expected = Whole(w);
  const auto d = CompareTensors({{"scale", "a", &scale, &scale_expected}, {"w", "a", &w, &w_expected}}, {});
  EXPECT_DOUBLE_EQ(d->at(0).tolerance, 65536 * 1.1e-4);
  EXPECT_DOUBLE_EQ(d->at(1).tolerance, 2 * 1.1e-4);
}

TEST(CompareTensors, ComparesIntegersAndBooleansExactly) {
  EXPECT_TRUE(CompareOne(S32({2}, {1000000, 2}), Whole(S32({2}, {1000000, 2}))).ok);
  EXPECT_FALSE(CompareOne(S32({2}, {1000001, 2}), Whole(S32({2}, {1000000, 2}))).ok);
  ir::HostTensor a(ir::Shape{ir::DType::kS64, {1}});
  ir::HostTensor b(ir::Shape{ir::DType::kS64, {1}});
  a.as<int64_t>()[0] = (int64_t{1} << 60) + 1;  // equal as doubles
  b.as<int64_t>()[0] = int64_t{1} << 60;
  EXPECT_FALSE(CompareOne(a, Whole(b)).ok);
  EXPECT_TRUE(CompareOne(a, Whole(a)).ok);
}

TEST(CompareTensors, AllowsBFloat16AFewUnitsInTheLastPlace) {
  const auto bf16 = [](double v) { return Tensor(ir::DType::kBF16, {1}, {v}); };
  EXPECT_TRUE(CompareOne(bf16(1 + 1.0 / 32), Whole(bf16(1))).ok) << "4 ulps of the tensor's largest, 4 of the role's";
  EXPECT_FALSE(CompareOne(bf16(1 + 5.0 / 128), Whole(bf16(1))).ok) << "10 ulps";
  EXPECT_TRUE(CompareOne(bf16(1), Whole(F32({1}, {1}))).ok) << "golden files keep bf16 as f32";
  CompareOptions options;
  EXPECT_FALSE(CompareF32({1 + 1.0 / 64}, {1}, options).ok);
  options.low_precision_step = true;
  EXPECT_TRUE(CompareF32({1 + 1.0 / 64}, {1}, options).ok);
  EXPECT_TRUE(CompareLosses({1.0009}, {1}, options)[0].ok);
  EXPECT_FALSE(CompareLosses({1.0011}, {1}, options)[0].ok);
}

TEST(CompareOptionsFor, SeesWhetherTheStepComputesInBFloat16) {
  StepBuilder b = SumStep();
  EXPECT_FALSE(CompareOptionsFor(b.module).low_precision_step);
  b.Op(ir::OpKind::kConvert, {0}, {ir::DType::kBF16, {2}});
  EXPECT_TRUE(CompareOptionsFor(b.module).low_precision_step);
}

TEST(CompareTensors, FailsOnNanUnlessBothAreAndOnOtherInfinities) {
  EXPECT_TRUE(CompareF32({kNan, 1}, {kNan, 1}).ok);
  EXPECT_FALSE(CompareF32({kNan, 1}, {1, 1}).ok);
  EXPECT_FALSE(CompareF32({1, 1}, {1, kNan}).ok);
  EXPECT_TRUE(CompareF32({kInf, -kInf}, {kInf, -kInf}).ok);
  EXPECT_FALSE(CompareF32({kInf}, {-kInf}).ok);
  EXPECT_FALSE(CompareF32({1}, {kInf}).ok);
  const TensorDifference d = CompareF32({kInf, 1, 3}, {kInf, 1, 2});
  EXPECT_EQ(d.largest_value, 2) << "an infinity is no scale for the others";
  EXPECT_FALSE(d.ok);
}

// Seven elements, samples 0, 3 of stride 7 / 2 = 3.
TEST(CompareTensors, ComparesSamplesAndStatistics) {
  const std::vector<double> values = {1, 2, 3, 4, 5, 6, 7};
  const ExpectedTensor expected = {F32({2}, {1, 4}), true, 28, 140, 7};
  EXPECT_TRUE(CompareOne(F32({7}, values), expected).ok);
  const auto changed = [&](size_t element, double value) {
    std::vector<double> v = values;
    v[element] = value;
    return CompareOne(F32({7}, v), expected);
  };
  const TensorDifference sample = changed(3, 4.5);
  EXPECT_FALSE(sample.ok);
  EXPECT_EQ(sample.where, "element 3");
  EXPECT_EQ(sample.largest_value, 7);
  const TensorDifference between = changed(1, 2.5);  // not among the samples
  EXPECT_FALSE(between.ok);
  EXPECT_EQ(between.where, "mean");
  EXPECT_NEAR(between.max_abs_diff, 0.5 / 7, 1e-6);
  EXPECT_EQ(changed(6, 8).where, "largest magnitude");
  EXPECT_FALSE(changed(5, kNan).ok);
  EXPECT_TRUE(changed(1, 2.0005).ok);
  // Two errors that leave the mean alone show in the root mean square.
  std::vector<double> swapped = values;
  swapped[1] -= 1;
  swapped[2] += 1;
  EXPECT_EQ(CompareOne(F32({7}, swapped), expected).where, "root mean square");
}

TEST(CompareTensors, RefusesOtherShapesAndTypes) {
  const auto code = [](const ir::HostTensor& actual, const ExpectedTensor& expected) {
    const auto d = CompareTensors({{"x", "r", &actual, &expected}}, {});
    return d.ok() ? Code::kOutOfTolerance : d.error().code;
  };
  EXPECT_EQ(code(F32({2}, {1, 2}), Whole(F32({1, 2}, {1, 2}))), Code::kMismatch);
  EXPECT_EQ(code(F32({2}, {1, 2}), Whole(S32({2}, {1, 2}))), Code::kMismatch);
  EXPECT_EQ(code(F32({2}, {1, 2}), {F32({3}, {1, 2, 3}), true, 0, 0, 0}), Code::kMismatch);
}

TEST(CompareLosses, ComparesRelativeToAtLeastOne) {
  const auto d = CompareLosses({100.0009, 0.000009, kNan}, {100, 0, kNan, 5}, {}, 3);
  ASSERT_EQ(d.size(), 3U);
  EXPECT_TRUE(d[0].ok);
  EXPECT_EQ(d[0].step, 3);
  EXPECT_DOUBLE_EQ(d[0].tolerance, 1e-3);
  EXPECT_TRUE(d[1].ok);
  EXPECT_TRUE(d[2].ok);
  EXPECT_FALSE(CompareLosses({100.0011}, {100}, {})[0].ok);
  EXPECT_FALSE(CompareLosses({kNan}, {100}, {})[0].ok);
  EXPECT_FALSE(CompareLosses({100}, {kNan}, {})[0].ok);
}

TEST(CompareWithGolden, NamesTensorsByTheStateTheyUpdate) {
  const TempFolder folder;
  ASSERT_TRUE(WriteNpz(folder / "g.npz",
                       {{"out1/0000", F32({2}, {1, 2})}, {"out1/0001", S32({}, {6})}, {"out1/0002", F32({}, {11})}})
                  .ok());
  const auto golden = *GoldenFile::Open(folder / "g.npz");
  const StepBuilder b = SumStep();
  std::vector<ir::HostTensor> outputs = {F32({2}, {1, 2}), S32({}, {7}), F32({}, {11})};
  const auto d = CompareWithGolden(golden, 1, b.module, b.signature, outputs, {});
  ASSERT_TRUE(d.ok()) << d.error().message;
  EXPECT_EQ(d->at(0).name, "params.w");
  EXPECT_EQ(d->at(0).role, "parameter");
  EXPECT_TRUE(d->at(0).ok);
  EXPECT_EQ(d->at(1).name, "count");
  EXPECT_FALSE(d->at(1).ok);
  EXPECT_EQ(d->at(2).name, "loss");
  EXPECT_EQ(CompareWithGolden(golden, 5, b.module, b.signature, outputs, {}).error().code, Code::kNotFound);
  StepBuilder more = SumStep();
  more.Result(0);
  outputs.push_back(outputs[0]);
  EXPECT_EQ(CompareWithGolden(golden, 1, more.module, more.signature, outputs, {}).error().code, Code::kMismatch);
}

Comparison Sample() {
  Comparison c;
  c.tensors = {{"w", "parameter", 1e-6, 1e-4, 1, true, "element 3"},
               {"mu.w", "opt.mu", 2e-3, 1e-4, 0.5, false, "element 0"},
               {"count", "count", 0, 0, 6, true, ""}};
  c.losses = {{1, 2.5, 2.5, 2.5e-5, true}};
  return c;
}

TEST(ComparisonText, ListsTheWorstFirst) {
  EXPECT_EQ(ToString(Sample()),
            "ok   step 1      loss 2.5          expected 2.5          difference 0.00e+00  tolerance 2.50e-05\n"
            "     tensor role         largest difference  tolerance  where\n"
            "BAD  mu.w   opt.mu     5.000e-01  2.000e-03  1.000e-04  element 0\n"
            "ok   w      parameter  1.000e+00  1.000e-06  1.000e-04  element 3\n"
            "ok   count  count      6.000e+00  0.000e+00  0.000e+00  \n"
            "2 of 3 tensors within tolerance; the worst is 'mu.w': it differs by 2.000e-03, tolerance 1.000e-04\n");
}

TEST(ComparisonText, CanBeShortButShowsAllFailures) {
  Comparison c = Sample();
  EXPECT_NE(ToString(c, 1).find("... and 2 more within tolerance"), std::string::npos) << ToString(c, 1);
  c.tensors[0].ok = false;
  EXPECT_NE(ToString(c, 1).find("BAD  w "), std::string::npos);
}

TEST(ComparisonText, SaysWhatTookTheAllowanceForRounding) {
  Comparison c = Sample();
  c.tensors[1].allowance = 4e-3;
  c.tensors[1].ok = true;
  EXPECT_NE(ToString(c).find("2.000e-03  4.000e-03  element 0, as rounding may\n"), std::string::npos) << ToString(c);
}

TEST(ComparisonText, IsAlsoThereForPrograms) {
  Comparison c = Sample();
  c.tensors.resize(1);
  c.losses[0].expected = kNan;
  EXPECT_EQ(ToJson(c), R"({
 "ok": true,
 "losses": [
  {
   "step": 1,
   "actual": 2.5,
   "expected": null,
   "tolerance": 2.5e-05,
   "allowance": 0.0,
   "ok": true
  }
 ],
 "tensors": [
  {
   "name": "w",
   "role": "parameter",
   "max_abs_diff": 1e-06,
   "tolerance": 0.0001,
   "allowance": 0.0,
   "largest_value": 1.0,
   "ok": true,
   "where": "element 3"
  }
 ]
}
)");
}

TEST(Verdict, IsAnErrorThatNamesTheWorst) {
  Comparison c = Sample();
  const Status status = Verdict(c);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kOutOfTolerance);
  EXPECT_EQ(status.error().message,
            "1 of 3 tensors and 0 of 1 losses are out of tolerance; worst: 'mu.w' differs by 2.000e-03 (element 0), "
            "tolerance 1.000e-04");
  c.tensors[1].ok = true;
  EXPECT_TRUE(Verdict(c).ok());
  c.losses[0].ok = false;
  EXPECT_FALSE(Verdict(c).ok());
}

}  // namespace
}  // namespace alpa::runtime
