// Plans of one model at several (batch, sequence) sizes, chosen together because they share one state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/plan/plan.h"

namespace alpa::plan {

inline constexpr int kFamilyVersion = 1;

// One shape: how often its steps occur, and how they run.
struct FamilyMember {
  std::string file;      // of the export, for messages and tables
  double frequency = 1;  // relative to the others
  Seconds step;          // predicted
  std::variant<Plan, PipelinePlan> plan;
  bool operator==(const FamilyMember&) const = default;
};

struct PlanFamily {
  int version = kFamilyVersion;
  bool same_state = false;  // the state lies alike in all plans: going from shape to shape moves nothing
  Seconds expected;         // of a step, with switching; see ExpectedSeconds
  std::vector<FamilyMember> members;
  std::vector<std::vector<Seconds>> switching;  // [from][to]: to bring the whole state from one layout to the other
  bool operator==(const PlanFamily&) const = default;
};

// Mean seconds of a step when shapes come independently of each other: sum f_i T_i + sum f_i f_j S_ij, with the
// frequencies brought to a sum of 1. `steps` and `frequencies` have one entry per shape, `switching` is square.
Seconds ExpectedSeconds(const std::vector<double>& frequencies, const std::vector<Seconds>& steps,
                        const std::vector<std::vector<Seconds>>& switching);

// JSON, and back. Parse errors name the key and what was expected; kInvalidInput.
std::string ToJson(const PlanFamily& family);
Result<PlanFamily> FamilyFromJson(std::string_view text);

// Whether a text is a family of plans (or may be, if it is damaged).
bool IsFamily(std::string_view text);

// At least one member, frequencies above 0, one switching time per pair and none from a shape to itself, none at all
// where the state lies alike. kInvalidInput.
Status Verify(const PlanFamily& family);

// The fingerprints of the models, by member.
std::vector<uint64_t> Fingerprints(const PlanFamily& family);

// The plan for the model with this fingerprint. kMismatch when no member is for it (names those there are).
Result<std::variant<Plan, PipelinePlan>> PlanFor(const PlanFamily& family, uint64_t fingerprint);

}  // namespace alpa::plan
