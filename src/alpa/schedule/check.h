// Whether instruction lists do what the pipeline needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "alpa/base/result.h"
#include "alpa/schedule/pipeline.h"
#include "alpa/schedule/program.h"

namespace alpa::schedule {

// "mesh 1, instruction 4, forward s0 k2: what". kInvalidInput.
Error BadInstruction(int32_t mesh, size_t position, const Instruction& instruction, const std::string& what);

// Every operand is in range, every instruction stands on the mesh it belongs to and is one that the schedule has (no
// backward in inference, no send within a mesh). kInvalidInput: the first one of which that does not hold. `pipeline`
// must pass Verify.
Status VerifyInstructions(const Program& program, const Pipeline& pipeline);

// Executes the lists without computing anything and demands:
//   VerifyInstructions;
//   each stage forwards and backwards (both parts, if split) every microbatch once and updates once per round, in
//   order, after all its backwards; every buffer is written once, read only between write and free, and freed once: no
//   use after free, no double free, no leak; on each edge and direction, receives take the microbatches in the order in
//   which they are sent; no deadlock, where sends do not wait and receives do; a mesh never holds more than
//   InFlightBounds(pipeline).
// Any program for which that holds computes the step. kInvalidInput: mesh, number and text of the first instruction
// that breaks a rule; for a deadlock those at which the meshes wait. kInvalidArgument as Verify(pipeline).
Status Check(const Program& program, const Pipeline& pipeline);

}  // namespace alpa::schedule
