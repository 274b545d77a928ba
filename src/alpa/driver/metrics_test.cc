#include "alpa/driver/metrics.h"

#include <gtest/gtest.h>

#include "alpa/runtime/test_support.h"

namespace alpa::driver {
namespace {

const std::string kOne = "{\"step\": 1, \"loss\": 0.5, \"seconds\": 2, \"tokens_per_second\": 3.0, \"tflops\": 2}\n";
const std::string kTwo = "{\"step\": 2, \"loss\": null, \"seconds\": 2, \"tokens_per_second\": 3.0, \"tflops\": 2}\n";

StepMetrics Step(int64_t step, std::optional<double> loss) {
  return {step, loss, Seconds(2), 3, "tokens", Flops(4e12), nullptr};
}

TEST(Metrics, WritesALinePerStep) {
  const runtime::TempFolder folder;
  auto metrics = *Metrics::Open(folder / "m", {});
  ASSERT_TRUE(metrics.Write(Step(1, 0.5)).ok());
  EXPECT_EQ(runtime::Read(folder / "m"), kOne) << "it is there at once";
  ASSERT_TRUE(metrics.Write(Step(2, {})).ok());
  EXPECT_EQ(runtime::Read(folder / "m"), kOne + kTwo);
  EXPECT_TRUE(Metrics::Open(folder / "m", {}).ok());
  EXPECT_EQ(runtime::Read(folder / "m"), "");
}

TEST(Metrics, GoesOnBehindTheStepOfTheCheckpoint) {
  const runtime::TempFolder folder;
  runtime::Write(folder / "m", "# mine\n" + kOne + kTwo + "{\"step\": 3, \"lo");
  EXPECT_TRUE(Metrics::Open(folder / "m", 2).ok());
  EXPECT_EQ(runtime::Read(folder / "m"), "# mine\n" + kOne + kTwo);
  auto metrics = *Metrics::Open(folder / "m", 1);
  EXPECT_EQ(runtime::Read(folder / "m"), "# mine\n" + kOne);
  ASSERT_TRUE(metrics.Write(Step(2, {})).ok());
  EXPECT_EQ(runtime::Read(folder / "m"), "# mine\n" + kOne + kTwo);
  EXPECT_TRUE(Metrics::Open(folder / "new", 1).ok());
}

// Mesh 0 computes for 6 of 10 s and waits for 3; mesh 1 computes for 2 of the 4 s in which it does something.
TEST(Metrics, SaysWhereTheTimeOfAPipelineGoes) {
  const runtime::TempFolder folder;
  auto metrics = *Metrics::Open(folder / "m", {});
  StepMetrics step = Step(1, 0.5);
  runtime::StepTimeline timeline;
  timeline.wall = 10;
  timeline.meshes = {{{{}, 0, 10}}, {{{}, 3, 7}}};
  timeline.times = {{6, 3, true}, {2, 1.5, true}};
  step.of_pipeline = &timeline;
  ASSERT_TRUE(metrics.Write(step).ok());
  EXPECT_EQ(runtime::Read(folder / "m"),
            "{\"step\": 1, \"loss\": 0.5, \"seconds\": 2, \"tokens_per_second\": 3.0, \"tflops\": 2, "
            "\"bubble\": 0.6000, \"overhead\": 0.1000}\n");
}

TEST(Metrics, SaysWhenTheDiskIsFull) {
  auto metrics = *Metrics::Open("/dev/full", {});
  const Status status = metrics.Write(Step(1, 0.5));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kIo);
  EXPECT_EQ(status.error().message, "/dev/full: cannot write: No space left on device");
}

}  // namespace
}  // namespace alpa::driver
