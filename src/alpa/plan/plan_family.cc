#include "alpa/plan/plan_family.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace alpa::plan {
namespace {

using nlohmann::json;

constexpr std::string_view kKey = "\"alpa_plan_family\"";

Error Bad(const std::string& what) { return {Code::kInvalidInput, "family of plans: " + what, ""}; }

Result<double> Number(const json& value, const std::string& key) {
  if (!value.is_number()) return Bad(fmt::format("key '{}' should be a number, is {}", key, value.type_name()));
  const auto number = value.get<double>();
  if (!std::isfinite(number) || number < 0) return Bad(fmt::format("key '{}' should be 0 or above", key));
  return number;
}

// The member `key` of `object`, null when it is missing (which no check accepts).
json Member(const json& object, const char* key) { return object.contains(key) ? object.at(key) : json(); }

Result<FamilyMember> MemberFromJson(const json& j, const std::string& where) {
  if (!j.is_object()) return Bad(fmt::format("key '{}' should be an object, is {}", where, j.type_name()));
  FamilyMember member;
  const json file = Member(j, "file"), plan = Member(j, "plan");
  if (!file.is_string()) return Bad(fmt::format("key '{}.file' should be a string, is {}", where, file.type_name()));
  if (!plan.is_object()) return Bad(fmt::format("key '{}.plan' should be an object, is {}", where, plan.type_name()));
  member.file = file.get<std::string>();
  ALPA_TRY(member.frequency, Number(Member(j, "frequency"), where + ".frequency"));
  ALPA_TRY(member.step.value, Number(Member(j, "step_seconds"), where + ".step_seconds"));
  const std::string text = plan.dump();
  const auto in_member = [&](const Error& e) { return Error{e.code, where + ": " + e.message, e.hint}; };
  if (IsPipeline(text)) {
    Result<PipelinePlan> pipeline = PipelineFromJson(text);
    if (!pipeline.ok()) return in_member(pipeline.error());
    member.plan = *std::move(pipeline);
  } else {
    Result<Plan> single = FromJson(text);
    if (!single.ok()) return in_member(single.error());
    member.plan = *std::move(single);
  }
  return member;
}

uint64_t FingerprintOf(const FamilyMember& member) {
  return std::visit([](const auto& plan) { return plan.model_fingerprint; }, member.plan);
}

}  // namespace

Seconds ExpectedSeconds(const std::vector<double>& frequencies, const std::vector<Seconds>& steps,
                        const std::vector<std::vector<Seconds>>& switching) {
  double sum = 0;
  for (const double f : frequencies) sum += f;
  double seconds = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    seconds += frequencies[i] / sum * steps[i].value;
    for (size_t j = 0; j < steps.size(); ++j) {
      if (i != j) seconds += frequencies[i] / sum * (frequencies[j] / sum) * switching[i][j].value;
    }
  }
  return Seconds(seconds);
}

std::string ToJson(const PlanFamily& family) {
  nlohmann::ordered_json j;
  j["alpa_plan_family"] = family.version;
  j["same_state"] = family.same_state;
  j["expected_seconds"] = family.expected.value;
  j["switching_seconds"] = nlohmann::ordered_json::array();
  for (const std::vector<Seconds>& row : family.switching) {
    auto values = nlohmann::ordered_json::array();
    for (const Seconds s : row) values.push_back(s.value);
    j["switching_seconds"].push_back(std::move(values));
  }
  j["members"] = nlohmann::ordered_json::array();
  for (const FamilyMember& member : family.members) {
    nlohmann::ordered_json m;
    m["file"] = member.file;
    m["frequency"] = member.frequency;
    m["step_seconds"] = member.step.value;
    m["plan"] = nlohmann::ordered_json::parse(std::visit([](const auto& plan) { return ToJson(plan); }, member.plan));
    j["members"].push_back(std::move(m));
  }
  return j.dump(1) + "\n";
}

Result<PlanFamily> FamilyFromJson(std::string_view text) {
  const json j = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (j.is_discarded()) return Bad("not valid JSON (damaged or truncated file)");
  if (!j.is_object() || !j.contains("alpa_plan_family")) return Bad("key 'alpa_plan_family' is missing");
  if (j.at("alpa_plan_family") != kFamilyVersion)
    return Bad(
        fmt::format("is of version {}, this alpa reads version {}", j.at("alpa_plan_family").dump(), kFamilyVersion));
  PlanFamily family;
  const json same = Member(j, "same_state"), members = Member(j, "members"), rows = Member(j, "switching_seconds");
  if (!same.is_boolean()) return Bad(fmt::format("key 'same_state' should be true or false, is {}", same.type_name()));
  if (!members.is_array()) return Bad(fmt::format("key 'members' should be a list, is {}", members.type_name()));
  if (!rows.is_array()) return Bad(fmt::format("key 'switching_seconds' should be a list, is {}", rows.type_name()));
  family.same_state = same.get<bool>();
  ALPA_TRY(family.expected.value, Number(Member(j, "expected_seconds"), "expected_seconds"));
  for (size_t i = 0; i < members.size(); ++i) {
    ALPA_TRY(FamilyMember member, MemberFromJson(members[i], fmt::format("members[{}]", i)));
    family.members.push_back(std::move(member));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].is_array()) return Bad(fmt::format("key 'switching_seconds[{}]' should be a list", i));
    std::vector<Seconds> row;
    for (size_t k = 0; k < rows[i].size(); ++k) {
      ALPA_TRY(const double seconds, Number(rows[i][k], fmt::format("switching_seconds[{}][{}]", i, k)));
      row.emplace_back(seconds);
    }
    family.switching.push_back(std::move(row));
  }
  ALPA_RETURN_IF_ERROR(Verify(family));
  return family;
}

bool IsFamily(std::string_view text) { return text.substr(0, 256).find(kKey) != std::string_view::npos; }

Status Verify(const PlanFamily& family) {
  if (family.members.empty()) return Bad("has no members");
  for (size_t i = 0; i < family.members.size(); ++i) {
    if (!(family.members[i].frequency > 0)) return Bad(fmt::format("members[{}].frequency must be above 0", i));
  }
  if (family.switching.size() != family.members.size()) return Bad("'switching_seconds' needs one row per member");
  for (size_t i = 0; i < family.switching.size(); ++i) {
    const std::vector<Seconds>& row = family.switching[i];
    if (row.size() != family.members.size())
      return Bad(fmt::format("'switching_seconds[{}]' needs one entry per member", i));
    for (size_t k = 0; k < row.size(); ++k) {
      if (row[k].value != 0 && (i == k || family.same_state))
        return Bad(fmt::format("'switching_seconds[{}][{}]' must be 0: the state does not move", i, k));
    }
  }
  return Ok();
}

std::vector<uint64_t> Fingerprints(const PlanFamily& family) {
  std::vector<uint64_t> out;
  for (const FamilyMember& member : family.members) out.push_back(FingerprintOf(member));
  return out;
}

Result<std::variant<Plan, PipelinePlan>> PlanFor(const PlanFamily& family, uint64_t fingerprint) {
  std::string files;
  for (const FamilyMember& member : family.members) {
    files += (files.empty() ? "" : ", ") + member.file;
    if (FingerprintOf(member) == fingerprint) return member.plan;
  }
  return Error{Code::kMismatch, "the family has no plan for this model; it was made for " + files,
               "plan again with this model among the others"};
}

}  // namespace alpa::plan
