// Trainer, prefetcher, data and checkpoints together: a run that is interrupted gives the same as one that is not.
#include <gtest/gtest.h>

#include "alpa/plan/data_parallel.h"
#include "alpa/runtime/array_data.h"
#include "alpa/runtime/checkpoint.h"
#include "alpa/runtime/fake_client.h"
#include "alpa/runtime/npz.h"
#include "alpa/runtime/prefetch.h"
#include "alpa/runtime/save_checkpoint.h"
#include "alpa/runtime/test_support.h"
#include "alpa/runtime/trainer.h"

namespace alpa::runtime {
namespace {

class ResumeTest : public testing::Test {
 protected:
  ResumeTest() {
    std::vector<double> values(28);
    for (size_t i = 0; i < values.size(); ++i) values[i] = 0.1 * static_cast<double>(i);
    ALPA_CHECK(WriteNpz(folder_ / "x.npz", {{"x", F32({14, 2}, values)}}).ok());
    step_.module = builder_.module;
    plan_ = *plan::MakeDataParallel(step_.module, builder_.signature, {-1, -1, 0}, 2);
  }

  // Runs from the newest checkpoint in `dir`, or from zero, up to step `last`; saves there. Returns the losses.
  std::vector<double> Run(const std::filesystem::path& dir, int64_t last) {
    const auto checkpoint = LoadCheckpoint(dir, {}, step_.module, builder_.signature);
    const CheckpointInfo start = checkpoint.ok() ? checkpoint->info() : CheckpointInfo{};
    auto trainer = *Trainer::Create(client_, step_, builder_.signature, plan_, [&](int32_t i) {
      return checkpoint.ok() ? checkpoint->Value(i)
                             : Result<ir::HostTensor>(
                                   ir::HostTensor(step_.module.shape(step_.module.inputs[static_cast<size_t>(i)])));
    });
    auto data =
        *OpenArrayData({(folder_ / "x.npz").string()}, BatchInputs(step_.module, builder_.signature, {-1, -1, 0}), {9});
    ALPA_CHECK(data->Seek(start.data_position).ok());
    auto batches = *Prefetcher::Start(std::move(data), client_, trainer->batch_specs(), trainer->mesh());
    std::vector<double> losses;
    for (int64_t step = start.step; step < last; ++step) {
      const DeviceBatch batch = *batches->Next();
      losses.push_back(trainer->Step(batch.pointers())->loss.value());
    }
    CheckpointInfo info;
    info.step = last;
    info.data_position = batches->position();
    const auto saved =
        SaveCheckpoint(dir, info, step_.module, builder_.signature, [&](size_t s) { return trainer->StateToHost(s); });
    ALPA_CHECK(saved.ok());
    return losses;
  }

  TempFolder folder_;
  StepBuilder builder_ = SumStep();
  xla::ImportedStep step_;
  plan::Plan plan_;
  FakeClient client_;
};

TEST_F(ResumeTest, AnInterruptedRunGivesTheSameNumbers) {
  const std::vector<double> whole = Run(folder_ / "whole", 10);
  std::vector<double> parts;
  for (const int64_t stop : {1, 4, 10}) {  // in the middle of epochs of three batches
    for (const double loss : Run(folder_ / "parts", stop)) parts.push_back(loss);
  }
  EXPECT_EQ(parts, whole);
  EXPECT_EQ(Read(folder_ / "parts/step-00000010/shard-00000-of-00001.safetensors"),
            Read(folder_ / "whole/step-00000010/shard-00000-of-00001.safetensors"));
}

}  // namespace
}  // namespace alpa::runtime
