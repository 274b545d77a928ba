// Writes a plan into the HLO that XLA partitions.
#pragma once

#include "alpa/plan/plan.h"

namespace xla {
class HloModule;
}

namespace alpa::xla {

// Gives inputs, outputs and the ops that `plan` names their shardings. Where an op (or an output) needs an operand in
// another layout than it comes in, copies are put between, one for each basic step of sharding::Reshard, so that the
// partitioner has one collective to insert for each; users that need the same share them. Constants, iotas and spread
// scalars are made anew in each layout instead. Ops without a name in the plan are left to propagation.
//
// `hlo` is the step of `module` (names agree), and the plan fits both.
void Annotate(::xla::HloModule& hlo, const ir::Module& module, const plan::Plan& plan);

}  // namespace alpa::xla
