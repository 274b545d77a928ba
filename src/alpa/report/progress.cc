#include "alpa/report/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace alpa::report {
namespace {

constexpr double kRedrawSeconds = 0.1;
constexpr double kLogSeconds = 5;
constexpr double kSpeedWindowSeconds = 10;  // the current speed is that of the last seconds
constexpr int kMinBar = 8;
constexpr int kMaxBar = 40;

std::string Bar(double fraction, int columns, bool unicode) {
  if (!unicode) columns -= 2;  // the brackets
  const int filled = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * columns);
  if (!unicode) {
    std::string bar = "[" + std::string(static_cast<size_t>(filled), '#');
    bar.resize(static_cast<size_t>(columns) + 1, '.');
    return bar + "]";
  }
  std::string bar;
  for (int i = 0; i < columns; ++i) bar += i < filled ? "━" : i == filled ? "╺" : "─";
  return bar;
}

std::string_view Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// By the first of the variables that is set, as setlocale() does.
bool LocaleIsUtf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string_view value = Environment(name);
    if (value.empty()) continue;
    return value.find("UTF-8") != std::string_view::npos || value.find("utf8") != std::string_view::npos;
  }
  return false;
}

}  // namespace

Screen StderrScreen() {
  Screen screen;
  screen.redraws = ::isatty(STDERR_FILENO) == 1 && Environment("TERM") != "dumb";
  screen.unicode = LocaleIsUtf8();
  screen.width = [] {
    winsize size{};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? static_cast<int>(size.ws_col) : 0;
  };
  screen.write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  screen.now = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
  return screen;
}

std::string FormatDuration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  constexpr double kTooLong = 1000.0 * 24 * 3600;
  if (seconds >= kTooLong) return ">1000d";
  const auto s = std::llround(seconds);
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  if (s < 24 * 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}d {:02}:{:02}:{:02}", s / 86400, s / 3600 % 24, s / 60 % 60, s % 60);
}

std::string FormatCount(double count) {
  static constexpr std::array<const char*, 5> kUnits = {"", "k", "M", "G", "T"};
  size_t u = 0;
  while (std::abs(count) >= 999.5 && u + 1 < kUnits.size()) count /= 1000, ++u;
  const double a = std::abs(count);
  const int decimals = a < 9.995 ? 2 : a < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", count, decimals, kUnits[u]);
}

std::string FormatFlops(double flops_per_second) {
  constexpr double kPeta = 1e15;
  if (flops_per_second >= kPeta) return FormatCount(flops_per_second / kPeta) + " PFLOPS";
  std::string text = FormatCount(flops_per_second);
  const bool unit = !text.empty() && std::isalpha(static_cast<unsigned char>(text.back())) != 0;
  text.insert(unit ? text.size() - 1 : text.size(), " ");
  if (text.back() == 'k') text.back() = 'K';  // as people write KFLOPS
  return text + "FLOPS";
}

std::string FormatLoss(double loss) {
  const double a = std::abs(loss);
  if (a != 0 && std::isfinite(a) && (a < 1e-3 || a >= 1e5)) return fmt::format("{:.3e}", loss);
  return fmt::format("{:.4f}", loss);
}

Progress::Progress(Screen screen, ProgressOptions options)
    : screen_(std::move(screen)),
      options_(std::move(options)),
      start_(screen_.now()),
      next_draw_(start_),
      step_(options_.done),
      history_{{start_, options_.done}} {}

Progress::~Progress() {
  if (line_open_) screen_.write("\n");
}

void Progress::Update(int64_t step, std::optional<double> loss) {
  step_ = step;
  loss_ = loss;
  if (finished_) return;
  const double now = screen_.now();
  if (now >= next_draw_) Draw(now, /*last=*/false);
}

void Progress::Draw(double now, bool last) {
  if (now > history_.back().first) history_.emplace_back(now, step_);
  // One entry older than the window stays, to measure from.
  while (history_.size() > 2 && history_[1].first <= now - kSpeedWindowSeconds) history_.pop_front();
  const std::string line = Line(now, last);
  if (screen_.redraws) {
    screen_.write("\r" + line + "\033[K" + (last ? "\n" : ""));  // \033[K clears what an earlier line left behind
    line_open_ = !last;
  } else {
    screen_.write(line + "\n");
  }
  next_draw_ = now + (screen_.redraws ? kRedrawSeconds : kLogSeconds);
}

void Progress::Say(std::string_view text) {
  screen_.write(line_open_ ? "\r\033[K" + std::string(text) + "\n" : std::string(text) + "\n");
  const bool redraw = line_open_;
  line_open_ = false;
  if (redraw) Draw(screen_.now(), /*last=*/false);
}

void Progress::Finish() {
  if (finished_) return;
  finished_ = true;
  Draw(screen_.now(), /*last=*/true);
}

double Progress::StepsPerSecond(double now, bool whole_run) const {
  const auto [since, from] = whole_run ? std::pair{start_, options_.done} : history_.front();
  return now > since ? static_cast<double>(step_ - from) / (now - since) : 0;
}

std::string Progress::Line(double now, bool last) const {
  const double speed = StepsPerSecond(now, /*whole_run=*/last);
  const int64_t total = options_.total;
  // In the order in which they stand; `rank`: those with the highest go first when the line is too long.
  struct Part {
    int rank;
    std::string text;
  };
  std::vector<Part> parts;
  const std::string total_text = std::to_string(total);
  parts.push_back(
      {0, total > 0 ? fmt::format("{:>{}}/{}", step_, total_text.size(), total) : fmt::format("step {}", step_)});
  if (loss_) parts.push_back({1, "loss " + FormatLoss(*loss_)});
  if (speed > 0) {
    parts.push_back({3, options_.items_per_step > 0
                            ? fmt::format("{} {}/s", FormatCount(speed * options_.items_per_step), options_.item)
                            : fmt::format("{} steps/s", FormatCount(speed))});
  }
  if (speed > 0 && options_.flops_per_step > 0) parts.push_back({5, FormatFlops(speed * options_.flops_per_step)});
  parts.push_back({4, FormatDuration(now - start_)});
  if (!last && total > 0 && speed > 0) {
    parts.push_back({2, FormatDuration(static_cast<double>(std::max<int64_t>(total - step_, 0)) / speed) + " left"});
  }

  const auto join = [&] {
    std::string line;
    for (const Part& part : parts) line += (line.empty() ? "" : "  ") + part.text;
    return line;
  };
  if (!screen_.redraws) return join();
  const int width = screen_.width();
  const auto room = static_cast<size_t>((width > 0 ? width : 80) - 1);  // some terminals wrap at the last column
  std::string line = join();
  while (line.size() > room && parts.size() > 1) {
    parts.erase(
        std::max_element(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.rank < b.rank; }));
    line = join();
  }
  if (line.size() > room) line.resize(room);
  const int bar = static_cast<int>(room) - static_cast<int>(line.size()) - 2;
  if (total > 0 && bar >= kMinBar) {
    const double fraction = static_cast<double>(step_) / static_cast<double>(total);
    line = Bar(fraction, std::min(bar, kMaxBar), screen_.unicode) + "  " + line;
  }
  return line;
}

StatusLine::~StatusLine() {
  if (open_) screen_.write("\n");
}

void StatusLine::Show(std::string line) {
  constexpr double kRedrawSeconds = 0.1;
  constexpr double kLogSeconds = 5;
  next_ = screen_.now() + (screen_.redraws ? kRedrawSeconds : kLogSeconds);
  if (!screen_.redraws) return screen_.write(line + "\n");
  const int width = screen_.width();
  line.resize(std::min(line.size(), static_cast<size_t>((width > 1 ? width : 80) - 1)));
  screen_.write("\r" + line + "\033[K");
  open_ = true;
}

}  // namespace alpa::report
