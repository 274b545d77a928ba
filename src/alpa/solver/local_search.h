// Improves an assignment part by part: large-neighbourhood search whose parts are solved by branch and bound.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/solver/branch.h"
#include "alpa/solver/flat.h"

namespace alpa::solver {

// A choice for all nodes of a Flat that is allowed and fits.
struct Incumbent {
  std::vector<int32_t> choice;
  double cost = 0;
  std::vector<int64_t> load;  // by point
};
Incumbent MakeIncumbent(const Flat& flat, std::vector<int32_t> choice);

struct LocalSearchOptions {
  double tolerance = 0;        // improvements up to this do not count
  std::vector<double> prices;  // of memory, by point
};

// Works on `incumbent` until the budget is spent. Depends on the seed and the budget's work only.
void ImproveLocally(const Flat& flat, Incumbent& incumbent, const LocalSearchOptions& options, uint64_t seed,
                    Budget& budget);

// The changes that two searches made to `start`, together where they can be: applies each connected group of changes
// from `other` to `into` if that makes it cheaper and fits.
void MergeChanges(const Flat& flat, const Incumbent& start, const Incumbent& other, Incumbent& into);

}  // namespace alpa::solver
