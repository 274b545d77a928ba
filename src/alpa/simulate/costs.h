// Whether costs can be simulated, and what single instructions take of them.
#pragma once

#include <cstdint>

#include "alpa/base/result.h"
#include "alpa/schedule/buffers.h"
#include "alpa/schedule/pipeline.h"
#include "alpa/schedule/program.h"
#include "alpa/simulate/simulate.h"

namespace alpa::simulate {

// Vectors as long as the pipeline's, numbers finite and not negative, meshes on hosts that are there, with devices.
// kInvalidArgument names the stage, edge, mesh or host.
Status Verify(const Costs& costs, const schedule::Pipeline& pipeline);

// Seconds of a computing instruction.
double SecondsOf(const schedule::Pipeline& pipeline, const Costs& costs, const schedule::Instruction& compute);

// Bytes that a computing instruction needs while it runs only.
int64_t WorkspaceOf(const Costs& costs, const schedule::Instruction& compute);
// Bytes of the buffers that it writes.
int64_t BytesWritten(const schedule::Pipeline& pipeline, const Costs& costs, const schedule::StageEdges& edges,
                     const schedule::Instruction& compute);
// Bytes of the buffer that a freeing instruction frees.
int64_t BytesFreed(const schedule::Pipeline& pipeline, const Costs& costs, const schedule::Instruction& free);
// Bytes that what is sent occupies at either end. Values of step edges are part of the state.
int64_t BufferBytes(const Costs& costs, const schedule::Instruction& send);
// Seconds from when it has arrived until it can be read.
double GatherSeconds(const Costs& costs, const schedule::Instruction& send);

}  // namespace alpa::simulate
