#include "alpa/driver/choose_plan.h"

#include <gtest/gtest.h>

#include <cmath>

namespace alpa::driver {
namespace {

PlanChoice Choice(const std::string& label, double predicted) {
  return {label, "data-parallel", 1, 1, Seconds(predicted), Seconds(0)};
}

std::string Labels(const std::vector<PlanChoice>& choices) {
  std::string out;
  for (const PlanChoice& c : choices) out += c.label;
  return out;
}

TEST(WorthTiming, TakesTheBestByPrediction) {
  EXPECT_EQ(Labels(WorthTiming({Choice("a", 2), Choice("b", 3), Choice("c", 1), Choice("d", 4)}, 2)), "ca");
}

TEST(WorthTiming, KeepsTheStepAsItIsInPlaceOfTheLast) {
  EXPECT_EQ(Labels(WorthTiming({Choice("a", HUGE_VAL), Choice("b", 3), Choice("c", 1)}, 2)), "ca");
}

TEST(WorthTiming, KeepsAllOfFew) { EXPECT_EQ(Labels(WorthTiming({Choice("a", 2), Choice("b", 1)}, 7)), "ba"); }

TEST(Choices, SurviveTheFile) {
  std::vector<PlanChoice> choices = {Choice("1 device", HUGE_VAL),
                                     {"2 devices, planned", "mesh-2.json", 0, 1, Seconds(0.5), Seconds(0.75)}};
  const auto back = ChoicesFromJson(ToJson(choices));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, choices);
}

TEST(Choices, DamagedFileIsAnError) {
  EXPECT_EQ(ChoicesFromJson("{\"choices\": [{}]}").error().code, Code::kCorrupt);
  EXPECT_EQ(ChoicesFromJson("{\"choi").error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace alpa::driver
