#include "alpa/solver/kernels.h"

namespace alpa::solver {
namespace {

template <int kColumns>
__attribute__((always_inline)) inline void MinPlusLoop(const double* __restrict table, const double* __restrict message,
                                                       int32_t rows, int32_t columns, double* __restrict out) {
  const int32_t n = kColumns > 0 ? kColumns : columns;
  for (int32_t i = 0; i < n; ++i) out[i] = table[i] - message[0];
  for (int32_t k = 1; k < rows; ++k) {
    const double m = message[k];
    const double* row = table + static_cast<int64_t>(k) * n;
    for (int32_t i = 0; i < n; ++i) {
      const double cost = row[i] - m;
      out[i] = cost < out[i] ? cost : out[i];
    }
  }
}

}  // namespace

void MinPlus(const double* table, const double* message, int32_t rows, int32_t columns, double* out) {
  // Small tables are most of them; with a known width they stay in registers.
  switch (columns) {
    case 1:
      return MinPlusLoop<1>(table, message, rows, columns, out);
    case 2:
      return MinPlusLoop<2>(table, message, rows, columns, out);
    case 3:
      return MinPlusLoop<3>(table, message, rows, columns, out);
    case 4:
      return MinPlusLoop<4>(table, message, rows, columns, out);
    case 5:
      return MinPlusLoop<5>(table, message, rows, columns, out);
    case 6:
      return MinPlusLoop<6>(table, message, rows, columns, out);
    case 7:
      return MinPlusLoop<7>(table, message, rows, columns, out);
    case 8:
      return MinPlusLoop<8>(table, message, rows, columns, out);
    default:
      return MinPlusLoop<0>(table, message, rows, columns, out);
  }
}

}  // namespace alpa::solver
