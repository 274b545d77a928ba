// What differs between two plans, and what it costs: alpa compare.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "alpa/base/units.h"
#include "alpa/report/plan_page.h"

namespace alpa::report {

// What a plan comes to. What its file does not say is absent.
struct PlanFigures {
  std::string summary;  // "4 stages 4 x 1x2, zb-h1, 8 microbatches"
  std::optional<Seconds> step;
  // Shares of the time of all devices: computing (of it in collectives), waiting for transfers, bubble.
  std::optional<double> computing, collectives, waiting, bubble;
  std::optional<Bytes> memory;     // of the fullest device
  std::optional<Bytes> collected;  // in collectives within meshes, per step, of a device (mean)
  std::optional<Bytes> between;    // from stage to stage, per step
  int64_t devices = 0;
  bool operator==(const PlanFigures&) const = default;
};
PlanFigures FiguresOf(const PlanOnPage& plan);

// Something that is otherwise in the second plan.
struct Difference {
  std::string what;  // "schedule", "layers of stage 2", "params['wte']"
  std::string a, b;  // "zb-h1", "1f1b"
  std::string cost;  // "+0.46 ms of a step alone", "+16.00 KiB per device"; empty: part of the whole
  bool operator==(const Difference&) const = default;
};

struct PlanComparison {
  std::string name_a, name_b;
  bool same_model = true;
  PlanFigures a, b;
  std::vector<Difference> differences;
};

// `schedule_alone`: seconds of a step of the first plan by the schedule of the second one, where that is possible.
PlanComparison ComparePlans(const PlanOnPage& a, const PlanOnPage& b, std::optional<Seconds> schedule_alone);

std::string ComparisonText(const PlanComparison& comparison);
std::string ComparisonJson(const PlanComparison& comparison);

}  // namespace alpa::report
