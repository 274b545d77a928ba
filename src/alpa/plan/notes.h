// What the planner knew beside the plan, for people who look at it: `alpa report` draws it, nothing is executed by it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"

namespace alpa::plan {

// A layer of the model, of which stages are made.
struct LayerNote {
  std::string name;         // what its parameters have in common, "h.3"; empty: it has none
  Flops forward, backward;  // of the whole batch
  Bytes parameters;
  bool operator==(const LayerNote&) const = default;
};

// Another layout of an array, with all else as it is.
struct OtherLayout {
  std::string spec;
  double seconds = 0;  // more than the chosen one, per step
  int64_t bytes = 0;   // more per device
  bool operator==(const OtherLayout&) const = default;
};

// An array that enters a step (or, with other layouts, the result of an op), or `count` of them that look alike.
struct TensorNote {
  int stage = 0;
  std::string name;  // "params['wte']"
  std::string
      role;  // "parameter", "state", "batch", "result" (of an op), or what comes from other stages: "activation", ...
  std::string dtype;  // "f32"
  std::vector<int64_t> shape;
  std::string spec;  // on the mesh of the stage, "[x,]"
  Bytes bytes;       // of one, as a whole
  int64_t count = 1;
  std::vector<OtherLayout> others;
  bool operator==(const TensorNote&) const = default;
};

// Consecutive ops of a step on one mesh that come from one place of the source.
struct OpNote {
  std::string name;   // "dot_general.105", of the most expensive
  std::string where;  // "common.py:113 (dense)"
  std::string phase;  // "forward", "backward", "update"
  int64_t count = 1;
  Seconds compute, communication;  // of all, per step
  Bytes memory;                    // held per device, at most, while they run
  bool operator==(const OpNote&) const = default;
};

// Another way to run the step that was looked at.
struct WayNote {
  std::string name;  // "1f1b", "data-parallel"
  int64_t microbatches = 1;
  std::string stages;  // "4 x 1x8"
  Seconds step;
  bool operator==(const WayNote&) const = default;
};

struct Notes {
  int64_t batch = 0;                                         // examples in a step; 0: not known
  double peak_flops = 0;                                     // of all devices used, per second; 0: not known
  std::vector<std::pair<std::string, Bytes>> memory_limits;  // per device, by device type; none: no limit
  double gap = 0;                                            // what the plan can be above the bound, as a share
  Seconds interleaved_bound;                                 // as the bound, also for interleaved plans; 0: none
  bool complete = true;                                      // false: the search was stopped early
  std::vector<std::pair<std::string, Seconds>> times;        // of planning, by phase
  std::vector<LayerNote> layers;
  std::vector<TensorNote> tensors;  // the largest of each stage
  std::vector<OpNote> ops;          // of a plan of one mesh, in the order in which they run
  std::vector<WayNote> ways;        // best first
  bool operator==(const Notes&) const = default;
};

// The text of a plan (of any kind) with notes in it, under the key "notes". `plan_json` is what ToJson made.
std::string WithNotes(const std::string& plan_json, const Notes& notes);

// The text of a family with notes, and with those of its members, in order.
std::string WithNotes(const std::string& family_json, const Notes& notes, const std::vector<Notes>& of_members);

// The notes in the text of a plan; nothing when there are none. kInvalidInput names the key and what was expected.
Result<std::optional<Notes>> NotesFromJson(std::string_view plan_json);

// The notes of the members of a family, in order. Errors as above.
Result<std::vector<std::optional<Notes>>> MemberNotesFromJson(std::string_view family_json);

}  // namespace alpa::plan
