// What the tests of the engine share.
#pragma once

#include <gtest/gtest.h>

#include <utility>

#include "alpa/xla/engine.h"

namespace alpa::xla {

// The value of `result`; the test fails with its error when there is none.
template <typename T>
T Get(Result<T> result) {
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : ToString(result.error()));
  return std::move(result).value();
}

inline Engine& TheEngine() { return *Get(LoadEngine()); }

}  // namespace alpa::xla
