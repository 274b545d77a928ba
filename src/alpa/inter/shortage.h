// What is missing when nothing fits.
#pragma once

#include <functional>
#include <optional>

#include "alpa/inter/chain_search.h"
#include "alpa/inter/search.h"

namespace alpa::inter {

// For a space in which no plan fits (`stages` as in SearchOptions). Nothing when more memory would not help, or when
// cancelled.
std::optional<Shortage> FindShortage(const StageSpace& space, int stages, const std::function<bool()>& cancelled);

}  // namespace alpa::inter
