// The shape of a pipeline: stages on meshes, what passes between them, how many microbatches, which schedule. What each
// stage computes, how long it takes and how its arrays lie is known elsewhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"

namespace alpa::schedule {

// In which order a mesh runs its forwards and backwards.
enum class Kind : uint8_t {
  kGpipe,        // all forwards, then all backwards
  k1F1B,         // one forward, one backward; in flight at most the stages from here to the end
  kInterleaved,  // 1F1B with several stages (chunks) on each mesh (Narayanan et al., SC'21)
  kZbH1,         // 1F1B with weight gradients delayed into the bubbles (Qi et al., ICLR'24)
  kInference,    // forwards only
};
inline constexpr int kKindCount = 5;

// "gpipe", "1f1b", "interleaved", "zb-h1", "inference".
std::string_view Name(Kind kind);
// The inverse. kInvalidArgument lists the names.
Result<Kind> ParseKind(std::string_view name);

struct Stage {
  int32_t mesh = 0;
  int32_t chunk = 0;       // its number among the stages of this mesh; > 0 only in interleaved schedules
  bool recompute = false;  // backward computes the forward again from the stage's inputs; changes no order
  bool operator==(const Stage&) const = default;
};

// Values that stage `from` hands to stage `to` > `from` for every microbatch. Stages need not be neighbours. At most
// one edge between two stages: it stands for all values that pass.
struct Edge {
  int32_t from = 0, to = 0;
  int64_t forward_bytes = 0;   // activations of one microbatch, all devices together
  int64_t backward_bytes = 0;  // cotangents of one microbatch, likewise
  bool cotangent = true;       // false: nothing flows back (masks, token numbers), so backward does not wait
  bool operator==(const Edge&) const = default;
};

// Values that pass between stages once per step, in any direction. The update of a stage runs in rounds 0 ..
// Pipeline::update_rounds - 1. An edge of round r leaves `from` after its update round r - 1 (r = 0: after its last
// backward) and is needed by `to` before its update round r (r = update_rounds: before the next step).
//
//   tied parameters, global norm of gradients: 3 rounds (sum partial gradients and square them, sum the norms, update)
//     partial gradients    round 0, to the owner of the parameter
//     partial norms        round 1, to one stage
//     the norm             round 2, from there to all
//     the new parameter    round 3, back from its owner
struct StepEdge {
  int32_t from = 0, to = 0;
  int32_t round = 0;
  int64_t bytes = 0;
  bool operator==(const StepEdge&) const = default;
};

struct Pipeline {
  Kind kind = Kind::k1F1B;
  int32_t microbatches = 1;
  int32_t meshes = 1;
  std::vector<Stage> stages;  // in topological order of the edges
  std::vector<Edge> edges;
  std::vector<StepEdge> step_edges;
  int32_t update_rounds = 1;  // 0: there is no update (inference)
  bool operator==(const Pipeline&) const = default;
};

// Whether both ends of the edge lie on one mesh: then nothing is sent, the value just stays.
bool IsLocal(const Pipeline& pipeline, const Edge& edge);
bool IsLocal(const Pipeline& pipeline, const StepEdge& edge);

// Whether backward runs in two parts, for inputs and for weights.
inline bool SplitsBackward(Kind kind) { return kind == Kind::kZbH1; }
inline bool HasBackward(Kind kind) { return kind != Kind::kInference; }

// Everything that makes a pipeline executable by its schedule. kInvalidArgument names the stage or edge:
//   numbers in range, at most kMaxStageMicrobatches, edges forward and none twice, every mesh has a stage, bytes not
//   negative; one stage per mesh (all but interleaved); interleaved: stage j is chunk j / meshes of mesh j % meshes,
//   all meshes have equally many chunks, m is divisible by the meshes, each stage feeds the next one, activations and
//   (unless no edge has any: a step without gradients) cotangents; inference: no update rounds, no edges per step.
Status Verify(const Pipeline& pipeline);

// Most stages and edges times microbatches; the program then takes about 2 GB.
inline constexpr int64_t kMaxStageMicrobatches = int64_t{1} << 25;

// Per stage the number of stages on the longest path from it to a stage without outgoing edges, both included.
std::vector<int32_t> StagesToEnd(const Pipeline& pipeline);

// Per mesh, the most stage-microbatches it holds activations of under the pipeline's schedule.
struct InFlight {
  // From forward to backward (of the inputs, if split): gpipe m; 1f1b and zb-h1 min(m, stages to the end); interleaved
  // min(m v, 2 (p - r - 1) + (v - 1) p + 1) on mesh r of p with v chunks; inference 0.
  std::vector<int64_t> activations;
  // From forward to the end of all backward: the same where backward is not split; zb-h1 min(m, stages of the longest
  // path of the pipeline).
  std::vector<int64_t> weight_inputs;
  bool operator==(const InFlight&) const = default;
};
InFlight InFlightBounds(const Pipeline& pipeline);

// A page: one line per stage and edge.
std::string ToString(const Pipeline& pipeline);

}  // namespace alpa::schedule
