// What can be said about a loop that stayed a loop.
#pragma once

#include <cstdint>
#include <optional>

#include "alpa/ir/module.h"

namespace alpa::frontend {

// The two regions of a while op, told apart by what they return: the condition one pred, the body the carried values.
struct LoopRegions {
  const ir::Module* condition = nullptr;
  const ir::Module* body = nullptr;
};
LoopRegions RegionsOf(const ir::Module& module, const ir::Op& loop);

// How often the body of a counted loop runs: the condition compares one carried scalar that starts at a constant with a
// constant, and the body adds a constant to it. Nothing for any other loop.
std::optional<int64_t> TripCount(const ir::Module& module, const ir::Op& loop);

}  // namespace alpa::frontend
