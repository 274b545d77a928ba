#include "alpa/runtime/background_saver.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>

namespace alpa::runtime {
namespace {

SaveOutcome Fail(const std::string& why) { return Error{Code::kIo, why, ""}; }

TEST(BackgroundSaver, RunsBesideItsUser) {
  BackgroundSaver saver;
  EXPECT_FALSE(saver.Wait()->has_value()) << "nothing was saved";
  std::promise<void> go;
  ASSERT_TRUE(saver
                  .Start([&]() -> SaveOutcome {
                    go.get_future().wait();
                    return std::filesystem::path("a");
                  })
                  .ok());
  EXPECT_TRUE(saver.busy()) << "Start has come back while it saves";
  EXPECT_TRUE(saver.Poll().ok());
  go.set_value();
  EXPECT_EQ(*saver.Wait(), std::optional(std::filesystem::path("a")));
  EXPECT_FALSE(saver.busy());
}

TEST(BackgroundSaver, RunsOneAfterTheOther) {
  std::atomic<int> now = 0, most = 0, runs = 0;
  {
    BackgroundSaver saver;
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(saver
                      .Start([&]() -> SaveOutcome {
                        most = std::max<int>(most, ++now);
                        std::this_thread::yield();
                        --now;
                        ++runs;
                        return std::filesystem::path("a");
                      })
                      .ok());
    }
  }
  EXPECT_EQ(most, 1);
  EXPECT_EQ(runs, 20) << "also the one under way at the end of its life";
}

TEST(BackgroundSaver, HandsAnErrorOverOnce) {
  BackgroundSaver saver;
  ASSERT_TRUE(saver.Start([] { return Fail("disk full"); }).ok());
  while (saver.busy()) std::this_thread::yield();
  EXPECT_EQ(saver.Poll().error().message, "disk full");
  EXPECT_TRUE(saver.Poll().ok());

  ASSERT_TRUE(saver.Start([] { return Fail("again"); }).ok());
  bool ran = false;
  const Status next = saver.Start([&]() -> SaveOutcome {
    ran = true;
    return std::filesystem::path("a");
  });
  EXPECT_EQ(next.error().message, "again");
  EXPECT_TRUE(saver.Wait().ok());
  EXPECT_FALSE(ran);
}

TEST(BackgroundSaver, TurnsExceptionsIntoErrors) {
  BackgroundSaver saver;
  ASSERT_TRUE(saver.Start([]() -> SaveOutcome { throw std::runtime_error("no memory"); }).ok());
  EXPECT_EQ(saver.Wait().error().code, Code::kEnvironment);
}

}  // namespace
}  // namespace alpa::runtime
