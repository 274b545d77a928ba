#include "alpa/report/family_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace alpa::report {
namespace {

using testing::HasSubstr;
using testing::Not;

plan::PlanFamily TwoShapes() {
  plan::PlanFamily family;
  family.members = {{"models/short.mlirbc", 3, Seconds(1), plan::Plan()},
                    {"models/long.mlirbc", 1, Seconds(2), plan::Plan()}};
  family.switching = {{Seconds(0), Seconds(4)}, {Seconds(8), Seconds(0)}};
  family.expected = Seconds(3.5);
  return family;
}

FamilyPage PageOf(const plan::PlanFamily& family) {
  return {&family,
          {{"own plans, switching", {Seconds(1), Seconds(2)}, Seconds(3.5), ""},
           {"padded", {Seconds(7), Seconds(7)}, Seconds(7), ""},
           {"state as for long", {}, Seconds(0), "too little memory"}},
          0};
}

TEST(FamilyTable, ComparesWaysWithTheChosenOne) {
  const plan::PlanFamily family = TwoShapes();
  const std::string text = FamilyText(PageOf(family));
  EXPECT_THAT(text, HasSubstr("* own plans, switching"));
  EXPECT_THAT(text, HasSubstr("7.00 s (+100.0 %)"));
  EXPECT_THAT(text, HasSubstr("no plan: too little memory"));
  EXPECT_THAT(text, HasSubstr("short.mlirbc"));
  EXPECT_THAT(text, Not(HasSubstr("models/short")));
  EXPECT_THAT(text, HasSubstr("Switching, from"));
}

TEST(FamilyTable, NoSwitchingTableWhereTheStateLiesStill) {
  plan::PlanFamily family = TwoShapes();
  family.same_state = true;
  family.switching = {{Seconds(0), Seconds(0)}, {Seconds(0), Seconds(0)}};
  const std::string text = FamilyText(PageOf(family));
  EXPECT_THAT(text, HasSubstr("lies alike for all shapes"));
  EXPECT_THAT(text, Not(HasSubstr("Switching, from")));
}

TEST(FamilyTable, JsonHasTheSameNumbers) {
  const plan::PlanFamily family = TwoShapes();
  const auto j = nlohmann::json::parse(FamilyJson(PageOf(family)));
  EXPECT_EQ(j["way"], "own plans, switching");
  EXPECT_EQ(j["switching_s"][1][0], 8.0);
  EXPECT_EQ(j["ways"][1]["expected_s"], 7.0);
  EXPECT_EQ(j["ways"][2]["why_not"], "too little memory");
}

}  // namespace
}  // namespace alpa::report
