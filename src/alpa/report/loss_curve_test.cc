#include "alpa/report/loss_curve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <regex>
#include <sstream>

namespace alpa::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

std::vector<double> Count(int n) {
  std::vector<double> steps(static_cast<size_t>(n));
  std::iota(steps.begin(), steps.end(), 1);
  return steps;
}

size_t Occurrences(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

// The path data of the element of this class; "" if there is none.
std::string PathOf(const std::string& svg, const std::string& css) {
  const std::string begin = "<path class=\"" + css + "\" d=\"";
  const size_t at = svg.rfind(begin);  // behind the sample in the legend
  if (at == std::string::npos) return "";
  return svg.substr(at + begin.size(), svg.find('"', at + begin.size()) - at - begin.size());
}

// Tags balance, attributes are in quotes, and every "&" begins an entity. (What is written here needs no more of XML.)
void ExpectWellFormed(const std::string& svg) {
  static const std::regex kTag(R"rx(<(/?)([a-z]+)((?: [a-zA-Z:-]+="[^"<]*")*)(/?)>)rx");
  std::vector<std::string> open;
  size_t at = 0;
  while ((at = svg.find('<', at)) != std::string::npos) {
    std::smatch m;
    const std::string tag = svg.substr(at, svg.find('>', at) - at + 1);
    ASSERT_TRUE(std::regex_match(tag, m, kTag)) << tag;
    if (m[1].length() > 0) {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), m[2]);
      open.pop_back();
    } else if (m[4].length() == 0) {
      open.push_back(m[2]);
    }
    at += tag.size();
  }
  EXPECT_THAT(open, testing::IsEmpty());
  for (at = 0; (at = svg.find('&', at)) != std::string::npos; ++at) {
    EXPECT_TRUE(std::regex_search(svg.substr(at, 7), std::regex("^&(lt|gt|amp|quot);"))) << svg.substr(at, 10);
  }
  // A number that is none would silently end the path.
  EXPECT_THAT(PathOf(svg, "lc-line"), Not(testing::ContainsRegex("nan|inf")));
  EXPECT_THAT(PathOf(svg, "lc-span"), Not(testing::ContainsRegex("nan|inf")));
}

TEST(LossCurve, DrawsALineThroughThePoints) {
  LossCurveOptions options;
  options.title = "gpt_demo";
  options.label = "8 devices";
  const std::string svg = LossCurveSvg({1, 2, 3}, {4, 2, 1}, options);
  ExpectWellFormed(svg);
  EXPECT_THAT(svg, HasSubstr("<title>gpt_demo</title>"));
  EXPECT_THAT(svg, HasSubstr(">8 devices, last 1</text>"));
  EXPECT_THAT(svg, HasSubstr(">step</text>"));
  EXPECT_THAT(svg, HasSubstr(">loss</text>"));
  EXPECT_THAT(svg, HasSubstr("prefers-color-scheme:dark"));
  // From left to right over the whole width, from the top (y = 64 and some air) to the bottom (y = 384).
  EXPECT_EQ(PathOf(svg, "lc-line"), "M72.0,75.9L424.0,273.4L776.0,372.1");
  EXPECT_EQ(Occurrences(svg, "<circle "), 3U);
}

TEST(LossCurve, NeedsNothingFromOutside) {
  const std::string svg = LossCurveSvg({1, 2}, {4, 2});
  EXPECT_EQ(Occurrences(svg, "http"), 1U);  // the name of the SVG language itself
  EXPECT_THAT(svg, Not(HasSubstr("url(")));
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
}

TEST(LossCurve, ShowsASinglePoint) {
  const std::string svg = LossCurveSvg({7}, {3.25});
  ExpectWellFormed(svg);
  EXPECT_EQ(PathOf(svg, "lc-line"), "M424.0,224.0h0");  // in the middle
  EXPECT_EQ(Occurrences(svg, "<circle "), 1U);
  EXPECT_THAT(svg, HasSubstr(">7</text>"));
}

TEST(LossCurve, ShowsACurveThatDoesNotMove) {
  const std::string svg = LossCurveSvg({0, 1}, {0, 0});
  ExpectWellFormed(svg);
  EXPECT_EQ(Occurrences(PathOf(svg, "lc-line"), "L"), 1U);
}

TEST(LossCurve, LeavesGapsForWhatIsNotFinite) {
  LossCurveOptions options;
  options.label = "run";
  const std::string svg = LossCurveSvg(Count(8), {8, 7, kNan, 5, kInf, 3, 2, -kInf}, options);
  ExpectWellFormed(svg);
  const std::string line = PathOf(svg, "lc-line");
  EXPECT_EQ(Occurrences(line, "M"), 3U);  // 8 7, 5, 3 2
  EXPECT_EQ(Occurrences(line, "L"), 2U);
  EXPECT_EQ(Occurrences(line, "h0"), 1U);  // the lonely 5
  EXPECT_EQ(Occurrences(svg, "<circle "), 5U);
  EXPECT_EQ(Occurrences(PathOf(svg, "lc-bad"), "M"), 3U);  // three crosses
  EXPECT_THAT(svg, HasSubstr("not finite: 3 losses"));
  EXPECT_THAT(svg, HasSubstr("run, last 2<"));
}

TEST(LossCurve, SaysSoWhenThereIsNothingToShow) {
  for (const auto& losses : {std::vector<double>{}, std::vector<double>{kNan, kNan}}) {
    const std::string svg = LossCurveSvg(Count(static_cast<int>(losses.size())), losses);
    ExpectWellFormed(svg);
    EXPECT_THAT(svg, HasSubstr("no finite losses to show"));
    EXPECT_EQ(PathOf(svg, "lc-line"), "");
  }
}

TEST(LossCurve, DrawsTheReferenceBelow) {
  LossCurveOptions options;
  options.label = "8 devices";
  options.reference_steps = {1, 2};
  options.reference_losses = {4, 3};
  options.reference_label = "1 device";
  const std::string svg = LossCurveSvg({1, 2}, {4, 2}, options);
  ExpectWellFormed(svg);
  EXPECT_THAT(svg, HasSubstr(">1 device, last 3</text>"));
  EXPECT_LT(svg.rfind("lc-ref"), svg.rfind("lc-line"));  // what comes later lies on top
  EXPECT_EQ(Occurrences(PathOf(svg, "lc-ref"), "L"), 1U);
}

// Noise of +-1 around 5: the line stays close to 5 while the points do not.
TEST(LossCurve, SmoothsLightly) {
  std::vector<double> losses(800, 4);
  for (size_t i = 1; i < losses.size(); i += 2) losses[i] = 6;
  const std::string svg = LossCurveSvg(Count(800), losses);
  std::istringstream numbers(std::regex_replace(PathOf(svg, "lc-line"), std::regex("[ML,]"), " "));
  double x = 0;
  double y = 0;
  double furthest = 0;
  while (numbers >> x >> y) furthest = std::max(furthest, std::abs(y - 224));  // 224 is the middle: a loss of 5
  EXPECT_GT(furthest, 0);
  EXPECT_LT(furthest, 15);  // the points lie 148 away
}

TEST(LossCurve, KeepsAMillionPointsSmallAndQuick) {
  std::vector<double> losses = Count(1'000'000);
  for (double& x : losses) x = 2 + 3 * std::exp(-x * 5e-6) + 0.1 * std::sin(x);
  losses[500'000] = 40;  // a spike of one step must not get lost
  losses[700'000] = kNan;
  const auto start = std::chrono::steady_clock::now();
  const std::string svg = LossCurveSvg(Count(1'000'000), losses);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));  // 0.1 s without sanitizers
  ExpectWellFormed(svg);
  EXPECT_LT(svg.size(), 60'000U);
  EXPECT_EQ(Occurrences(svg, "<circle "), 0U);
  EXPECT_THAT(PathOf(svg, "lc-span"), HasSubstr("V75.4"));  // up to the top: the spike
  EXPECT_EQ(Occurrences(PathOf(svg, "lc-bad"), "M"), 1U);
}

TEST(LossCurve, SurvivesExtremeNumbers) {
  const double huge = std::numeric_limits<double>::max();
  const double tiny = std::numeric_limits<double>::denorm_min();
  for (const auto& losses : {std::vector{huge, -huge}, std::vector{tiny, 0.0}, std::vector{1e299, -1e299},
                             std::vector{1.0, 1 + 1e-15}, std::vector{1e-200, 2e-200}, std::vector{-3.0, -2.0}}) {
    ExpectWellFormed(LossCurveSvg({1, 2}, losses));
    ExpectWellFormed(LossCurveSvg(losses, {1, 2}));
  }
}

TEST(LossCurve, EscapesWhatXmlCannotHold) {
  LossCurveOptions options;
  options.title = "a<b & \"c\" \x01 \xff \xc3\xa9 \xe2\x82\xac \xed\xa0\x80";
  const std::string svg = LossCurveSvg({1}, {1}, options);
  ExpectWellFormed(svg);
  EXPECT_THAT(svg, HasSubstr("<title>a&lt;b &amp; &quot;c&quot; ? ? \u00e9 \u20ac ?"
                             "?"
                             "?</title>"));
}

TEST(LossCurveDeathTest, RefusesLossesWithoutSteps) {
  EXPECT_DEATH(LossCurveSvg({1}, {1, 2}), "each loss needs its step");
}

TEST(NiceTicks, AreRoundNumbers) {
  EXPECT_THAT(NiceTicks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(NiceTicks(1.3, 4.2, 6), ElementsAre(1.5, 2, 2.5, 3, 3.5, 4));
  EXPECT_THAT(NiceTicks(-1, 1, 4), ElementsAre(-1, -0.5, 0, 0.5, 1));
  EXPECT_THAT(NiceTicks(0, 300, 8), ElementsAre(0, 50, 100, 150, 200, 250, 300));
  EXPECT_THAT(NiceTicks(98, 103, 2), ElementsAre(100));
}

TEST(NiceTicks, AreAboutAsManyAsAsked) {
  for (double high = 1e-5; high < 1e7; high *= 1.7) {
    const auto ticks = NiceTicks(0, high, 6);
    EXPECT_GE(ticks.size(), 3U) << high;
    EXPECT_LE(ticks.size(), 8U) << high;
    EXPECT_LE(ticks.back(), high * (1 + 1e-9));
  }
}

}  // namespace
}  // namespace alpa::report
