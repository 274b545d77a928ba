// The inner loop of the bounds.
#pragma once

#include <cstdint>

namespace alpa::solver {

// out[i] = min over k of table[k * columns + i] - message[k].
void MinPlus(const double* table, const double* message, int32_t rows, int32_t columns, double* out);

}  // namespace alpa::solver
