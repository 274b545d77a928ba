// Writes a plan into the HLO that XLA compiles.
#pragma once

#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/plan/plan.h"

namespace xla {
class HloModuleProto;
class OpSharding;
}  // namespace xla

namespace alpa::xla {

// The sharding of an array of `rank` dimensions as XLA writes it. Mesh axes that `spec` does not use hold copies.
::xla::OpSharding ToOpSharding(const sharding::Spec& spec, int rank, const cluster::Mesh& mesh);

// The step's HLO with the plan's layouts on inputs, outputs and ops, and `donate` as its only input-output aliases.
// With outputs pinned, GSPMD decides the rest. kCorrupt when `hlo` is not a module (our own bug, or a damaged cache).
Result<::xla::HloModuleProto> Annotate(const std::string& hlo, const plan::Plan& plan,
                                       const std::vector<ir::Alias>& donate);

}  // namespace alpa::xla
