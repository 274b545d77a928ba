// The cost of one choice of strategies, pass by pass, for any number of examples.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "alpa/cost/model.h"
#include "alpa/intra/build_problem.h"
#include "alpa/intra/candidates.h"
#include "alpa/intra/lifetimes.h"
#include "alpa/intra/price_program.h"

namespace alpa::intra {

struct ProgramCost {
  std::array<double, kPassCount> seconds{};  // by Pass: per microbatch; kUpdate: per step, gradient synchronization
                                             // included
  double state = 0, activation = 0, border = 0, workspace = 0, joined = 0;  // bytes per device, as in ProgramPrice
};

// What evaluation looks at beside the strategies: the program with one size of its microbatches.
struct SizedProgram {
  const ir::Module& module;
  const ir::StepSignature& signature;
  const std::vector<OpWork>& work;
  const std::vector<Lifetime>& lifetimes;
  double halo_scale = 1;  // of the bytes of halo exchanges, against the size that strategies were made for
};

// `assignment` chooses candidates of `table` (made for any size of the same program) for the nodes of `built`.
// `border_specs`: by output of the module, the spec it is handed over in (absent: as it lies).
ProgramCost EvaluateProgram(const SizedProgram& sized, const ProgramToPrice& program, const CandidateTable& table,
                            const BuiltProblem& built, const std::vector<int32_t>& assignment,
                            const std::vector<std::optional<sharding::Spec>>& border_specs, const cost::Model& model);

// The spec of border value `v`: the batch over the axes of `mask` and nothing else split. Nothing when its layout is no
// choice, or its shape does not allow that.
std::optional<sharding::Spec> BorderSpec(const ProgramToPrice& program, const CandidateTable& table, ir::ValueId v,
                                         const cost::Model& model, cost::AxisMask mask);

// Which outputs leave for other stages as soon as they are there.
std::vector<char> HandedOver(const ProgramToPrice& program);

// Position behind the last forward op.
int64_t ForwardEnd(const ProgramToPrice& program);

// Which kind of memory the results of each op take, by OpId.
enum class MemoryKind : uint8_t { kNone, kState, kKept, kTransient };
std::vector<MemoryKind> MemoryKinds(const ProgramToPrice& program, const std::vector<Lifetime>& lifetimes);

}  // namespace alpa::intra
