// Layers and segments of every model in tests/models.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "alpa/base/file.h"
#include "alpa/frontend/layers.h"
#include "alpa/xla/engine_test_support.h"

namespace alpa::frontend {
namespace {

using xla::Get;

// Every op in one layer, and values flow only forwards (or backwards, in the backward pass).
TEST(Layers, HoldForEveryModelAndCount) {
  int layerings = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ALPA_SOURCE_DIR "/tests/models")) {
    if (entry.path().extension() != ".mlirbc") continue;
    const auto step = Get(xla::TheEngine().Import(Get(ReadFile(entry.path())), {.source = entry.path().filename()}));
    const auto analysis = AnalyzeStep(step.module, {});
    if (!analysis.ok()) continue;
    for (const int count : {0, 1, 2, 3, 4, 8}) {
      for (const bool branches : {true, false}) {
        const auto layering = FindLayers(step.module, *analysis, {.count = count, .branches = branches});
        if (!layering.ok()) continue;
        ++layerings;
        const Status valid = Verify(*layering, step.module, *analysis);
        EXPECT_TRUE(valid.ok()) << entry.path().stem() << ", " << count << ": " << valid.error().message;
        if (count > 0) EXPECT_EQ(layering->count, count);
      }
    }
  }
  EXPECT_GT(layerings, 300);
}

}  // namespace
}  // namespace alpa::frontend
