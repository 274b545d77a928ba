#include "alpa/driver/metrics.h"

#include <gtest/gtest.h>

#include "alpa/runtime/test_support.h"

namespace alpa::driver {
namespace {

const std::string kOne = "{\"step\": 1, \"loss\": 0.5, \"seconds\": 2, \"tokens_per_second\": 3.0}\n";
const std::string kTwo = "{\"step\": 2, \"loss\": null, \"seconds\": 2, \"tokens_per_second\": 3.0}\n";

TEST(Metrics, WritesALinePerStep) {
  const runtime::TempFolder folder;
  auto metrics = *Metrics::Open(folder / "m", {});
  ASSERT_TRUE(metrics.Write(1, 0.5, Seconds(2), 3, "tokens").ok());
  EXPECT_EQ(runtime::Read(folder / "m"), kOne) << "it is there at once";
  ASSERT_TRUE(metrics.Write(2, {}, Seconds(2), 3, "tokens").ok());
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
  ASSERT_TRUE(metrics.Write(2, {}, Seconds(2), 3, "tokens").ok());
  EXPECT_EQ(runtime::Read(folder / "m"), "# mine\n" + kOne + kTwo);
  EXPECT_TRUE(Metrics::Open(folder / "new", 1).ok());
}

TEST(Metrics, SaysWhenTheDiskIsFull) {
  auto metrics = *Metrics::Open("/dev/full", {});
  const Status status = metrics.Write(1, 0.5, Seconds(2), 3, "tokens");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kIo);
  EXPECT_EQ(status.error().message, "/dev/full: cannot write: No space left on device");
}

}  // namespace
}  // namespace alpa::driver
