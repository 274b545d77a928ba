#include "alpa/runtime/trainer.h"

#include <gtest/gtest.h>

#include "alpa/plan/data_parallel.h"
#include "alpa/runtime/fake_client.h"
#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

// params.w f32[2] = (1, 2), count s32[] = 5; each step adds the rows of x and 1.
class TrainerTest : public testing::Test {
 protected:
  TrainerTest() {
    StepBuilder b = SumStep();
    step_.module = std::move(b.module);
    signature_ = std::move(b.signature);
    plan_ = *plan::MakeDataParallel(step_.module, signature_, {-1, -1, 0}, 2);
  }
  Result<ir::HostTensor> Initial(int32_t input) const {
    if (input == 0) return F32({2}, {1, 2});
    if (input == 1) return S32({}, {5});
    return Error{Code::kNotFound, "batch inputs are not asked for", ""};
  }
  Result<std::unique_ptr<Trainer>> Create() {
    return Trainer::Create(client_, step_, signature_, plan_, [this](int32_t i) { return Initial(i); });
  }
  std::unique_ptr<xla::Array> Put(const ir::HostTensor& tensor) {
    return *client_.Put(tensor, plan_.inputs[2], plan_.mesh);
  }

  FakeClient client_;
  xla::ImportedStep step_;
  ir::StepSignature signature_;
  plan::Plan plan_;
  const ir::HostTensor ones_ = F32({4, 2}, {1, 1, 1, 1, 1, 1, 1, 1});
};

TEST_F(TrainerTest, FeedsTheStateBack) {
  auto trainer = Create();
  ASSERT_TRUE(trainer.ok()) << trainer.error().message;
  EXPECT_EQ((*trainer)->state_inputs(), (std::vector<int32_t>{0, 1}));
  EXPECT_EQ((*trainer)->batch_inputs(), std::vector<int32_t>{2});
  EXPECT_EQ((*trainer)->result_outputs(), std::vector<int32_t>{2});
  const auto x = Put(ones_);
  for (int i = 1; i <= 3; ++i) {
    const auto result = (*trainer)->Step({x.get()});
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(result->loss, 3 + 8 * i);
    EXPECT_EQ(result->results.size(), 1U);
    EXPECT_GT(result->wall, Seconds(0));
  }
  EXPECT_EQ(*(*trainer)->StateToHost(), (std::vector<ir::HostTensor>{F32({2}, {13, 14}), S32({}, {8})}));
}

TEST_F(TrainerTest, DonatesEachStateInputToItsUpdateAndCopiesNothingPerStep) {
  auto trainer = Create();
  EXPECT_EQ(client_.donated, (std::vector<ir::Alias>{{0, 0}, {1, 1}}));
  const auto x = Put(ones_);
  const int puts = client_.puts;
  ASSERT_TRUE((*trainer)->Step({x.get()}).ok());
  ASSERT_TRUE((*trainer)->Step({x.get()}).ok()) << "the batch is not donated";
  EXPECT_EQ(client_.puts, puts);
}

TEST_F(TrainerTest, TakesANewState) {
  auto trainer = Create();
  const Status status = (*trainer)->SetState([](int32_t i) -> Result<ir::HostTensor> {
    return i == 0 ? F32({2}, {0, 0}) : S32({}, {0});
  });
  ASSERT_TRUE(status.ok());
  const auto x = Put(ones_);
  EXPECT_EQ((*trainer)->Step({x.get()})->loss, 8);
  EXPECT_EQ(*(*trainer)->StateToHost(1), S32({}, {1}));
}

TEST_F(TrainerTest, GivesWhatThisProcessIsToSave) {
  plan_.inputs[0] = plan_.outputs[0] = sharding::SplitDim(1, 0, 0);
  auto trainer = Create();
  ASSERT_TRUE(trainer.ok()) << trainer.error().message;
  const auto state = (*trainer)->OwnStateToHost();
  ASSERT_TRUE(state.ok());
  ASSERT_EQ(state->size(), 2U) << "both halves of w are here, so it is one block";
  EXPECT_EQ((*state)[0].tensor, 0U);
  EXPECT_EQ((*state)[0].block, (sharding::Block{{0}, {2}}));
  EXPECT_EQ((*state)[0].value, F32({2}, {1, 2}));
  EXPECT_EQ((*state)[1].tensor, 1U);
  EXPECT_EQ((*state)[1].value, S32({}, {5}));
}

TEST_F(TrainerTest, AsksForNoStateThatOthersHave) {
  std::vector<int32_t> asked;
  const auto initial = [&](int32_t input) {
    asked.push_back(input);
    return Initial(input);
  };
  auto trainer =
      Trainer::Create(client_, step_, signature_, plan_, initial, {}, [](int32_t input) { return input != 0; });
  ASSERT_TRUE(trainer.ok()) << trainer.error().message;
  EXPECT_EQ(asked, std::vector<int32_t>{1});
  const auto state = (*trainer)->OwnStateToHost();
  ASSERT_TRUE(state.ok());
  ASSERT_EQ(state->size(), 1U);
  EXPECT_EQ((*state)[0].tensor, 1U);
  EXPECT_EQ((*trainer)->StateToHost(0).error().code, Code::kEnvironment);
}

TEST_F(TrainerTest, RefusesAnotherBatchAndGoesOn) {
  auto trainer = Create();
  const auto wrong = Put(F32({2, 2}, {1, 1, 1, 1}));
  const auto result = (*trainer)->Step({wrong.get()});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::kMismatch);
  EXPECT_NE(result.error().message.find("'batch.x' is f32[2,2], the step needs f32[4,2]"), std::string::npos);
  EXPECT_EQ((*trainer)->Step({}).error().code, Code::kMismatch);
  const auto x = Put(ones_);
  EXPECT_TRUE((*trainer)->Step({x.get()}).ok());
}

TEST_F(TrainerTest, KnowsThatAFailedStepLosesTheState) {
  bool fail = false;
  client_.step = [&](const std::vector<ir::HostTensor>& arguments) -> Result<std::vector<ir::HostTensor>> {
    if (fail) return Error{Code::kEnvironment, "device lost", ""};
    return RunSumStep(arguments);
  };
  auto trainer = Create();
  const auto x = Put(ones_);
  fail = true;
  EXPECT_EQ((*trainer)->Step({x.get()}).error().message, "device lost");
  fail = false;
  const auto again = (*trainer)->Step({x.get()});
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, Code::kEnvironment);
  EXPECT_NE(again.error().message.find("state was lost"), std::string::npos);
  EXPECT_EQ((*trainer)->StateToHost().error().code, Code::kEnvironment);
  EXPECT_EQ((*trainer)->OwnStateToHost().error().code, Code::kEnvironment);
  ASSERT_TRUE((*trainer)->SetState([this](int32_t i) { return Initial(i); }).ok());
  EXPECT_EQ((*trainer)->Step({x.get()})->loss, 11);
}

TEST_F(TrainerTest, RefusesPlansThatDoNotFit) {
  plan_.outputs[0] = sharding::SplitDim(1, 0, 0);
  auto trainer = Create();
  ASSERT_FALSE(trainer.ok());
  EXPECT_EQ(trainer.error().code, Code::kInvalidInput);
  EXPECT_NE(trainer.error().message.find("state 'params.w' as [] but its update as [x]"), std::string::npos)
      << trainer.error().message;
  plan_.inputs[0] = plan_.outputs[0];
  EXPECT_TRUE(Create().ok());
  plan_.model_fingerprint ^= 1;
  EXPECT_EQ(Create().error().code, Code::kMismatch);
}

TEST_F(TrainerTest, RefusesValuesOfAnotherShapeAndPassesErrorsOn) {
  auto trainer = Trainer::Create(client_, step_, signature_, plan_, [](int32_t) -> Result<ir::HostTensor> {
    return F32({3}, {1, 2, 3});
  });
  ASSERT_FALSE(trainer.ok());
  EXPECT_EQ(trainer.error().code, Code::kMismatch);
  EXPECT_NE(trainer.error().message.find("'params.w' is f32[3], the model needs f32[2]"), std::string::npos);
  client_.fail_after = client_.puts + 1;
  EXPECT_EQ(Create().error().message, "out of device memory");
}

TEST_F(TrainerTest, RefusesALossThatIsNoNumber) {
  signature_.loss = 0;
  EXPECT_EQ(Create().error().code, Code::kInvalidInput);
}

TEST_F(TrainerTest, RunsStepsWithoutLoss) {
  signature_.loss = -1;
  auto trainer = Create();
  ASSERT_TRUE(trainer.ok());
  const auto x = Put(ones_);
  const auto result = (*trainer)->Step({x.get()});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->loss, std::nullopt);
  EXPECT_EQ(*result->results[0]->ToHost(), F32({}, {11}));
}

TEST_F(TrainerTest, RunsInMicrobatchesOnOneDeviceOnly) {
  const auto initial = [this](int32_t i) { return Initial(i); };
  const xla::MicrobatchSplit four{4, {}, false};
  const auto refused = Trainer::Create(client_, step_, signature_, plan_, initial, four);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("4 microbatches on 2 devices"), std::string::npos);
  EXPECT_EQ(client_.microbatches, 0);
  plan_ = *plan::MakeDataParallel(step_.module, signature_, {-1, -1, 0}, 1);
  auto trainer = Trainer::Create(client_, step_, signature_, plan_, initial, four);
  ASSERT_TRUE(trainer.ok()) << trainer.error().message;
  EXPECT_EQ(client_.microbatches, 4);
  EXPECT_EQ(client_.donated, (std::vector<ir::Alias>{{0, 0}, {1, 1}}));
  const auto x = Put(ones_);
  EXPECT_EQ((*trainer)->Step({x.get()})->loss, 3 + 8);
}

// Inference: y = x + x.
TEST(Trainer, RunsStepsWithoutState) {
  StepBuilder b;
  const auto x = b.Batch("x", F32Shape({2}));
  b.Result(b.Op(ir::OpKind::kAdd, {x, x}, F32Shape({2})));
  FakeClient client([](const std::vector<ir::HostTensor>& a) -> Result<std::vector<ir::HostTensor>> {
    return std::vector<ir::HostTensor>{F32({2}, {2 * ir::ElementAsDouble(a[0], 0), 2 * ir::ElementAsDouble(a[0], 1)})};
  });
  const plan::Plan plan = *plan::MakeDataParallel(b.module, b.signature, {0}, 1);
  auto trainer = Trainer::Create(client, {b.module, ""}, b.signature, plan, nullptr);
  ASSERT_TRUE(trainer.ok()) << trainer.error().message;
  const auto array = *client.Put(F32({2}, {1, 2}), {}, plan.mesh);
  const auto result = (*trainer)->Step({array.get()});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(*result->results[0]->ToHost(), F32({2}, {2, 4}));
  EXPECT_TRUE((*trainer)->StateToHost()->empty());
}

}  // namespace
}  // namespace alpa::runtime
