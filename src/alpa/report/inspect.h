// `alpa inspect`: what a step consists of and what can be done with it.
#pragma once

#include <string>

#include "alpa/frontend/analyze_step.h"
#include "alpa/ir/module.h"

namespace alpa::report {

// A page for the terminal: inputs by role, parameters, results, where the batch lies, FLOPs of forward, backward and
// update, ops by phase, loops that stayed loops, and what stands in the way of microbatching, with op and source line.
std::string InspectText(const ir::Module& module, const frontend::StepAnalysis& analysis);

// The same as one JSON object, ending in a newline. Keys: name, inputs[] {index, name, role, shape, dtype, bytes,
// batch_dim, donated, updated_by}, outputs[] {index, role, shape, dtype, updates, loss}, parameter_count,
// parameter_bytes, state_bytes, batch {size, dims}, donated ("all", "some", "none": of the state), loss,
// {fwd,bwd,update,step}_flops_dot_conv, {fwd,bwd,update,step}_flops (with everything else), ops {kind: count},
// ops_by_phase {phase: {kind: count}}, loops[] {op, trip_count}, microbatching {max, separable, accumulations, levels,
// obstacles[] {kind, blocks, op, count, at, text}}. Numbers of FLOPs are integers where they are below 2^63.
std::string InspectJson(const ir::Module& module, const frontend::StepAnalysis& analysis);

}  // namespace alpa::report
