#include "alpa/report/loss_curve.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include "alpa/base/result.h"

namespace alpa::report {
namespace {

// The page, in SVG units; y grows downwards.
constexpr double kWidth = 800;
constexpr double kHeight = 440;
constexpr double kLeft = 72;
constexpr double kRight = 776;
constexpr double kTop = 64;
constexpr double kBottom = 384;
constexpr size_t kMaxDots = 1000;  // more points than this are drawn as spans, one per column
constexpr size_t kFewDots = 60;    // up to this many are drawn larger
constexpr int kColumns = static_cast<int>(kRight - kLeft);

// Colours of Okabe and Ito, which colour-blind readers tell apart. Class names begin with "lc-" since the SVG may be
// put into a page that has classes of its own.
constexpr std::string_view kStyle = R"(<style>
.lc-page{fill:#ffffff}.lc-text{fill:#24292f;font:13px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}
.lc-title{font-size:16px;font-weight:600}.lc-dim{fill:#57606a}
.lc-grid{stroke:#d8dee4;stroke-width:1}.lc-axis{stroke:#57606a;stroke-width:1}
.lc-line{fill:none;stroke:#0072b2;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.lc-dot{fill:#0072b2;fill-opacity:.3}.lc-span{fill:none;stroke:#0072b2;stroke-width:1;stroke-opacity:.3}
.lc-ref{fill:none;stroke:#e69f00;stroke-width:6;stroke-opacity:.6;stroke-linejoin:round;stroke-linecap:round}
.lc-bad{stroke:#d55e00;stroke-width:1.5;fill:none}
@media (prefers-color-scheme:dark){
.lc-page{fill:#0d1117}.lc-text{fill:#e6edf3}.lc-dim{fill:#9da7b1}
.lc-grid{stroke:#21262d}.lc-axis{stroke:#9da7b1}
.lc-line{stroke:#56b4e9}.lc-dot{fill:#56b4e9}.lc-span{stroke:#56b4e9}.lc-ref{stroke:#e69f00;stroke-opacity:.5}
.lc-bad{stroke:#ff9e64}}
</style>
)";

// Length of the well-formed UTF-8 sequence (of a character that XML allows) at the beginning of `s`; 0 if there is
// none.
size_t Utf8Length(std::string_view s) {
  const auto byte = [&](size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : 0U; };
  const auto tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned b = byte(0);
  if (b < 0x80) return b >= 0x20 && b != 0x7f ? 1 : 0;
  if (b >= 0xc2 && b <= 0xdf && tail(1)) return 2;
  if ((b & 0xf0) == 0xe0 && tail(1) && tail(2)) {
    const unsigned code = (b & 0xf) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
    return code >= 0x800 && (code < 0xd800 || code > 0xdfff) && code < 0xfffe ? 3 : 0;
  }
  if (b >= 0xf0 && b <= 0xf4 && tail(1) && tail(2) && tail(3)) {
    const unsigned code = (b & 7) << 18 | (byte(1) & 0x3f) << 12;
    return code >= 0x10000 && code < 0x110000 ? 4 : 0;
  }
  return 0;
}

// `text` as XML content; what XML cannot hold becomes "?".
std::string Escape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t n = Utf8Length(text);
    switch (text[0]) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += n == 0 ? std::string_view("?") : text.substr(0, n);
    }
    text.remove_prefix(std::max<size_t>(n, 1));
  }
  return out;
}

bool Usable(double v) { return std::isfinite(v) && std::abs(v) < 1e300; }  // sums and differences stay finite

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  bool empty() const { return low > high; }
  void Add(double v) { low = std::min(low, v), high = std::max(high, v); }
};

// A range that can be divided: not empty, not a single number.
Range Widened(Range r) {
  if (r.empty()) return {0, 1};
  const double least = std::max(std::abs(r.low), std::abs(r.high)) * 1e-9;
  if (r.high - r.low > least && r.high - r.low > 1e-300) return r;
  const double pad = r.low == 0 ? 1 : std::abs(r.low) * 0.1;
  return {r.low - pad, r.high + pad};
}

// One run: its points, and the same smoothed.
struct Curve {
  std::vector<double> x, y, smooth;  // smooth: NaN where y is not usable
  size_t unusable = 0;
};

// The mean over a window of about a fortieth of the run (a half of it at the ends of each stretch of usable points);
// nothing is mixed across a gap.
Curve Smoothed(const std::vector<double>& steps, const std::vector<double>& losses) {
  ALPA_CHECK(steps.size() == losses.size(), "each loss needs its step");
  Curve c{steps, losses, std::vector<double>(losses.size(), std::numeric_limits<double>::quiet_NaN())};
  const size_t n = losses.size();
  const size_t reach = n / 80;
  std::vector<double> sums;
  for (size_t begin = 0; begin < n;) {
    if (!Usable(losses[begin]) || !Usable(steps[begin])) {
      ++c.unusable;
      ++begin;
      continue;
    }
    size_t end = begin;
    double sum = 0;
    sums = {0};
    while (end < n && Usable(losses[end]) && Usable(steps[end])) sums.push_back(sum += losses[end++] - losses[begin]);
    for (size_t i = begin; i < end; ++i) {
      const size_t from = i - std::min(reach, i - begin);
      const size_t to = std::min(i + reach + 1, end);
      const double total = sums[to - begin] - sums[from - begin];
      c.smooth[i] = reach == 0 ? losses[i] : losses[begin] + total / static_cast<double>(to - from);
    }
    begin = end;
  }
  return c;
}

struct Axes {
  Range x, y;
  double X(double v) const { return kLeft + (v - x.low) / (x.high - x.low) * (kRight - kLeft); }
  double Y(double v) const { return kBottom - (v - y.low) / (y.high - y.low) * (kBottom - kTop); }
  int Column(double v) const { return std::clamp(static_cast<int>(X(v) - kLeft), 0, kColumns - 1); }
};

// The smoothed line; of all points in one column only their mean. A point between two gaps becomes a dot.
std::string Line(const Curve& c, const Axes& axes, std::string_view css) {
  const bool thin_out = c.x.size() > kMaxDots;
  std::string path;
  std::string pending;  // a stretch that has one point so far
  size_t length = 0;
  for (size_t i = 0; i < c.x.size();) {
    if (std::isnan(c.smooth[i])) {
      if (length == 1) path += pending + "h0";  // a round cap makes it a dot
      length = 0;
      ++i;
      continue;
    }
    double x = 0;
    double y = 0;
    double count = 0;
    const int column = axes.Column(c.x[i]);
    do {
      x += (axes.X(c.x[i]) - x) / ++count;  // running means
      y += (axes.Y(c.smooth[i]) - y) / count;
      ++i;
    } while (thin_out && i < c.x.size() && !std::isnan(c.smooth[i]) && axes.Column(c.x[i]) == column);
    const std::string point = fmt::format("{:.1f},{:.1f}", x, y);
    if (length == 0) {
      pending = "M" + point;
    } else {
      path += (length == 1 ? pending : "") + "L" + point;
    }
    ++length;
  }
  if (length == 1) path += pending + "h0";
  return path.empty() ? "" : fmt::format("<path class=\"{}\" d=\"{}\"/>\n", css, path);
}

// The losses as they are: dots, or the span of each column when there are many.
std::string Points(const Curve& c, const Axes& axes) {
  std::string out;
  if (c.x.size() <= kMaxDots) {
    const int radius = c.x.size() <= kFewDots ? 3 : 2;
    for (size_t i = 0; i < c.x.size(); ++i) {
      if (std::isnan(c.smooth[i])) continue;
      out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>", axes.X(c.x[i]), axes.Y(c.y[i]), radius);
    }
    return out.empty() ? "" : "<g class=\"lc-dot\">" + out + "</g>\n";
  }
  std::vector<Range> columns(kColumns);
  for (size_t i = 0; i < c.x.size(); ++i) {
    if (!std::isnan(c.smooth[i])) columns[static_cast<size_t>(axes.Column(c.x[i]))].Add(c.y[i]);
  }
  for (size_t k = 0; k < columns.size(); ++k) {
    if (columns[k].empty()) continue;
    const double low = axes.Y(columns[k].low);
    const double high = axes.Y(columns[k].high);
    out += fmt::format("M{:.1f},{:.1f}V{:.1f}", kLeft + static_cast<double>(k) + 0.5, low + 0.5, high - 0.5);
  }
  return out.empty() ? "" : "<path class=\"lc-span\" d=\"" + out + "\"/>\n";
}

// A small cross on the axis for each column that holds a loss which is not finite.
std::string Crosses(const Curve& c, const Axes& axes) {
  std::vector<bool> columns(kColumns, false);
  for (size_t i = 0; i < c.x.size(); ++i) {
    if (std::isnan(c.smooth[i]) && Usable(c.x[i])) columns[static_cast<size_t>(axes.Column(c.x[i]))] = true;
  }
  std::string path;
  double last = -100;
  for (size_t k = 0; k < columns.size(); ++k) {
    const double x = kLeft + static_cast<double>(k) + 0.5;
    if (!columns[k] || x < last + 6) continue;  // crosses do not overlap
    path += fmt::format("M{:.1f},{:.1f}l6,6m0,-6l-6,6", x - 3, kBottom - 9);
    last = x;
  }
  return path.empty() ? "" : "<path class=\"lc-bad\" d=\"" + path + "\"/>\n";
}

// Numbers on an axis whose ticks are `step` apart: as many digits as tell them apart, thousands as "20k", "3M".
std::string TickText(double v, double step, double largest) {
  if (largest >= 1e9 || (largest > 0 && largest < 1e-4)) {
    const int digits = std::max(0, static_cast<int>(std::floor(std::log10(largest) - std::log10(step) + 1e-6)));
    return fmt::format("{:.{}e}", v, std::min(digits, 12));
  }
  const char* suffix = "";
  if (largest >= 1e6) {
    v /= 1e6, step /= 1e6, suffix = "M";
  } else if (largest >= 1e4) {
    v /= 1e3, step /= 1e3, suffix = "k";
  }
  const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-6)), 0, 12);
  return fmt::format("{:.{}f}{}", v == 0 ? 0 : v, decimals, v == 0 ? "" : suffix);
}

std::string Text(double x, double y, std::string_view anchor, std::string_view css, std::string_view text) {
  return fmt::format("<text class=\"lc-text{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", css, x, y,
                     anchor, Escape(text));
}

std::string Grid(const Axes& axes, const std::vector<double>& x_ticks, const std::vector<double>& y_ticks) {
  const auto label = [](const std::vector<double>& ticks, double v) {
    const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : 1;
    return TickText(v, step, std::max(std::abs(ticks.front()), std::abs(ticks.back())));
  };
  std::string out;
  for (const double v : y_ticks) {
    out += fmt::format("<path class=\"lc-grid\" d=\"M{:.1f},{:.1f}H{:.1f}\"/>", kLeft, axes.Y(v), kRight);
    out += Text(kLeft - 8, axes.Y(v) + 4.5, "end", " lc-dim", label(y_ticks, v));
  }
  for (const double v : x_ticks) {
    out += fmt::format("<path class=\"lc-axis\" d=\"M{:.1f},{:.1f}v5\"/>", axes.X(v), kBottom);
    out += Text(axes.X(v), kBottom + 20, "middle", " lc-dim", label(x_ticks, v));
  }
  return out + fmt::format("<path class=\"lc-axis\" d=\"M{:.1f},{:.1f}H{:.1f}\"/>\n", kLeft, kBottom, kRight);
}

// The last loss that is a number, for the legend.
std::string Outcome(const Curve& c) {
  for (size_t i = c.y.size(); i-- > 0;) {
    if (!std::isnan(c.smooth[i])) return fmt::format("last {:.4g}", c.y[i]);
  }
  return "no finite value";
}

// Below the title: a sample of each line, what it is, and how it ended.
std::string Legend(const Curve& curve, const Curve& reference, const LossCurveOptions& options) {
  std::string out;
  double x = kLeft;
  const auto entry = [&](const std::string& css, const std::string& label, const Curve& c) {
    const std::string text = label + ", " + Outcome(c);
    out += fmt::format("<path class=\"{}\" d=\"M{:.1f},46h22\"/>", css, x);
    out += Text(x + 30, 50.5, "start", "", text);
    x += 30 + 7.2 * static_cast<double>(text.size()) + 24;
  };
  if (!options.label.empty()) entry("lc-line", options.label, curve);
  if (!reference.x.empty()) entry("lc-ref", options.reference_label, reference);
  const size_t unusable = curve.unusable + reference.unusable;
  if (unusable > 0) {
    out += fmt::format("<path class=\"lc-bad\" d=\"M{:.1f},43l6,6m0,-6l-6,6\"/>", x);
    out +=
        Text(x + 12, 50.5, "start", "", fmt::format("not finite: {} {}", unusable, unusable == 1 ? "loss" : "losses"));
  }
  return out;
}

}  // namespace

std::vector<double> NiceTicks(double low, double high, int count) {
  ALPA_CHECK(low < high && count > 0);
  const double raw = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= raw * 0.999999) step = factor * power;
  }
  std::vector<double> ticks;
  const double slack = 1e-9;  // of a step: a limit that is a tick itself, but for rounding
  for (double k = std::ceil(low / step - slack); k * step <= high + slack * step; ++k) {
    ticks.push_back(k * step);
    if (ticks.size() > 1000) break;  // numbers so close together that k * step stands still
  }
  return ticks;
}

std::string LossCurveSvg(const std::vector<double>& steps, const std::vector<double>& losses,
                         const LossCurveOptions& options) {
  const Curve curve = Smoothed(steps, losses);
  const Curve reference = Smoothed(options.reference_steps, options.reference_losses);
  Axes axes;
  for (const Curve* c : {&curve, &reference}) {
    for (size_t i = 0; i < c->x.size(); ++i) {
      if (Usable(c->x[i])) axes.x.Add(c->x[i]);
      if (!std::isnan(c->smooth[i])) axes.y.Add(c->y[i]);
    }
  }
  const bool nothing = axes.y.empty();
  axes.x = Widened(axes.x);
  axes.y = Widened(axes.y);
  const double air = 0.04 * (axes.y.high - axes.y.low);  // points do not lie on the frame
  axes.y.low = axes.y.low >= 0 ? std::max(0.0, axes.y.low - air) : axes.y.low - air;
  axes.y.high += air;

  std::vector<double> x_ticks = NiceTicks(axes.x.low, axes.x.high, 8);
  std::erase_if(x_ticks, [](double v) { return v != std::round(v); });  // there is no step 2.5
  if (steps.size() == 1) x_ticks = {steps[0]};
  if (x_ticks.empty()) x_ticks = {axes.x.low};
  std::erase_if(x_ticks, [](double v) { return !Usable(v); });
  std::vector<double> y_ticks = NiceTicks(axes.y.low, axes.y.high, 6);

  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\">\n"
      "<title>{2}</title>\n",
      kWidth, kHeight, Escape(options.title));
  svg += kStyle;
  svg += fmt::format("<rect class=\"lc-page\" width=\"{}\" height=\"{}\"/>\n", kWidth, kHeight);
  svg += Text(kLeft, 26, "start", " lc-title", options.title);
  svg += Legend(curve, reference, options);
  svg += Grid(axes, x_ticks, y_ticks);
  svg += Text((kLeft + kRight) / 2, kHeight - 12, "middle", "", options.x_label);
  svg += fmt::format("<g transform=\"translate(18,{:.1f}) rotate(-90)\">{}</g>\n", (kTop + kBottom) / 2,
                     Text(0, 0, "middle", "", options.y_label));
  if (nothing) svg += Text((kLeft + kRight) / 2, (kTop + kBottom) / 2, "middle", " lc-dim", "no finite losses to show");
  svg += Line(reference, axes, "lc-ref");
  svg += Points(curve, axes);
  svg += Line(curve, axes, "lc-line");
  svg += Crosses(curve, axes);
  return svg + "</svg>\n";
}

}  // namespace alpa::report
