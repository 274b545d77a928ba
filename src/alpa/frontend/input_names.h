// What the name of an input tells about its role. Names are those of the user's pytree ("params['h'][0]['w']") and may
// be missing, so they only ever break ties.
#pragma once

#include <string>
#include <string_view>

#include "alpa/ir/module.h"

namespace alpa::frontend {

// The argument of the user's function that an input belongs to: "params" for "params['h'][0]['w']" and "params.w".
std::string_view ArgumentOf(std::string_view name);

enum class NameHint { kNone, kState, kBatch, kKey };

// By the words of the argument's name: params, weights, opt, state, model, ema, ... are state; batch, x, y, ids,
// labels, inputs, targets, mask, ... are batch; key, rng, seed are random keys.
NameHint HintOf(std::string_view name);

// An input that holds a JAX random key: u32[2] or u32[4], or named as one.
bool LooksLikeKey(const ir::Shape& shape, std::string_view name);

}  // namespace alpa::frontend
