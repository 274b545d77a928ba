// Sharding problems in the JSON of the IOPDDL benchmark (google/iopddl), plain or gzipped.
#pragma once

#include <filesystem>
#include <string_view>

#include "alpa/base/result.h"
#include "alpa/solver/problem.h"

namespace alpa::solver {

// Costs from here on mean "forbidden" in this format.
inline constexpr double kIopddlInfinity = 1e18;

// {"problem": {"name": text,
//              "nodes": {"intervals": [[begin, end), ...], "costs": [[...], ...], "usages": [[...], ...]},
//              "edges": {"nodes": [[a, b], ...], "costs": [[row by row], ...]},
//              "usage_limit": number}}
// The outer object may be absent, and so may name, intervals, usages and usage_limit; other members are skipped. Equal
// tables become one. The result verifies. kCorrupt (no JSON; with the byte) or kInvalidInput (with the node or edge).
// One pass, about a second for 100 MB.
Result<Problem> ParseIopddl(std::string_view json);

// Reads and parses a file; errors name it. Also kNotFound and kIo.
Result<Problem> ReadIopddl(const std::filesystem::path& path);

}  // namespace alpa::solver
