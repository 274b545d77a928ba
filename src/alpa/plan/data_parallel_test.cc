#include "alpa/plan/data_parallel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alpa/ir/builder.h"

namespace alpa::plan {
namespace {

using ir::DType;
using ir::InputRole;
using ir::OutputRole;

// w' = w + sum of x w over the batch; state w [3], batch inputs x [6, 3] and mask [2, 6] (the batch is its second
// dimension), and a scalar learning rate that is new each step.
struct Step {
  ir::Module module;
  ir::StepSignature signature;
  std::vector<int> batch_dims;
};

Step SmallStep(int64_t batch = 6, int64_t mask_batch = 6) {
  ir::GraphBuilder g("small");
  const auto w = g.Parameter({DType::kF32, {3}}, "w");
  const auto x = g.Parameter({DType::kF32, {batch, 3}}, "x");
  g.Parameter({DType::kPred, {2, mask_batch}}, "mask");
  const auto rate = g.Parameter({DType::kF32, {}}, "rate");
  Step step{g.Build({g.Add(w, g.Multiply(g.Reduce(x, {0}), rate))}), {}, {-1, 0, 1, -1}};
  step.signature.inputs = {{InputRole::kParameter, 0, true},
                           {InputRole::kBatch, -1, false},
                           {InputRole::kBatch, -1, false},
                           {InputRole::kBatch, -1, false}};
  step.signature.outputs = {{OutputRole::kUpdatedState, 0}};
  return step;
}

Result<Plan> Make(const Step& step, int64_t devices) {
  return MakeDataParallel(step.module, step.signature, step.batch_dims, devices);
}

TEST(DataParallel, SplitsTheBatchAndCopiesTheState) {
  const Step step = SmallStep();
  const auto plan = Make(step, 3);
  ASSERT_TRUE(plan.ok()) << ToString(plan.error());
  EXPECT_EQ(plan->method, "data-parallel");
  EXPECT_EQ(plan->model, "small");
  EXPECT_EQ(plan->model_fingerprint, ir::Fingerprint(step.module));
  EXPECT_EQ(plan->mesh, cluster::MakeMesh({3}));
  std::vector<std::string> inputs;
  for (const auto& spec : plan->inputs) inputs.push_back(sharding::ToString(spec, plan->mesh));
  EXPECT_THAT(inputs, testing::ElementsAre("[]", "[x,]", "[,x]", "[]"));
  EXPECT_EQ(plan->outputs, std::vector<sharding::Spec>(1));
  EXPECT_TRUE(plan->ops.empty());
  EXPECT_TRUE(Verify(*plan, step.module).ok());
}

TEST(DataParallel, WorksForEveryDivisorOfTheBatch) {
  for (const int64_t devices : {1, 2, 3, 6}) EXPECT_TRUE(Make(SmallStep(), devices).ok()) << devices;
  EXPECT_TRUE(Make(SmallStep(512, 512), 512).ok());
}

TEST(DataParallel, NamesTheBatchAndTheCountsThatWork) {
  for (const int64_t devices : {4, 5, 7, 12, 512}) {
    const auto plan = Make(SmallStep(), devices);
    ASSERT_FALSE(plan.ok());
    EXPECT_EQ(plan.error().code, Code::kInvalidArgument);
    EXPECT_EQ(plan.error().message, "a batch of 6 (dimension 0 of input 1 'x', f32[6,3]) cannot be split over " +
                                        std::to_string(devices) + " devices");
    EXPECT_EQ(plan.error().hint, "device counts that work: 1, 2, 3, 6");
  }
}

// 3 divides the batch of x, but not that of the mask.
TEST(DataParallel, ListsCountsThatDivideEveryBatch) {
  const auto plan = Make(SmallStep(6, 4), 3);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().message,
            "a batch of 4 (dimension 1 of input 2 'mask', pred[2,4]) cannot be split over 3 devices");
  EXPECT_EQ(plan.error().hint, "device counts that work: 1, 2");
}

TEST(DataParallel, RefusesCountsOutOfRange) {
  for (const int64_t devices : {int64_t{-1}, int64_t{0}, int64_t{513}, int64_t{1} << 40}) {
    const auto plan = Make(SmallStep(), devices);
    ASSERT_FALSE(plan.ok()) << devices;
    EXPECT_EQ(plan.error().code, Code::kInvalidArgument);
    EXPECT_EQ(plan.error().message, std::to_string(devices) + " devices: the number must be 1 to 512");
  }
}

}  // namespace
}  // namespace alpa::plan
