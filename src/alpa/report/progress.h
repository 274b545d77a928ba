// How far long work has come, on the terminal or in a log.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace alpa::report {

// Where progress is shown; a struct of functions so that tests can write to a string with a clock of their own.
struct Screen {
  bool redraws = false;                         // a terminal, whose line can be drawn again; else a log
  bool unicode = false;                         // may draw the bar with "━"
  std::function<int()> width;                   // columns now; 0 or less: unknown
  std::function<void(std::string_view)> write;  // also flushes
  std::function<double()> now;                  // seconds, from any beginning
};

// Standard error: redraws when that is a terminal that can.
Screen StderrScreen();

struct ProgressOptions {
  int64_t total = 0;            // steps in all; 0: unknown, then there is no bar and no time left
  int64_t done = 0;             // steps done before this run (--resume); they do not count for the speed
  double items_per_step = 0;    // 0: the speed is shown in steps/s
  std::string item = "tokens";  // what is counted per second
  double flops_per_step = 0;    // 0: not shown
};

// On a terminal one line that is redrawn ten times a second at most:
//   ━━━━━━━━━━╺─────────  123/1000  loss 2.3456  12.3k tokens/s  45.6 GFLOPS  0:12  1:27 left
// Parts are left out where the line would not fit; the cursor stays visible. In a log a plain line at the first step,
// then every five seconds, and at the end. Draws from within Update(): no thread. Not thread-safe.
class Progress {
 public:
  Progress(Screen screen, ProgressOptions options);
  // Ends the line if Finish() has not, so that what is printed next (an error) begins on a line of its own.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `step` steps are done (counting those of earlier runs). Costs a look at the clock unless it is time to draw.
  void Update(int64_t step, std::optional<double> loss = {});
  // Prints `text` on a line of its own, above the redrawn one.
  void Say(std::string_view text);
  // Shows the last step with the mean speed, and ends the line. Later calls do nothing.
  void Finish();

 private:
  std::string Line(double now, bool last) const;
  void Draw(double now, bool last);
  double StepsPerSecond(double now, bool whole_run) const;

  Screen screen_;
  ProgressOptions options_;
  double start_;
  double next_draw_;
  int64_t step_;
  std::optional<double> loss_;
  std::deque<std::pair<double, int64_t>> history_;  // (time, step) of the last seconds, for the current speed
  bool line_open_ = false;
  bool finished_ = false;
};

// One line of text that says how long work gets on: on a terminal redrawn ten times a second at most and cut to its
// width, in a log a line every five seconds. Not thread-safe.
class StatusLine {
 public:
  explicit StatusLine(Screen screen) : screen_(std::move(screen)) {}
  // Ends the line on the terminal; the last text stays.
  ~StatusLine();
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  // Whether it is time to show something. Asks the clock only.
  bool Due() const { return screen_.now() >= next_; }
  void Show(std::string line);
  double now() const { return screen_.now(); }

 private:
  Screen screen_;
  double next_ = 0;
  bool open_ = false;  // a line without its end stands on the terminal
};

// "0:07", "12:34", "1:02:03", "2d 03:04:05".
std::string FormatDuration(double seconds);
// "3.21", "123", "12.3k", "1.23M": three digits.
std::string FormatCount(double count);
// "45.6 GFLOPS", "123 TFLOPS", "1.23 PFLOPS": operations per second.
std::string FormatFlops(double flops_per_second);
// "2.3456"; very large or small ones as "1.234e+06".
std::string FormatLoss(double loss);

}  // namespace alpa::report
