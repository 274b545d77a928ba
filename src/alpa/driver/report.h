// alpa report: a plan as a page for the browser.
#pragma once

#include <filesystem>
#include <string>

#include "alpa/base/result.h"

namespace alpa::driver {

struct ReportOptions {
  std::filesystem::path plan;
  std::string cluster;          // name or file; empty: the plan's
  std::filesystem::path trace;  // of alpa run --trace: shown beside what was simulated
  std::filesystem::path out;    // empty: beside the plan, named like it, .html
};

// Reads the plan (of one mesh, of stages, or a family), simulates it, and writes the page.
Status Report(const ReportOptions& options);

}  // namespace alpa::driver
