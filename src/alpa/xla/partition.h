// From a step and a plan to the program that each device runs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "alpa/xla/engine.h"

namespace xla {
class HloModule;
class HloModuleProto;
}  // namespace xla

namespace alpa::xla {

// The module of ImportedStep::hlo for so many devices, without aliases. kCorrupt when it is none (our own bug, or a
// damaged cache).
Result<std::unique_ptr<::xla::HloModule>> ReadModule(const std::string& hlo, int64_t partitions);

// Drops copies that do nothing, common and dead code.
absl::Status Clean(::xla::HloModule& module);

// The program of one device, with the collectives in it.
struct PartitionedStep {
  std::unique_ptr<::xla::HloModule> module;
  std::vector<plan::CollectiveTotal> collectives;
  std::vector<std::vector<int>> parts;  // as in ExecutableStats
};

// Partitions the step as the plan says, which must fit it; of `options`, accumulate and parts. kUnsupported when XLA
// refuses; kCorrupt when step.hlo is not a module (our own bug, or a damaged cache).
Result<PartitionedStep> PartitionStep(const ImportedStep& step, const plan::Plan& plan, const CompileOptions& options);

// The module as XLA compiles it for `mesh`, with `donate` as its only input-output aliases: every instruction marked as
// already partitioned ("manual"), so that XLA's own partitioner lets it pass.
::xla::HloModuleProto ToCompile(::xla::HloModule& module, const cluster::Mesh& mesh,
                                const std::vector<ir::Alias>& donate);

}  // namespace alpa::xla
