// Initial values for a step of which nothing but the graph is known.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/ir/module.h"
#include "alpa/ir/step.h"
#include "alpa/runtime/init_rule.h"

namespace alpa::runtime {

// A rule per input of the module:
//   parameters of rank >= 2   uniform with variance 1/fan_in, fan_in = product of all dims but the last
//   other parameters          1 when the forward pass first multiplies by them (gains), else 0 (biases)
//   fp32 master copies        as the parameter they are rounded to (MasterCopies)
//   other state               0
//   batch inputs              floats uniform in [-1, 1); integers and booleans in [0, IndexBound), [0, 2) when unknown
// Deterministic in `seed`; each input has a stream of its own. Random keys: see IsRandomKey.
std::vector<InitRule> GuessInitRules(const ir::Module& module, const ir::StepSignature& signature, uint64_t seed);

// For each input the parameter of which it is the master copy: the state input whose updated value, converted, is the
// parameter's update. -1 for all others.
std::vector<int32_t> MasterCopies(const ir::Module& module, const ir::StepSignature& signature);

// Whether input `input` looks like a key of jax.random: u32[2] (threefry) or u32[4] (rbg), and not a parameter. No rule
// describes those.
bool IsRandomKey(const ir::Module& module, const ir::StepSignature& signature, int32_t input);

// What jax.random.PRNGKey(seed) holds: the halves of the seed, for rbg twice. `shape` as IsRandomKey says.
ir::HostTensor RandomKey(const ir::Shape& shape, uint64_t seed);

}  // namespace alpa::runtime
