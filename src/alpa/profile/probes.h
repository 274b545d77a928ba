// Small programs whose time says one thing about a machine. Each is a step (w, x) -> (w', 0) in StableHLO, a chain of
// `count` equal links of which each needs the one before: the slope over count is the time of a link.
#pragma once

#include <cstdint>
#include <string>

#include "alpa/sharding/collective.h"

namespace alpa::profile {

// v = x v, arrays [n, n] of element type `type` ("f32", "bf16"): 2 n^3 FLOP a link.
std::string Products(int64_t n, int64_t count, const std::string& type);

// One addition of f32[n] arrays, three of which move: 12 n bytes. Its slope is that over n.
std::string Addition(int64_t n);

// One sum of f32[n] to a number: 4 n bytes. Its slope is that over n.
std::string Sum(int64_t n);

// Multiplications and additions in turn on f32[n], which XLA makes one kernel: n FLOP a link.
std::string Arithmetic(int64_t n, int64_t count);

// Sums of f32[n] and products with them in turn: two kernels a link, which cannot be joined.
std::string Kernels(int64_t n, int64_t count);

// Over `devices` devices on a mesh of one axis: `count` links around a collective. `n` f32 numbers: those of one
// device's operand, of all-gather the result, of all-to-all the whole array; divisible by the square of devices. What
// makes a link one collective is how its arrays lie, which LayoutOf says:
//
//   all-reduce      sum over the first dimension of [devices, n], which is split; the result is everywhere
//   reduce-scatter  the same with the result split; the next link needs an all-gather of it
//   all-gather      multiplication of [n], everywhere; then addition, split
//   all-to-all      multiplication of [devices, n / devices], split by columns; then addition, split by rows: two a
//   link
std::string Collectives(sharding::CollectiveKind kind, int64_t devices, int64_t n, int64_t count);

// Where the arrays of Collectives lie; nothing (replicated) or split over mesh axis 0 along a dimension.
struct ProbeLayout {
  int state = -1, batch = -1;                // dimension of w and x that is split; -1: replicated
  int reduce = -1, multiply = -1, add = -1;  // of the results of these ops; the last two: of their operands, too
};
ProbeLayout LayoutOf(sharding::CollectiveKind kind);

}  // namespace alpa::profile
