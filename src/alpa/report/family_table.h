// How one model at several shapes can be run: one layout of the state for all, or switching, or padding.
#pragma once

#include <string>
#include <vector>

#include "alpa/base/units.h"
#include "alpa/plan/plan_family.h"

namespace alpa::report {

// A way to run all shapes that was looked at.
struct FamilyWay {
  std::string name;            // "own plans, switching"
  std::vector<Seconds> steps;  // by shape; empty where it does not fit
  Seconds expected;            // of a step, with switching
  std::string why_not;         // where it does not fit
};

struct FamilyPage {
  const plan::PlanFamily* family;  // what was chosen
  std::vector<FamilyWay> ways;
  size_t chosen = 0;  // of `ways`
};

// The ways with their seconds by shape, expected per step and compared with the chosen one; what switching costs.
std::string FamilyText(const FamilyPage& page);

// The same as JSON, without the plans.
std::string FamilyJson(const FamilyPage& page);

}  // namespace alpa::report
