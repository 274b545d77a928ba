#include "alpa/driver/catch_interrupt.h"

#include <gtest/gtest.h>

namespace alpa::driver {
namespace {

TEST(CatchInterrupt, TakesTheFirstSignalAsAWish) {
  const CatchInterrupt interrupt({SIGINT, SIGTERM});
  EXPECT_FALSE(interrupt.caught());
  ::raise(SIGTERM);
  EXPECT_TRUE(interrupt.caught());
  EXPECT_EQ(interrupt.signal(), SIGTERM);
}

TEST(CatchInterrupt, BeginsAnew) {
  {
    const CatchInterrupt interrupt;
    ::raise(SIGINT);
    EXPECT_TRUE(interrupt.caught());
  }
  const CatchInterrupt again;
  EXPECT_FALSE(again.caught());
}

TEST(CatchInterruptDeathTest, EndsAtTheSecondOfWhicheverKind) {
  const auto twice = [](int first, int second) {
    const CatchInterrupt interrupt({SIGINT, SIGTERM});
    ::raise(first);
    ::raise(second);
  };
  EXPECT_EXIT(twice(SIGINT, SIGINT), testing::KilledBySignal(SIGINT), "");
  EXPECT_EXIT(twice(SIGINT, SIGTERM), testing::KilledBySignal(SIGTERM), "");
  EXPECT_EXIT(twice(SIGTERM, SIGINT), testing::KilledBySignal(SIGINT), "");
}

TEST(CatchInterrupt, LeavesIgnoredSignalsAlone) {
  ::signal(SIGTERM, SIG_IGN);  // as nohup does with another
  {
    const CatchInterrupt interrupt({SIGTERM});
    ::raise(SIGTERM);
    EXPECT_FALSE(interrupt.caught());
  }
  ::signal(SIGTERM, SIG_DFL);
}

}  // namespace
}  // namespace alpa::driver
