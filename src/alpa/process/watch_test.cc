#include "alpa/process/watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include "alpa/process/memory_group.h"

namespace alpa::process {
namespace {

using testing::HasSubstr;

void SleepFor(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

// How the processes of a test have ended.
struct Endings {
  std::mutex mutex;
  std::vector<int> statuses;
  std::vector<std::string> messages;  // printed ones

  WatchOptions Options() {
    WatchOptions options;
    options.catch_sigterm = false;  // processes are threads here
    options.dead_after = Seconds(0.6);
    options.print = [this](const std::string& message) {
      const std::lock_guard lock(mutex);
      messages.push_back(message);
    };
    options.end = [this](int status) {
      const std::lock_guard lock(mutex);
      statuses.push_back(status);
    };
    return options;
  }
};

TEST(Activity, ReadsWhatWasSetLast) {
  Activity activity;
  EXPECT_EQ(activity.Read().text, "");
  activity.Set("step 3", true);
  EXPECT_EQ(activity.Read().text, "step 3");
  EXPECT_TRUE(activity.Read().waiting);
  activity.Set(std::string(200, 'x'));
  EXPECT_EQ(activity.Read().text, std::string(Activity::kMost, 'x'));
  EXPECT_FALSE(activity.Read().waiting);
  EXPECT_EQ(activity.Read().changes, 2U);
}

TEST(Activity, IsNeverSeenHalfWritten) {
  Activity activity;
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int i = 0; !stop; ++i)
      activity.Set(std::string(static_cast<size_t>(i % 100), static_cast<char>('a' + i % 26)));
  });
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = activity.Read().text;
    if (!text.empty()) ASSERT_EQ(text, std::string(text.size(), text[0]));
  }
  stop = true;
  writer.join();
}

TEST(Watch, EndsNobodyWhenAllEndAsTheyShouldOneLater) {
  Endings endings;
  RunInThreads(3, [&](Group& group) {
    const auto watch = StartWatch(group, endings.Options());
    watch->AddActivity().Set("step 1");
    SleepFor(0.3 + 0.5 * group.rank());
  });
  EXPECT_TRUE(endings.statuses.empty());
}

TEST(Watch, SaysWhoDiedAndWhereOnce) {
  Endings endings;
  auto groups = MakeMemoryGroups(3);
  std::vector<std::unique_ptr<Watch>> watches;
  int hooks = 0;
  std::mutex mutex;
  for (int r = 0; r < 3; ++r) {
    WatchOptions options = endings.Options();
    options.before_ending = [&] {
      const std::lock_guard lock(mutex);
      ++hooks;
    };
    // The process that "dies" falls silent by a stop that nobody expects: its watch thread does not come back.
    if (r == 0) {
      options.dead_after = Seconds(100);
      options.hang_limit = Seconds(0.3);
      options.before_ending = [] { SleepFor(2.5); };
    }
    watches.push_back(StartWatch(*groups[static_cast<size_t>(r)], options));
    if (r == 0) watches.back()->AddActivity().Set("step 7");
    if (r > 0) watches.back()->AddActivity().Set("waits for step 7", true);
  }
  SleepFor(2.2);
  {
    const std::lock_guard lock(endings.mutex);
    EXPECT_EQ(endings.statuses, (std::vector<int>{2, 2}));
    ASSERT_EQ(endings.messages.size(), 1U);
    EXPECT_THAT(endings.messages[0], HasSubstr("process 0 ("));
    EXPECT_THAT(endings.messages[0], HasSubstr("at: step 7"));
  }
  EXPECT_EQ(hooks, 2);
  watches.clear();
}

TEST(Watch, SaysWhoHoldsTheOthersUp) {
  Endings endings;
  RunInThreads(3, [&](Group& group) {
    WatchOptions options = endings.Options();
    options.hang_limit = Seconds(0.5);
    const auto watch = StartWatch(group, options);
    if (group.rank() == 1) {
      watch->AddActivity().Set("step 4, backward s1 k2");
    } else {
      watch->AddActivity().Set("step 4, all-reduce", true);
    }
    SleepFor(1.5);
  });
  EXPECT_EQ(endings.statuses, (std::vector<int>{2, 2, 2}));
  ASSERT_EQ(endings.messages.size(), 1U);
  EXPECT_THAT(endings.messages[0], HasSubstr("these hold the others up"));
  EXPECT_THAT(endings.messages[0], HasSubstr("process 1 ("));
  EXPECT_THAT(endings.messages[0], HasSubstr("backward s1 k2"));
  EXPECT_THAT(endings.messages[0], testing::Not(HasSubstr("all-reduce")));
}

TEST(Watch, EndsAllWhenOneFails) {
  Endings endings;
  RunInThreads(3, [&](Group& group) {
    const auto watch = StartWatch(group, endings.Options());
    SleepFor(0.2);
    if (group.rank() == 2) watch->Fail({Code::kIo, "disk full", "make room"});
    SleepFor(1);
  });
  EXPECT_EQ(endings.statuses, (std::vector<int>{2, 2, 2}));
  ASSERT_EQ(endings.messages.size(), 1U);
  EXPECT_THAT(endings.messages[0], HasSubstr("process 2 ("));
  EXPECT_THAT(endings.messages[0], HasSubstr("disk full\n  make room"));
}

}  // namespace
}  // namespace alpa::process
