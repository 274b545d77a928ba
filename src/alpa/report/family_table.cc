#include "alpa/report/family_table.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace alpa::report {
namespace {

std::string Base(const std::string& file) { return file.substr(file.rfind('/') + 1); }

bool Switches(const plan::PlanFamily& family) {
  for (const std::vector<Seconds>& row : family.switching) {
    for (const Seconds s : row) {
      if (s.value > 0) return true;
    }
  }
  return false;
}

}  // namespace

std::string FamilyText(const FamilyPage& page) {
  const plan::PlanFamily& family = *page.family;
  std::string out = fmt::format("{} shapes of one model: {}\n\n", family.members.size(), page.ways[page.chosen].name);
  out += fmt::format("{:<24}{}\n", "step time, expected", ToString(family.expected));
  out += fmt::format("{:<24}{}\n\n", "state",
                     family.same_state ? "lies alike for all shapes" : "moves between shapes that lie differently");
  out += fmt::format("  {:<36}", "Shape");
  for (const plan::FamilyMember& member : family.members) out += fmt::format("{:>24}", Base(member.file).substr(0, 22));
  out += fmt::format("\n  {:<36}", "frequency");
  for (const plan::FamilyMember& member : family.members) out += fmt::format("{:>24g}", member.frequency);
  out += fmt::format("{:>14}\n", "expected");
  for (size_t w = 0; w < page.ways.size(); ++w) {
    const FamilyWay& way = page.ways[w];
    out += fmt::format("{} {:<36}", w == page.chosen ? '*' : ' ', way.name.substr(0, 35));
    if (way.steps.empty()) {
      out += "  no plan: " + way.why_not + "\n";
      continue;
    }
    for (const Seconds step : way.steps) out += fmt::format("{:>24}", ToString(step));
    out += fmt::format("{:>14}", ToString(way.expected));
    if (w != page.chosen && family.expected.value > 0)
      out += fmt::format(" ({:+.1f} %)", 100 * (way.expected.value / family.expected.value - 1));
    out += "\n";
  }
  if (!Switches(family)) return out;
  out += "\nSwitching, from the shape of the row to that of the column\n";
  for (size_t i = 0; i < family.members.size(); ++i) {
    out += fmt::format("  {:<36}", Base(family.members[i].file).substr(0, 35));
    for (const Seconds s : family.switching[i]) out += fmt::format("{:>24}", ToString(s));
    out += "\n";
  }
  return out;
}

std::string FamilyJson(const FamilyPage& page) {
  const plan::PlanFamily& family = *page.family;
  nlohmann::ordered_json j;
  j["way"] = page.ways[page.chosen].name;
  j["same_state"] = family.same_state;
  j["expected_s"] = family.expected.value;
  for (const plan::FamilyMember& member : family.members)
    j["members"].push_back({{"file", member.file}, {"frequency", member.frequency}, {"step_s", member.step.value}});
  for (const std::vector<Seconds>& row : family.switching) {
    auto values = nlohmann::ordered_json::array();
    for (const Seconds s : row) values.push_back(s.value);
    j["switching_s"].push_back(std::move(values));
  }
  for (const FamilyWay& way : page.ways) {
    nlohmann::ordered_json w;
    w["name"] = way.name;
    if (way.steps.empty()) {
      w["why_not"] = way.why_not;
    } else {
      for (const Seconds step : way.steps) w["steps_s"].push_back(step.value);
      w["expected_s"] = way.expected.value;
    }
    j["ways"].push_back(std::move(w));
  }
  return j.dump(1) + "\n";
}

}  // namespace alpa::report
