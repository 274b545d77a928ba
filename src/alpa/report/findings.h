// What alpa doctor found, for the terminal and as JSON.
#pragma once

#include <string>
#include <vector>

namespace alpa::report {

enum class Verdict : unsigned char { kOk, kNote, kWrong };

struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string what;   // "memory"
  std::string found;  // "24.00 GiB, 20.10 GiB of it free"
  std::string todo;   // what to do about it; empty: nothing
};

// A line for each, and one for what to do about it; in the end whether all is well.
std::string FindingsText(const std::vector<Finding>& findings);
std::string FindingsJson(const std::vector<Finding>& findings);

}  // namespace alpa::report
