#include "alpa/report/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace alpa::report {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// A screen that keeps what was written, and a clock that stands still until it is moved.
struct Fake {
  std::string out;
  double time = 1000;
  int columns = 100;

  Screen screen(bool redraws, bool unicode = false) {
    return {redraws, unicode, [this] { return columns; }, [this](std::string_view text) { out += text; },
            [this] { return time; }};
  }
  // What has been written since the last call.
  std::string Take() { return std::exchange(out, ""); }
};

ProgressOptions Steps(int64_t total, double tokens_per_step = 0) {
  ProgressOptions options;
  options.total = total;
  options.items_per_step = tokens_per_step;
  return options;
}

TEST(Progress, RedrawsOneLineOnATerminal) {
  Fake fake;
  {
    Progress progress(fake.screen(true), Steps(100, 1000));
    fake.time += 2;
    progress.Update(10, 2.5);
    EXPECT_EQ(
        fake.Take(),
        "\r[###...................................]   10/100  loss 2.5000  5.00k tokens/s  0:02  0:18 left\033[K");
    fake.time += 2;
    progress.Update(50, 2.25);
    EXPECT_EQ(
        fake.Take(),
        "\r[###################...................]   50/100  loss 2.2500  12.5k tokens/s  0:04  0:04 left\033[K");
    fake.time += 1;
    progress.Update(100, 2);
    progress.Finish();
    EXPECT_THAT(fake.Take(), EndsWith("100/100  loss 2.0000  20.0k tokens/s  0:05\033[K\n"));
  }
  EXPECT_EQ(fake.Take(), "");  // nothing more when it goes
}

TEST(Progress, ShowsOperationsPerSecondWhereThereIsRoom) {
  Fake fake;
  ProgressOptions options = Steps(100, 1000);
  options.flops_per_step = 4e9;
  Progress progress(fake.screen(true), options);
  fake.time += 2;
  progress.Update(10, 2.5);
  EXPECT_THAT(fake.Take(), EndsWith("5.00k tokens/s  20.0 GFLOPS  0:02  0:18 left\033[K"));
  fake.columns = 62;  // they are the first to go
  fake.time += 2;
  progress.Update(50, 2.25);
  EXPECT_EQ(fake.Take(), "\r 50/100  loss 2.2500  12.5k tokens/s  0:04  0:04 left\033[K");
}

TEST(FormatFlops, HasThreeDigitsAndAUnit) {
  EXPECT_EQ(FormatFlops(0), "0.00 FLOPS");
  EXPECT_EQ(FormatFlops(12.3), "12.3 FLOPS");
  EXPECT_EQ(FormatFlops(4.5e4), "45.0 KFLOPS");
  EXPECT_EQ(FormatFlops(1.234e11), "123 GFLOPS");
  EXPECT_EQ(FormatFlops(5e13), "50.0 TFLOPS");
  EXPECT_EQ(FormatFlops(2.5e15), "2.50 PFLOPS");
}

TEST(StatusLine, IsRedrawnCutAndEnded) {
  Fake fake;
  fake.columns = 8;
  {
    StatusLine line(fake.screen(true));
    EXPECT_TRUE(line.Due());
    line.Show("0123456789");
    EXPECT_EQ(fake.Take(), "\r0123456\033[K");
    fake.time += 0.05;
    EXPECT_FALSE(line.Due());
    fake.time += 0.06;
    EXPECT_TRUE(line.Due());
  }
  EXPECT_EQ(fake.Take(), "\n");
}

TEST(StatusLine, IsALineEveryFiveSecondsInALog) {
  Fake fake;
  {
    StatusLine line(fake.screen(false));
    line.Show("half");
    EXPECT_EQ(fake.Take(), "half\n");
    fake.time += 4.9;
    EXPECT_FALSE(line.Due());
    fake.time += 0.2;
    EXPECT_TRUE(line.Due());
  }
  EXPECT_EQ(fake.Take(), "");
}

TEST(Progress, DrawsTheBarInUnicodeWhereItMay) {
  Fake fake;
  fake.columns = 40;
  Progress progress(fake.screen(true, /*unicode=*/true), Steps(10));
  progress.Update(5);
  EXPECT_EQ(fake.Take(), "\r━━━━━━━━━━━━━╺────────────   5/10  0:00\033[K");
}

TEST(Progress, RedrawsTenTimesASecondAtMost) {
  Fake fake;
  Progress progress(fake.screen(true), Steps(1000));
  int lines = 0;
  for (int step = 1; step <= 1000; ++step) {
    fake.time += 0.001;
    progress.Update(step, 1);
    if (!fake.Take().empty()) ++lines;
  }
  EXPECT_GE(lines, 9);
  EXPECT_LE(lines, 11);
}

TEST(Progress, NeverExceedsTheWidthOfTheTerminal) {
  Fake fake;
  Progress progress(fake.screen(true), Steps(1000, 4096));
  for (int columns = 1; columns <= 120; ++columns) {
    fake.columns = columns;
    fake.time += 1;
    progress.Update(columns, 1.23456);
    const std::string drawn = fake.Take();
    ASSERT_THAT(drawn, StartsWith("\r"));
    ASSERT_THAT(drawn, EndsWith("\033[K"));
    EXPECT_LT(drawn.size() - 1 - 3, static_cast<size_t>(columns)) << drawn;  // the last column stays free
  }
}

TEST(Progress, LeavesOutTheLeastImportantFirst) {
  Fake fake;
  Progress progress(fake.screen(true), Steps(100, 1000));
  const std::pair<int, const char*> cases[] = {
      {64, "\r[###...]   50/100  loss 2.5000  5.00k tokens/s  0:10  0:10 left\033[K"},
      {57, "\r 50/100  loss 2.5000  5.00k tokens/s  0:10  0:10 left\033[K"},
      {50, "\r 50/100  loss 2.5000  5.00k tokens/s  0:10 left\033[K"},
      {35, "\r 50/100  loss 2.5000  0:10 left\033[K"},
      {25, "\r 50/100  loss 2.5000\033[K"},
      {15, "\r 50/100\033[K"},
      {4, "\r 50\033[K"},
  };
  fake.time += 10;
  for (const auto& [columns, line] : cases) {
    fake.columns = columns;
    progress.Update(50, 2.5);
    progress.Say("");  // draws at once
    EXPECT_THAT(fake.Take(), EndsWith(line)) << columns;
  }
}

TEST(Progress, TakesAnUnknownWidthFor80Columns) {
  Fake fake;
  fake.columns = 0;
  Progress progress(fake.screen(true), Steps(10));
  progress.Update(5);
  EXPECT_EQ(fake.Take(), "\r[###################...................]   5/10  0:00\033[K");
}

TEST(Progress, WritesPlainLinesToALog) {
  Fake fake;
  {
    Progress progress(fake.screen(false), Steps(100, 10));
    for (int step = 1; step <= 100; ++step) {
      fake.time += 0.12;
      progress.Update(step, 4 - step * 0.01);
    }
    progress.Finish();
    progress.Finish();  // does nothing
  }
  EXPECT_EQ(fake.Take(),
            "  1/100  loss 3.9900  83.3 tokens/s  0:00  0:12 left\n"
            " 43/100  loss 3.5700  83.3 tokens/s  0:05  0:07 left\n"
            " 85/100  loss 3.1500  83.3 tokens/s  0:10  0:02 left\n"
            "100/100  loss 3.0000  83.3 tokens/s  0:12\n");
}

TEST(Progress, HasNoBarWithoutATotal) {
  Fake fake;
  Progress progress(fake.screen(true), {});
  fake.time += 2;
  progress.Update(7, 1.5);
  EXPECT_EQ(fake.Take(), "\rstep 7  loss 1.5000  3.50 steps/s  0:02\033[K");
}

TEST(Progress, DoesNotCountStepsOfAnEarlierRunAsSpeed) {
  Fake fake;
  ProgressOptions options = Steps(1000);
  options.done = 900;
  Progress progress(fake.screen(false), options);
  fake.time += 10;
  progress.Update(910);
  EXPECT_EQ(fake.Take(), " 910/1000  1.00 steps/s  0:10  1:30 left\n");
}

// The first step is slow (the program warms up); the time left soon follows the speed of the last seconds.
TEST(Progress, MeasuresTheCurrentSpeed) {
  Fake fake;
  Progress progress(fake.screen(false), Steps(1000));
  fake.time += 60;
  progress.Update(1);
  EXPECT_THAT(fake.Take(), HasSubstr("16:39:00 left"));
  for (int step = 2; step <= 201; ++step) {
    fake.time += 0.1;
    progress.Update(step);
  }
  EXPECT_THAT(fake.Take(), EndsWith(" 154/1000  10.0 steps/s  1:15  1:25 left\n"));
  progress.Finish();
  EXPECT_EQ(fake.Take(), " 201/1000  2.51 steps/s  1:20\n");  // the whole run: 201 steps in 80 s
}

TEST(Progress, SaysThingsAboveTheLine) {
  Fake fake;
  Progress progress(fake.screen(true), Steps(10));
  progress.Say("compiled");
  EXPECT_EQ(fake.Take(), "compiled\n");
  progress.Update(5);
  fake.Take();
  progress.Say("checkpoint written");
  EXPECT_THAT(fake.Take(), testing::MatchesRegex("\r\033\\[Kcheckpoint written\n\r.*5/10.*\033\\[K"));

  Progress log(fake.screen(false), Steps(10));
  log.Update(5);
  fake.Take();
  log.Say("checkpoint written");
  EXPECT_EQ(fake.Take(), "checkpoint written\n");
}

TEST(Progress, EndsItsLineWhenAnErrorCutsItShort) {
  Fake fake;
  {
    Progress progress(fake.screen(true), Steps(10));
    progress.Update(5);
    EXPECT_THAT(fake.Take(), Not(EndsWith("\n")));
  }
  EXPECT_EQ(fake.Take(), "\n");
}

TEST(Progress, NeverHidesTheCursor) {
  Fake fake;
  {
    Progress progress(fake.screen(true), Steps(10));
    progress.Update(5, 1);
    progress.Say("hello");
    progress.Finish();
  }
  EXPECT_THAT(fake.out, Not(HasSubstr("\033[?25l")));
}

TEST(Progress, ShowsStepsBeyondTheTotalAndLossesThatAreNoNumber) {
  Fake fake;
  Progress progress(fake.screen(true), Steps(10));
  fake.time += 1;
  progress.Update(12, NAN);
  EXPECT_EQ(fake.Take(),
            "\r[######################################]  12/10  loss nan  12.0 steps/s  0:01  0:00 left\033[K");
}

TEST(Format, Duration) {
  EXPECT_EQ(FormatDuration(0), "0:00");
  EXPECT_EQ(FormatDuration(7.4), "0:07");
  EXPECT_EQ(FormatDuration(59.6), "1:00");
  EXPECT_EQ(FormatDuration(754), "12:34");
  EXPECT_EQ(FormatDuration(3723), "1:02:03");
  EXPECT_EQ(FormatDuration(2 * 86400 + 3 * 3600 + 4 * 60 + 5), "2d 03:04:05");
  EXPECT_EQ(FormatDuration(1e12), ">1000d");
  EXPECT_EQ(FormatDuration(-1), "?");
  EXPECT_EQ(FormatDuration(INFINITY), "?");
}

TEST(Format, Count) {
  EXPECT_EQ(FormatCount(0), "0.00");
  EXPECT_EQ(FormatCount(3.214), "3.21");
  EXPECT_EQ(FormatCount(9.996), "10.0");
  EXPECT_EQ(FormatCount(99.96), "100");
  EXPECT_EQ(FormatCount(123.4), "123");
  EXPECT_EQ(FormatCount(999.6), "1.00k");
  EXPECT_EQ(FormatCount(12345), "12.3k");
  EXPECT_EQ(FormatCount(1.234e6), "1.23M");
}

TEST(Format, Loss) {
  EXPECT_EQ(FormatLoss(2.34567), "2.3457");
  EXPECT_EQ(FormatLoss(0), "0.0000");
  EXPECT_EQ(FormatLoss(-1.5), "-1.5000");
  EXPECT_EQ(FormatLoss(1234567), "1.235e+06");
  EXPECT_EQ(FormatLoss(0.0001), "1.000e-04");
  EXPECT_EQ(FormatLoss(INFINITY), "inf");
}

}  // namespace
}  // namespace alpa::report
