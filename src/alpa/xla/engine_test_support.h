// What the tests of the engine share.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "alpa/xla/engine.h"

namespace alpa::plan {

// For messages of tests.
inline void PrintTo(const CollectiveTotal& total, std::ostream* out) {
  *out << total.count << " " << sharding::Name(total.kind) << " over";
  for (const int axis : total.axes) *out << " " << axis;
  *out << ", " << total.bytes.value << " B";
}

}  // namespace alpa::plan

namespace alpa::xla {

// The value of `result`; the test fails with its error when there is none.
template <typename T>
T Get(Result<T> result) {
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : ToString(result.error()));
  return std::move(result).value();
}

inline Engine& TheEngine() { return *Get(LoadEngine()); }

// Totals of one kind and axes added up, in the order in which the engine gives them.
inline std::vector<plan::CollectiveTotal> Added(const std::vector<plan::CollectiveTotal>& totals) {
  std::map<std::pair<sharding::CollectiveKind, std::vector<int>>, plan::CollectiveTotal> sums;
  for (const auto& total : totals) {
    auto [at, first] = sums.try_emplace({total.kind, total.axes}, total);
    if (first) continue;
    at->second.count += total.count;
    at->second.bytes += total.bytes;
  }
  std::vector<plan::CollectiveTotal> out;
  for (const auto& [key, total] : sums) out.push_back(total);
  return out;
}

// "2 all-reduce over x, 1.50 MiB; ...", for messages.
inline std::string Describe(const std::vector<plan::CollectiveTotal>& totals, const cluster::Mesh& mesh) {
  std::string out;
  for (const auto& t : totals) {
    if (!out.empty()) out += "; ";
    out += std::to_string(t.count) + " " + sharding::ToString(sharding::Collective{t.kind, t.axes, t.bytes}, mesh);
  }
  return out;
}

}  // namespace alpa::xla
