// Sums over devices in HLO, and what is linear in them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "alpa/cluster/mesh.h"

namespace xla {
class HloComputation;
class HloInstruction;
class HloModule;
class Shape;
}  // namespace xla

namespace alpa::xla {

// An all-reduce of one array that adds.
bool IsSum(const ::xla::HloInstruction* i);

// The axes of `mesh` along which the groups of a collective run; nothing when they run along none.
std::optional<std::vector<int>> AxesOfCollective(const ::xla::HloInstruction* i, const cluster::Mesh& mesh);

// A new computation of `module` that adds two scalars of `shape`'s element type.
::xla::HloComputation* Addition(::xla::HloModule& module, const ::xla::Shape& shape);

// A channel that no collective of `module` has.
int64_t FreeChannel(const ::xla::HloModule& module);

// `value` summed over `axes` of `mesh` by `adds`, as a new instruction.
::xla::HloInstruction* SumOver(::xla::HloInstruction* value, ::xla::HloComputation* adds, const std::vector<int>& axes,
                               const cluster::Mesh& mesh, int64_t channel);

// The operands in which `i` is linear element by element, all at once; none when it is not. Elements may be put into
// another order.
std::vector<::xla::HloInstruction*> LinearOperandsInPlace(::xla::HloInstruction* i);

}  // namespace alpa::xla
